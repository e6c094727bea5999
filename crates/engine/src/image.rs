//! What an image says about how its program is run, as part of a request.
//!
//! [`apply`] completes flags with the configuration of an image; it is pure, and the flags go before the image. Whatever the configuration
//! says is data: a variable without a value never takes the caller's (CVE-2020-14370), a label never becomes an annotation, which could
//! mean something to a runtime, and users are looked up below the root by whoever looks at the host.

use std::collections::BTreeMap;

use images::config::{Healthcheck, ImageConfig};
use network::Expose;
use report::{Explain, Hint, Kind};
use spec::Signal;

use crate::flags::destination::Destination;
use crate::flags::env::EnvEntry;
use crate::flags::mount::Mount;
use crate::flags::named::VolumeMount;
use crate::flags::user::User;
use crate::flags::{Problem, Value};
use crate::request::RunFlags;

/// The most variables and labels that an image may have.
const MAX_ENTRIES: usize = 4096;
/// The most volumes that an image may have.
const MAX_VOLUMES: usize = 256;

/// What of an image's configuration is not part of how its program is started.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct ImageFacts {
    /// Its labels; never annotations.
    pub labels: BTreeMap<String, String>,
    /// `PORT[/PROTOCOL]` that the program listens on.
    pub exposed_ports: Vec<String>,
    /// Directories whose content outlives the container.
    pub volumes: Vec<String>,
    /// How to tell whether the program is well.
    pub healthcheck: Option<Healthcheck>,
    /// Seconds between the stop signal and the kill.
    pub stop_timeout: Option<u64>,
}

/// A configuration that cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the image's {what}{}: {problem}", shown(text))]
pub struct BadImage {
    /// What of it.
    pub what: &'static str,
    /// What it says.
    pub text: String,
    /// What is wrong with that.
    pub problem: String,
    /// The flag that goes before it.
    pub flag: &'static str,
}

impl Explain for BadImage {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
    fn hint(&self) -> Option<Hint> {
        (!self.flag.is_empty()).then(|| Hint::new(format!("{} goes before what the image says", self.flag)))
    }
}

fn shown(text: &str) -> String {
    let short: String = text.chars().take(80).collect();
    if short.is_empty() { String::new() } else { format!(" `{}`", short.escape_debug()) }
}

/// Completes `flags` with what the image says. `entrypoint` is `--entrypoint`: an empty one takes the image's away.
///
/// # Errors
/// What of the configuration cannot be carried out, and that there is no program to run.
pub fn apply(
    flags: &mut RunFlags,
    config: &ImageConfig,
    entrypoint: Option<&str>,
) -> Result<ImageFacts, BadImage> {
    let run = &config.config;
    // A command line for an entry point of one's own is one's own too: the image's belongs to the image's.
    let (before, usual) = match entrypoint {
        Some("") => (Vec::new(), Vec::new()),
        Some(program) => (vec![program.to_owned()], Vec::new()),
        None => (run.entrypoint.clone(), run.cmd.clone()),
    };
    let given = std::mem::take(&mut flags.args);
    flags.args = before.into_iter().chain(if given.is_empty() { usual } else { given }).collect();
    if flags.args.is_empty() {
        let problem = match entrypoint {
            Some(_) => "it was taken away, and no program is given",
            None => "it names no program, and none is given",
        };
        return bad("command", "", problem, "a program behind the image's name");
    }
    if flags.args.iter().any(|arg| arg.contains('\0')) {
        return bad("command", "", "it contains NUL", "a program behind the image's name");
    }
    let mut env = environment(&run.env)?;
    env.append(&mut flags.env);
    flags.env = env;
    if flags.workdir.is_none() && !run.working_dir.is_empty() {
        flags.workdir = Some(directory(&run.working_dir)?);
    }
    if flags.user.is_none() && !run.user.is_empty() {
        let parsed = User::parse(&run.user);
        flags.user = Some(parsed.or_else(|problem| bad("user", &run.user, words(problem), "--user"))?);
    }
    if flags.stop_signal.is_none() && !run.stop_signal.is_empty() {
        let parsed: Result<Signal, _> = run.stop_signal.parse();
        let signal = parsed
            .or_else(|_| bad("stop signal", &run.stop_signal, "there is no such signal", "--stop-signal"))?;
        flags.stop_signal = Some(signal);
    }
    volumes(flags, run.volumes.keys())?;
    expose(flags, run.exposed_ports.keys().filter(|port| is_port(port)));
    if run.labels.len() > MAX_ENTRIES {
        return bad("labels", "", "there are too many", "");
    }
    Ok(ImageFacts {
        labels: run.labels.clone(),
        exposed_ports: run.exposed_ports.keys().filter(|port| is_port(port)).cloned().collect(),
        volumes: run.volumes.keys().cloned().collect(),
        healthcheck: run.healthcheck.clone(),
        stop_timeout: run.stop_timeout,
    })
}

