//! Debian packages of any suite, without a word to the machine's own package manager: its lists, cache and sources are ours.

use crate::workspace::shown;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Lists older than this are read anew.
const FRESH: Duration = Duration::from_secs(24 * 3600);

/// One suite.
pub(super) struct Apt {
    directory: PathBuf,
}

impl Apt {
    /// Reads the lists of `suite`, unless that was done today.
    pub(super) fn of(directory: &Path, suite: &str) -> Result<Self, Box<dyn Error>> {
        let apt = Self { directory: directory.join("apt").join(suite) };
        for part in ["lists/partial", "cache/archives/partial", "packages"] {
            std::fs::create_dir_all(apt.directory.join(part))?;
        }
        std::fs::write(apt.directory.join("sources.list"), sources(suite, &mirror()?))?;
        let done = apt.directory.join("done");
        let age = std::fs::metadata(&done).and_then(|it| it.modified()).ok().and_then(|it| it.elapsed().ok());
        if age.is_none_or(|age| age > FRESH) {
            output(apt.command("apt-get").args(["--error-on=any", "update"]))?;
            std::fs::write(done, "")?;
        }
        Ok(apt)
    }

    /// What `package` depends on, by name; the newest version's.
    pub(super) fn depends(&self, package: &str) -> Result<Vec<String>, Box<dyn Error>> {
        let text = output(self.command("apt-cache").args(["show", "--no-all-versions", package]))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Depends: ")).unwrap_or_default();
        Ok(line.split(',').filter_map(|one| one.split_whitespace().next()).map(str::to_owned).collect())
    }

    /// The package's file, downloaded unless it is there.
    pub(super) fn download(&self, package: &str) -> Result<PathBuf, Box<dyn Error>> {
        let packages = self.directory.join("packages");
        let found = || -> Option<PathBuf> {
            let files = std::fs::read_dir(&packages).ok()?.flatten().map(|entry| entry.path());
            let prefix = format!("{package}_");
            files
                .into_iter()
                .find(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)))
        };
        if let Some(file) = found() {
            return Ok(file);
        }
        output(self.command("apt-get").args(["download", package]).current_dir(&packages))?;
        found().ok_or_else(|| format!("apt-get download {package} left no file").into())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let at = |name: &str, part: &str| format!("{name}={}", self.directory.join(part).display());
        command.arg("-q");
        for option in [
            at("Dir::Etc::sourcelist", "sources.list"),
            at("Dir::State::lists", "lists"),
            at("Dir::Cache", "cache"),
            "Dir::Etc::sourceparts=-".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            // Its own user may not be able to go here.
            "APT::Sandbox::User=".to_owned(),
            "APT::Architecture=amd64".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        command
    }
}

/// Where this machine gets its Debian packages: the archive's address, without a slash at the end.
pub(super) fn mirror() -> Result<String, Box<dyn Error>> {
    let format = ["indextargets", "--format", "$(REPO_URI) $(ORIGIN)", "Created-By: Packages"];
    let text = output(Command::new("apt-get").args(format))?;
    archive(&text)
        .ok_or_else(|| "no source of Debian packages is configured here (apt-get indextargets)".into())
}

/// The first archive of Debian's itself, in lines of an address and an origin.
fn archive(targets: &str) -> Option<String> {
    let mut addresses = targets.lines().filter_map(|line| line.strip_suffix(" Debian"));
    let address = addresses.find(|address| !address.trim_end_matches('/').ends_with("-security"))?;
    Some(address.trim_end_matches('/').to_owned())
}

fn sources(suite: &str, mirror: &str) -> String {
    let key = if Path::new(KEYRING).exists() { format!("[signed-by={KEYRING}] ") } else { String::new() };
    let mut text = format!("deb {key}{mirror} {suite} main\n");
    if suite != "sid" {
        text.push_str(&format!("deb {key}{mirror}-security {suite}-security main\n"));
    }
    text
}

/// What a command prints; its error is the last line that it complained with.
pub(super) fn output(command: &mut Command) -> Result<String, Box<dyn Error>> {
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("{}: {error}", shown(command)))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = errors.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let program = command.get_program().to_string_lossy().into_owned();
        return Err(format!("{program}: {}: {last}", output.status).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::{archive, sources};

    #[test]
    fn sid_has_no_security_updates_of_its_own() {
        let of = |suite| sources(suite, "http://mirror.example/debian");
        assert_eq!(of("sid").lines().count(), 1);
        assert!(of("bullseye").contains("http://mirror.example/debian-security bullseye-security main"));
    }

    #[test]
    fn the_mirror_is_the_one_that_this_machine_uses() {
        let targets = "http://other.example/ Somebody\nhttp://m.example/debian-security/ Debian\nhttp://m.example/debian/ Debian\n";
        assert_eq!(archive(targets).as_deref(), Some("http://m.example/debian"));
        assert_eq!(archive("http://other.example/ Somebody\n"), None);
    }
}
