//! How each engine is brought up on top of a runtime.

use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// An engine that can use another runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Podman,
    Docker,
    Containerd,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) error: String,
}

/// An engine that is up, and how its command line begins.
#[derive(Debug)]
pub(super) struct Session {
    words: Vec<String>,
    log: PathBuf,
    /// The image's name, or the directory with the container's files.
    pub(super) image: String,
    pub(super) runtime: String,
}

/// Everything of an engine's lies below; the room's /tmp is its own.
const HOME: &str = "/tmp/engine";

impl Engine {
    pub(super) const ALL: [Self; 3] = [Self::Podman, Self::Docker, Self::Containerd];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Podman => "podman",
            Self::Docker => "docker",
            Self::Containerd => "containerd",
        }
    }

    pub(super) const fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Podman => &["podman", "conmon"],
            Self::Docker => &["dockerd", "docker", "containerd"],
            Self::Containerd => &["containerd", "ctr"],
        }
    }

    /// Debian's packages with those programs.
    pub(super) const fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Podman => &["podman"],
            Self::Docker => &["docker.io"],
            Self::Containerd => &["containerd"],
        }
    }

    /// Starts the engine, with the archive as an image if it has images.
    pub(super) fn start(self, runtime: &Path, archive: &Path) -> Result<Session, Box<dyn Error>> {
        fs::create_dir_all(HOME)?;
        let home = Path::new(HOME);
        let runtime_text = runtime.to_string_lossy().into_owned();
        let session = |words: &[&str]| Session {
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            log: home.join("log"),
            image: "holm-test".to_owned(),
            runtime: runtime_text.clone(),
        };
        match self {
            Self::Podman => {
                fs::create_dir_all("/etc/containers")?;
                let session = session(&[
                    "podman",
                    "--root=/tmp/engine/root",
                    "--runroot=/tmp/engine/run",
                    "--tmpdir=/tmp/engine/tmp",
                    "--storage-driver=vfs",
                    "--cgroup-manager=cgroupfs",
                    "--events-backend=file",
                    &format!("--runtime={runtime_text}"),
                ]);
                session.import(archive)?;
                Ok(session)
            }
            Self::Docker => {
                let configuration = serde_json::json!({
                    "runtimes": { "holm": { "path": runtime_text } },
                    "default-runtime": "holm",
                    "data-root": "/tmp/engine/root",
                    "exec-root": "/tmp/engine/run",
                    "pidfile": "/tmp/engine/pid",
                    "hosts": ["unix:///tmp/engine/socket"],
                    "bridge": "none",
                    "iptables": false,
                    "ip6tables": false,
                    "storage-driver": "vfs",
                    "exec-opts": ["native.cgroupdriver=cgroupfs"],
                });
                fs::write(home.join("daemon.json"), serde_json::to_vec(&configuration)?)?;
                daemon("dockerd", &["--config-file=/tmp/engine/daemon.json"])?;
                let session = session(&[&docker(), "--host=unix:///tmp/engine/socket"]);
                session.import(archive)?;
                Ok(session)
            }
            Self::Containerd => {
                // Without CAP_SYS_RESOURCE the shim's oom_score_adj cannot be lowered.
                let configuration = "version = 2\n\
                     root = \"/tmp/engine/root\"\n\
                     state = \"/tmp/engine/run\"\n\
                     [grpc]\n\
                     address = \"/tmp/engine/socket\"\n\
                     [plugins.\"io.containerd.grpc.v1.cri\"]\n\
                     restrict_oom_score_adj = true\n";
                fs::write(home.join("config.toml"), configuration)?;
                daemon("containerd", &["--config=/tmp/engine/config.toml"])?;
                let mut session = session(&["ctr", "--address=/tmp/engine/socket"]);
                session.image = "/tmp/engine/rootfs".to_owned();
                fs::create_dir_all(&session.image)?;
                let unpack = Command::new("tar").args(["-C", &session.image, "-xf"]).arg(archive).status()?;
                if !unpack.success() {
                    return Err("the archive cannot be unpacked".into());
                }
                Ok(session)
            }
        }
    }
}

/// Debian's client: another one of that name may come first in PATH, without the commands that the test needs.
fn docker() -> String {
    let debian = Path::new("/usr/bin/docker");
    if debian.exists() { "/usr/bin/docker".to_owned() } else { "docker".to_owned() }
}

/// Starts a daemon and waits for its socket. It ends with the room.
fn daemon(program: &str, arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    let home = Path::new(HOME);
    let log = File::create(home.join("log"))?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    let began = Instant::now();
    while !home.join("socket").exists() {
        if began.elapsed() > Duration::from_secs(60) || child.try_wait()?.is_some() {
            let said = fs::read_to_string(home.join("log"))?;
            return Err(format!("{program} does not come up: {said}").into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

impl Session {
    /// Runs a command of the engine's.
    pub(super) fn say(&self, arguments: &[&str]) -> Said {
        self.output(Command::new(&self.words[0]).args(&self.words[1..]).args(arguments))
    }

    /// The same on a terminal of its own, which script(1) makes.
    pub(super) fn say_on_terminal(&self, arguments: &[&str]) -> Said {
        let words: Vec<&str> =
            self.words.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        self.output(Command::new("script").args(["-qec", &words.join(" "), "/dev/null"]))
    }

    fn output(&self, command: &mut Command) -> Said {
        match command.stdin(Stdio::null()).output() {
            Ok(output) => Said {
                code: output.status.code().unwrap_or(-1),
                out: String::from_utf8_lossy(&output.stdout).trim().to_owned(),
                error: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            },
            Err(error) => Said { code: -1, out: String::new(), error: error.to_string() },
        }
    }

    fn import(&self, archive: &Path) -> Result<(), Box<dyn Error>> {
        let said = self.say(&["import", &archive.to_string_lossy(), &self.image]);
        if said.code == 0 { Ok(()) } else { Err(format!("import: {}", said.error).into()) }
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}