fn environment(list: &[String]) -> Result<Vec<EnvEntry>, BadImage> {
    if list.len() > MAX_ENTRIES {
        return bad("environment", "", "there are too many variables", "");
    }
    let mut entries = Vec::new();
    for text in list {
        match EnvEntry::parse(text) {
            Ok(entry @ EnvEntry::Set { .. }) => entries.push(entry),
            Ok(EnvEntry::Inherit { .. }) => {
                return bad("variable", text, "it has no value, and does not take the caller's", "");
            }
            Err(problem) => return bad("variable", text, words(problem), ""),
        }
    }
    Ok(entries)
}

/// docker takes a path that is not absolute from the root on.
fn directory(text: &str) -> Result<Destination, BadImage> {
    let absolute = if text.starts_with('/') { text.to_owned() } else { format!("/{text}") };
    Destination::read(&absolute)
        .or_else(|problem| bad("working directory", text, words(problem), "--workdir"))
}

/// Each is a volume without a name, unless something else is mounted right there.
fn volumes<'a>(flags: &mut RunFlags, paths: impl Iterator<Item = &'a String>) -> Result<(), BadImage> {
    for (count, text) in paths.enumerate() {
        if count == MAX_VOLUMES {
            return bad("volumes", "", "there are too many", "");
        }
        let destination =
            Destination::read_below_root(text).or_else(|problem| bad("volume", text, words(problem), ""))?;
        if flags.mounts.iter().all(|mount| *mount.destination() != destination) {
            flags.mounts.push(Mount::Volume(VolumeMount::anonymous(destination)));
        }
    }
    Ok(())
}

/// What the image listens on is exposed, as with `--expose`.
fn expose<'a>(flags: &mut RunFlags, ports: impl Iterator<Item = &'a String>) {
    for text in ports.take(MAX_ENTRIES) {
        if let Ok(port) = text.parse::<Expose>()
            && !flags.places.expose.contains(&port)
        {
            flags.places.expose.push(port);
        }
    }
}

/// `PORT[-PORT][/PROTOCOL]`; what is anything else says nothing.
fn is_port(text: &str) -> bool {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let number = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
    };
    matches!(protocol, "tcp" | "udp" | "sctp")
        && match ports.split_once('-') {
            Some((first, last)) => number(first) && number(last),
            None => number(ports),
        }
}

fn words(problem: Problem) -> String {
    problem.to_string()
}

