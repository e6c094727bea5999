//! The network of an ordinary user's container: pasta (passt.top), a program of its own that carries packets between the container and
//! sockets of the user.
//!
//! [`usable`] tells whether it can be had here, [`Pasta::start`] connects a container by it. It is told a name for the container's network
//! namespace, a link in our own directory, and ends when that is removed; so removing what a killed holm left ends what that started.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use network::{Protocol, Publish};
use report::{BoxedExplain, Kind};
use rustix::fs::{FlockOperation, flock};
use sys::pidfd::Identity;

use crate::host::{Caller, boxed};
use crate::rules::Refused;

const NAME: &str = "pasta";
const DEVICE: &str = "/dev/net/tun";
/// What names are asked of where the host's servers listen on its own loopback interface only: pasta passes that on.
pub(crate) const RESOLVER: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 1, 1));

/// The program, where it can be used by this process.
///
/// # Errors
/// Why not, and what to do.
pub(crate) fn usable() -> Result<PathBuf, (&'static str, &'static str)> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let program = std::env::split_paths(&path)
        .map(|place| place.join(NAME))
        .find(|program| program.is_file())
        .ok_or((
            "pasta, which connects containers of ordinary users, is not installed",
            "install it (Debian's package is passt), or leave the container without a network: --network none",
        ))?;
    match File::options().read(true).write(true).open(DEVICE) {
        Ok(_) => Ok(program),
        Err(error) if error.kind() == ErrorKind::NotFound => Err((
            "pasta needs /dev/net/tun, which is not there",
            "load the module tun, or use --network none",
        )),
        Err(_) => Err((
            "pasta needs /dev/net/tun, which this user may not open",
            "give everybody the right to it, as distributions do (chmod 666 /dev/net/tun), or use --network none",
        )),
    }
}

pub(crate) fn refused(flag: &str, (problem, advice): (&str, &str)) -> BoxedExplain {
    boxed(Refused {
        flag: flag.to_owned(),
        problem: problem.to_owned(),
        advice: advice.to_owned(),
        kind: Kind::Unsupported,
    })
}

/// The arguments that publish ports.
///
/// # Errors
/// What pasta cannot publish.
pub(crate) fn ports(publish: &[Publish]) -> Result<Vec<String>, BoxedExplain> {
    let mut arguments = Vec::new();
    for (flag, protocol) in [("-t", Protocol::Tcp), ("-u", Protocol::Udp)] {
        let before = arguments.len();
        for port in publish.iter().filter(|port| port.protocol == protocol) {
            let Some(host) = port.host else {
                return Err(refused(
                    "--publish",
                    ("pasta takes no port of the host's choice", "name the port of the host: -p 8080:80"),
                ));
            };
            let address = port.host_ip.map(|address| format!("{address}/")).unwrap_or_default();
            let range = |first: u16, last: u16| {
                if first == last { first.to_string() } else { format!("{first}-{last}") }
            };
            let (host, inside) =
                (range(host.first, host.last), range(port.container.first, port.container.last));
            arguments.extend([flag.to_owned(), format!("{address}{host}:{inside}")]);
        }
        if arguments.len() == before {
            arguments.extend([flag.to_owned(), "none".to_owned()]);
        }
    }
    if publish.iter().any(|port| !matches!(port.protocol, Protocol::Tcp | Protocol::Udp)) {
        return Err(refused(
            "--publish",
            ("pasta carries tcp and udp only", "leave the protocol out, or run as root"),
        ));
    }
    Ok(arguments)
}

/// A container that is connected.
#[derive(Debug)]
pub(crate) struct Pasta {
    place: PathBuf,
    /// Locked for as long as the container is kept; none once another process keeps it.
    lock: Option<File>,
}

/// What pasta knows the namespace by, and the lock beside it.
const LINK: &str = "ns";
const LOCK: &str = "lock";
/// The container's first process: as long as that runs the directory is its own, whether anybody has the lock or not.
const LIFE: &str = "life";

fn directory(caller: &Caller) -> PathBuf {
    caller.run_directory.join(NAME)
}

impl Pasta {
    /// Connects a container's network namespace, and returns when its links are there.
    ///
    /// # Errors
    /// What pasta says.
    pub(crate) fn start(
        caller: &Caller,
        id: &str,
        ports: &[String],
        forward_names: bool,
        namespace: OwnedFd,
    ) -> Result<Self, BoxedExplain> {
        let program = usable().map_err(|why| refused("--network pasta", why))?;
        let owner = sys::ns::owner(&namespace).map_err(boxed)?;
        let failed =
            |problem: String| refused("--network pasta", (&problem, "`man pasta` tells what it needs"));
        let place = directory(caller).join(id);
        let pasta = Self::hold(place.clone())
            .map_err(|error| failed(format!("{} cannot be made: {error}", place.display())))?;
        let mut command = Command::new(program);
        command.args(["--config-net", "--quiet", "--no-map-gw", "-T", "none", "-U", "none"]).args(ports);
        if forward_names {
            command.arg("--dns-forward").arg(RESOLVER.to_string());
        }
        // It joins the user namespace first. From in there it may not look at our descriptors, but at its own.
        command.arg("--userns").arg(format!("/proc/{}/fd/{}", std::process::id(), owner.as_raw_fd()));
        command.arg("--netns").arg(place.join(LINK)).stdin(Stdio::from(namespace));
        // It goes on beside us once all is set up, with these streams; so they must not be a pipe that somebody reads to its end.
        let said = tempfile(&place).map_err(|error| failed(format!("no file for what it says: {error}")))?;
        let errors = said.try_clone().map_err(|error| failed(error.to_string()))?;
        match command.stdout(Stdio::null()).stderr(errors).status() {
            Ok(status) if status.success() => Ok(pasta),
            Ok(_) => Err(failed(format!("pasta: {}", last_words(said)))),
            Err(error) => Err(failed(format!("pasta cannot be executed: {error}"))),
        }
    }

