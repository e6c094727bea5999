//! Which program `exec` starts: the container's own `process` section with what the flags change, or a file's.

use std::ffi::OsString;

use crate::cli::Arguments;
use report::{Explain, Kind};
use spec::{Process, Spec};

/// The command line asks for something that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadRequest(pub(super) String);

impl Explain for BadRequest {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
}

/// What the flags ask for, apart from the container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) args: Vec<String>,
    pub(super) cwd: Option<String>,
    pub(super) env: Vec<String>,
    pub(super) tty: bool,
    pub(super) user: Option<(u32, Option<u32>)>,
    pub(super) additional_gids: Vec<u32>,
    pub(super) process_label: Option<String>,
    pub(super) apparmor: Option<String>,
    /// None when the flag is not there.
    pub(super) no_new_privs: Option<bool>,
    pub(super) caps: Vec<String>,
}

impl Request {
    pub(super) fn parse(arguments: &Arguments) -> Result<Self, BadRequest> {
        let text = |name: &str| arguments.get_one::<String>(name).filter(|text| !text.is_empty()).cloned();
        let list = |name: &str| -> Vec<String> {
            arguments.get_many::<String>(name).into_iter().flatten().cloned().collect()
        };
        let words = arguments.get_many::<OsString>("args").into_iter().flatten();
        let args = words.map(|word| match word.to_str() {
            Some(word) => Ok(word.to_owned()),
            None => Err(BadRequest(format!(
                "the argument {word:?} is not UTF-8, which a process of the specification is"
            ))),
        });
        let given = arguments.is_given("no-new-privs");
        Ok(Self {
            args: args.collect::<Result<_, _>>()?,
            cwd: text("cwd"),
            env: list("env"),
            tty: arguments.get_flag("tty"),
            user: text("user").as_deref().map(user).transpose()?,
            additional_gids: list("additional-gids")
                .iter()
                .map(|gid| id("--additional-gids", gid))
                .collect::<Result<_, _>>()?,
            process_label: text("process-label"),
            apparmor: text("apparmor"),
            no_new_privs: given.then(|| arguments.get_flag("no-new-privs")),
            caps: list("cap"),
        })
    }

    /// The container's process, changed.
    pub(super) fn applied_to(self, spec: &Spec) -> Result<Process, BadRequest> {
        let mut process = spec.process.clone();
        if self.args.is_empty() {
            return Err(BadRequest(
                "there is no program to start: name one behind the id, or a file with --process".to_owned(),
            ));
        }
        process.args = self.args;
        process.cwd = self.cwd.unwrap_or(process.cwd);
        process.apparmor_profile = self.apparmor.unwrap_or(process.apparmor_profile);
        process.selinux_label = self.process_label.unwrap_or(process.selinux_label);
        process.no_new_privileges = self.no_new_privs.unwrap_or(process.no_new_privileges);
        // A terminal is asked for anew each time: the container's own says nothing about this program.
        process.terminal = self.tty;
        if !self.tty {
            process.console_size = None;
        }
        process.env.extend(self.env);
        if let Some((uid, gid)) = self.user {
            process.user.uid = uid;
            process.user.gid = gid.unwrap_or(process.user.gid);
        }
        process.user.additional_gids.extend(self.additional_gids);
        let sets = &mut process.capabilities;
        for name in self.caps {
            sets.bounding.push(name.clone());
            sets.effective.push(name.clone());
            sets.permitted.push(name.clone());
            // An ambient one has to be inheritable, which these are not unless the container has some that are.
            if !sets.inheritable.is_empty() {
                sets.ambient.push(name);
            }
        }
        Ok(process)
    }
}

/// `UID` or `UID:GID`; names are the business of engines, which know the image.
fn user(text: &str) -> Result<(u32, Option<u32>), BadRequest> {
    let (uid, gid) = match text.split_once(':') {
        Some((uid, gid)) => (uid, Some(gid)),
        None => (text, None),
    };
    Ok((id("--user", uid)?, gid.map(|gid| id("--user", gid)).transpose()?))
}