fn bad<T>(
    what: &'static str,
    text: &str,
    problem: impl Into<String>,
    flag: &'static str,
) -> Result<T, BadImage> {
    Err(BadImage { what, text: text.to_owned(), problem: problem.into(), flag })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::tests::{flags, value};
    use expect_test::expect;

    fn config(json: &str) -> ImageConfig {
        images::config::parse(format!(r#"{{"config": {json}}}"#).as_bytes()).unwrap()
    }

    fn applied(json: &str, entrypoint: Option<&str>, change: impl FnOnce(&mut RunFlags)) -> String {
        let mut flags = flags(|flags| {
            flags.args.clear();
            change(flags);
        });
        match apply(&mut flags, &config(json), entrypoint) {
            Ok(_) => format!("{:?}\n", flags.args),
            Err(error) => format!("!! {error}\n"),
        }
    }

    #[test]
    fn entry_point_and_command_are_joined_as_docker_joins_them() {
        let both = r#"{"Entrypoint": ["/entry", "-x"], "Cmd": ["serve"]}"#;
        let given = |flags: &mut RunFlags| flags.args = vec!["other".to_owned(), "-v".to_owned()];
        let text = [
            applied(both, None, |_| ()),
            applied(both, None, given),
            applied(both, Some("/bin/sh"), |_| ()),
            applied(both, Some("/bin/sh"), given),
            applied(both, Some(""), given),
            applied(both, Some(""), |_| ()),
            applied(r#"{"Cmd": ["serve"]}"#, None, |_| ()),
            applied(r#"{"Cmd": ["serve"]}"#, None, given),
            applied(r#"{"Entrypoint": "/entry"}"#, None, |_| ()),
            applied("{}", None, |_| ()),
            applied("null", None, given),
        ];
        expect![[r#"
            ["/entry", "-x", "serve"]
            ["/entry", "-x", "other", "-v"]
            ["/bin/sh"]
            ["/bin/sh", "other", "-v"]
            ["other", "-v"]
            !! the image's command: it was taken away, and no program is given
            ["serve"]
            ["other", "-v"]
            ["/entry"]
            !! the image's command: it names no program, and none is given
            ["other", "-v"]
        "#]]
        .assert_eq(&text.concat());
    }

    #[test]
    fn flags_go_before_the_image() {
        let json = r#"{"Cmd": ["x"], "Env": ["A=image", "B=image"], "User": "www-data:www-data", "WorkingDir": "srv", "StopSignal": "SIGQUIT"}"#;
        let mut own = flags(|_| ());
        apply(&mut own, &config(json), None).unwrap();
        assert_eq!(own.workdir.as_ref().unwrap().as_path(), std::path::Path::new("/srv"));
        assert_eq!(own.user, Some(value("www-data:www-data")));
        assert_eq!(own.stop_signal.map(|signal| signal.to_string()).as_deref(), Some("SIGQUIT"));
        assert_eq!(own.args, ["true"]);

        let mut given = flags(|flags| {
            flags.env = vec![value("B=mine"), value("C")];
            flags.user = Some(value("7"));
            flags.workdir = Some(value("/w"));
            flags.stop_signal = Some("HUP".parse().unwrap());
        });
        apply(&mut given, &config(json), None).unwrap();
        assert_eq!(given.env, ["A=image", "B=image", "B=mine", "C"].map(value), "a later entry wins");
        assert_eq!((given.user, given.workdir), (Some(value("7")), Some(value("/w"))));
    }

    #[test]
    fn what_an_image_cannot_mean_is_refused_and_never_taken_from_the_caller() {
        let text = [
            applied(r#"{"Cmd": ["x"], "User": "4294967295"}"#, None, |_| ()),
            applied(r#"{"Cmd": ["x"], "User": "a:"}"#, None, |_| ()),
            applied(r#"{"Cmd": ["x"], "WorkingDir": "/a/../.."}"#, None, |_| ()),
            applied(r#"{"Cmd": ["x"], "StopSignal": "SIGNONE"}"#, None, |_| ()),
            applied(r#"{"Cmd": ["x"], "Volumes": {"/../etc": {}}}"#, None, |_| ()),
            applied(r#"{"Cmd": ["x"], "Volumes": {"/": {}}}"#, None, |_| ()),
        ];
        expect![[r#"
            !! the image's user `4294967295`: 4294967295 is too large, ids end at 4294967294
            !! the image's user `a:`: the group is empty
            !! the image's working directory `/a/../..`: `/a/../..` contains `..`
            !! the image's stop signal `SIGNONE`: there is no such signal
            !! the image's volume `/../etc`: `/../etc` contains `..`
            !! the image's volume `/`: `/` is the container's root itself
        "#]]
        .assert_eq(&text.concat());
        // images::config refuses it before; whoever calls without it gets no further.
        let mut bare = config("{}");
        bare.config.env = vec!["HOME".to_owned()];
        let error = apply(&mut flags(|_| ()), &bare, None).unwrap_err();
        assert!(error.to_string().contains("no value"), "{error}");
    }

    #[test]
    fn labels_are_data() {
        let json = r#"{"Cmd": ["x"], "Labels": {"run.oci.handler": "x", "org.example": "y"}, "ExposedPorts": {"80/tcp": {}, "53/udp": {}, "x": {}, "99999": {}}}"#;
        let mut own = flags(|_| ());
        let facts = apply(&mut own, &config(json), None).unwrap();
        assert!(own.labels.is_empty() && own.annotations.is_empty());
        assert_eq!(facts.labels.len(), 2);
        assert_eq!(facts.exposed_ports, ["53/udp", "80/tcp"]);
    }

    #[test]
    fn a_volume_of_the_image_is_one_of_the_container_unless_something_else_is_there() {
        let json = r#"{"Cmd": ["x"], "Volumes": {"/data": {}, "/var/lib/db": {}}}"#;
        let mut own = flags(|_| ());
        let facts = apply(&mut own, &config(json), None).unwrap();
        assert_eq!((own.mounts.len(), facts.volumes.len()), (2, 2));
        assert!(own.mounts.iter().all(|mount| mount.volume().is_some_and(|volume| volume.anonymous)));
        let mut given = flags(|flags| flags.mounts = vec![value("type=bind,src=/x,dst=/var/lib/db")]);
        apply(&mut given, &config(json), None).unwrap();
        assert_eq!(given.mounts.len(), 2, "{:?}", given.mounts);
        assert!(given.check().is_ok());
    }

    #[test]
    fn ports_of_the_image_are_exposed() {
        let json = r#"{"Cmd": ["x"], "ExposedPorts": {"80/tcp": {}, "53/udp": {}, "x": {}, "99999": {}}}"#;
        let mut own = flags(|flags| flags.places.expose = vec![value("80")]);
        apply(&mut own, &config(json), None).unwrap();
        assert_eq!(own.places.expose, [value("80"), value("53/udp")]);
    }
}