    /// Makes the directory of a container, and takes its lock.
    fn hold(place: PathBuf) -> std::io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&place)?;
        let lock = File::create(place.join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        // From here on the directory goes with this.
        let pasta = Self { place, lock: Some(lock) };
        std::os::unix::fs::symlink("/proc/self/fd/0", pasta.place.join(LINK))?;
        Ok(pasta)
    }

    /// Leaves it as it is, and returns the descriptor that keeps it: once that is closed the next sweep ends it.
    pub(crate) fn into_held(mut self) -> Option<OwnedFd> {
        self.lock.take().map(OwnedFd::from)
    }
}

impl Drop for Pasta {
    fn drop(&mut self) {
        if self.lock.is_some() {
            remove(&self.place);
        }
    }
}

/// Removes a container's directory. pasta watches the link in it, and ends with that.
fn remove(place: &Path) {
    let _ = fs::remove_file(place.join(LINK));
    let _ = fs::remove_file(place.join(LIFE));
    let _ = fs::remove_file(place.join(LOCK));
    let _ = fs::remove_dir(place);
}

/// Ends what killed processes of ours left: directories whose lock nobody holds, of containers that do not run.
pub(crate) fn sweep(caller: &Caller) {
    for entry in fs::read_dir(directory(caller)).into_iter().flatten().flatten() {
        let place = entry.path();
        let held = File::open(place.join(LOCK))
            .is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err());
        if !held && !lives(&place) {
            remove(&place);
        }
    }
}

/// Notes whose a container's directory is. One that is not connected so has none.
pub(crate) fn note(caller: &Caller, id: &str, whose: Identity) {
    let place = directory(caller).join(id);
    if place.join(LOCK).exists() {
        // Without it the directory goes with a monitor that is killed.
        let _ = fs::write(place.join(LIFE), whose.to_string());
    }
}

fn lives(place: &Path) -> bool {
    let text = fs::read_to_string(place.join(LIFE)).unwrap_or_default();
    text.parse().is_ok_and(|whose: Identity| whose.lives())
}

/// Takes the lock of a container's directory again; none where there is none, or somebody has it.
pub(crate) fn hold(caller: &Caller, id: &str) -> Option<OwnedFd> {
    let lock = File::open(directory(caller).join(id).join(LOCK)).ok()?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).ok()?;
    Some(lock.into())
}

/// A file without a name.
fn tempfile(place: &Path) -> std::io::Result<File> {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    Ok(openat(CWD, place, flags, Mode::RUSR | Mode::WUSR)?.into())
}

/// What a program said last, without what it says about its log.
fn last_words(mut said: File) -> String {
    use std::io::{Read, Seek};
    let mut text = String::new();
    let _ = said.rewind();
    let _ = said.take(16 * 1024).read_to_string(&mut text);
    let mut lines = text.lines().filter(|line| !line.contains("syslog") && !line.trim().is_empty());
    lines.next_back().unwrap_or("it failed and said nothing").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(list: &[&str]) -> Result<String, String> {
        let publish: Vec<Publish> = list.iter().map(|text| text.parse().unwrap()).collect();
        ports(&publish).map(|words| words.join(" ")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_directory_stays_as_long_as_its_container_runs_or_somebody_has_its_lock() {
        let base = std::env::temp_dir().join(format!("holm-pasta-{}", std::process::id()));
        let caller = Caller { run_directory: base.clone(), ..Caller::read() };
        let names = || {
            let mut names: Vec<_> = fs::read_dir(directory(&caller))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        let own = rustix::process::getpid();
        let handle = rustix::process::pidfd_open(own, rustix::process::PidfdFlags::empty()).unwrap();
        let whose = Identity::of(own.as_raw_nonzero().get(), std::os::fd::AsFd::as_fd(&handle));
        let mut held = Vec::new();
        for id in ["kept", "lives", "gone", "other"] {
            held.extend(Pasta::hold(directory(&caller).join(id)).unwrap().into_held());
        }
        note(&caller, "lives", whose);
        note(&caller, "other", Identity { handle: whose.handle + 1, start: whose.start + 1, ..whose });
        held.truncate(1);
        sweep(&caller);
        let left = names();
        let again = (hold(&caller, "kept").is_some(), hold(&caller, "lives").is_some());
        drop(held);
        sweep(&caller);
        let last = names();
        fs::remove_dir_all(&base).unwrap();
        assert_eq!((left, again), (vec!["kept".to_owned(), "lives".to_owned()], (false, true)));
        assert_eq!(last, ["lives"]);
    }

    #[test]
    fn ports_become_arguments_and_nothing_else_is_forwarded() {
        assert_eq!(arguments(&[]).unwrap(), "-t none -u none");
        assert_eq!(arguments(&["8080:80"]).unwrap(), "-t 8080:80 -u none");
        assert_eq!(
            arguments(&["127.0.0.1:8000-8001:80-81", "53:53/udp", "9:9"]).unwrap(),
            "-t 127.0.0.1/8000-8001:80-81 -t 9:9 -u 53:53"
        );
        assert!(arguments(&["80"]).is_err());
        assert!(arguments(&["80:80/sctp"]).is_err());
    }
}