/// An id is one below 4294967295, which means "no change" to the kernel.
fn id(flag: &str, text: &str) -> Result<u32, BadRequest> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(id) if digits && id != u32::MAX => Ok(id),
        _ => Err(BadRequest(format!(
            "`{}` is no id for {flag}: a number below 4294967295",
            text.escape_debug()
        ))),
    }
}

/// The environment with the last of several values for each name, at the place of the first: what a shell would see.
pub(super) fn last_values(env: &mut Vec<String>) {
    let mut kept: Vec<String> = Vec::with_capacity(env.len());
    for entry in env.drain(..) {
        let name = |entry: &str| entry.split_once('=').map_or(entry.len(), |(name, _)| name.len());
        let len = name(&entry);
        match kept.iter_mut().find(|before| name(before) == len && before[..len] == entry[..len]) {
            Some(before) => *before = entry,
            None => kept.push(entry),
        }
    }
    *env = kept;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str) -> Result<Request, BadRequest> {
        let words = ["exec"].into_iter().chain(line.split_whitespace());
        let matches = crate::cli::command().no_binary_name(true).try_get_matches_from(words).unwrap();
        let (name, arguments) = matches.subcommand().unwrap();
        Request::parse(&Arguments::of_matches(crate::cli::table(name).unwrap(), arguments))
    }

    fn process(line: &str) -> Process {
        request(line).unwrap().applied_to(&spec::default_spec(false)).unwrap()
    }

    #[test]
    fn what_the_flags_do_not_say_is_as_in_the_container() {
        let own = spec::default_spec(false).process;
        let process = process("web ls -l");
        assert_eq!(process.args, ["ls", "-l"]);
        assert_eq!(
            Process { args: own.args.clone(), terminal: own.terminal, console_size: None, ..process },
            own
        );
    }

    #[test]
    fn flags_are_ours_until_the_program_is_named() {
        for line in ["-t --cwd /x web ls -t", "web -t --cwd=/x ls -t", "--tty web --cwd /x -- ls -t"] {
            let process = process(line);
            assert_eq!((process.args.join(" ").as_str(), process.cwd.as_str()), ("ls -t", "/x"), "{line}");
            assert!(process.terminal, "{line}");
        }
    }

    #[test]
    fn users_are_numbers() {
        let user = process("-u 1000:50 -g 7,8 -g 9 web x").user;
        assert_eq!((user.uid, user.gid, user.additional_gids), (1000, 50, vec![7, 8, 9]));
        assert_eq!(process("-u 1000 web x").user.gid, 0);
        for bad in ["-u root web x", "-u -1 web x", "-u 1: web x", "-u 4294967295 web x", "-g +1 web x"] {
            assert!(request(&bad.replace("-u -1", "-u=-1")).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_added_capability_is_in_three_sets() {
        let sets = process("--cap CAP_SYS_ADMIN web x").capabilities;
        let has = |set: &[String]| set.iter().any(|name| name == "CAP_SYS_ADMIN");
        assert!(has(&sets.bounding) && has(&sets.effective) && has(&sets.permitted));
        assert!(!has(&sets.inheritable) && !has(&sets.ambient));
        // What is none is told and left out, as in a configuration.
        let mut spec = spec::default_spec(false);
        spec.process = process("--cap CAP_SLEEP web x");
        let spec = spec::validate(spec).unwrap();
        assert!(
            spec.warnings().iter().any(|warning| warning.wrong.contains("CAP_SLEEP")),
            "{:?}",
            spec.warnings()
        );
    }

    #[test]
    fn no_new_privs_is_the_containers_unless_said() {
        assert!(process("web x").no_new_privileges);
        assert!(!process("--no-new-privs=false web x").no_new_privileges);
    }

    #[test]
    fn the_last_value_of_a_variable_counts() {
        let mut env: Vec<String> = ["A=1", "AB=2", "A=3", "C", "AB=", "C=4"].map(String::from).to_vec();
        last_values(&mut env);
        assert_eq!(env, ["A=3", "AB=", "C=4"]);
    }
}
