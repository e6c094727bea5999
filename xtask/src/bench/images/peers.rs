//! The engines: how each is started with an empty store, and told to fetch.

use crate::workspace::which;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The name under which our engine appears.
pub(super) const OURS: &str = "holm";

/// What one fetch cost.
pub(super) struct Cost {
    pub(super) ms: f64,
    /// The most memory of all its processes at one time, daemons included, as far as looking every 5 ms shows; 0 if nobody looked.
    pub(super) peak_kib: u64,
}

/// An engine.
pub(super) trait Peer {
    fn name(&self) -> &str;
    fn version(&self) -> String;
    /// Brings it up with the empty store `store`.
    fn start(&self, store: &Path) -> Result<Session, String>;
}

/// An engine that is up.
pub(super) struct Session {
    daemon: Option<Daemon>,
    /// The words of the fetch; `{}` stands for the image's name.
    words: Vec<String>,
    env: Vec<(String, String)>,
    clean: bool,
    store: PathBuf,
}

impl Session {
    /// Fetches an image. Looking at its memory meanwhile (`look`) takes processor time from it.
    pub(super) fn fetch(&self, name: &str, look: bool) -> Result<Cost, String> {
        if self.clean {
            // What has no notion of fetching again begins anew.
            let _ = fs::remove_dir_all(self.store.join("out"));
        }
        let words: Vec<String> = self.words.iter().map(|word| word.replace("{}", name)).collect();
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .envs(self.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let ended = AtomicBool::new(false);
        let daemon = self.daemon.as_ref().map(|daemon| daemon.0.id());
        std::thread::scope(|scope| {
            let began = Instant::now();
            let child = command.spawn().map_err(|error| format!("{}: {error}", words[0]))?;
            let tops: Vec<u32> = daemon.into_iter().chain([child.id()]).collect();
            let ended = &ended;
            let watcher = look.then(|| scope.spawn(move || watch(&tops, ended)));
            let output = child.wait_with_output();
            let ms = began.elapsed().as_secs_f64() * 1e3;
            ended.store(true, Ordering::Relaxed);
            let peak_kib = watcher.and_then(|watcher| watcher.join().ok()).unwrap_or(0);
            let output = output.map_err(|error| error.to_string())?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                return Err(said.lines().last().unwrap_or("it failed").chars().take(160).collect());
            }
            Ok(Cost { ms, peak_kib })
        })
    }
}

/// A daemon, which ends with its session.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.0.id() as i32) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(15) && matches!(self.0.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The most resident memory of some processes and all below them.
fn watch(tops: &[u32], ended: &AtomicBool) -> u64 {
    let mut most = 0;
    while !ended.load(Ordering::Relaxed) {
        most = most.max(tops.iter().map(|pid| resident(*pid)).sum());
        std::thread::sleep(Duration::from_millis(5));
    }
    most
}

fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let own = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = threads.flat_map(|thread| {
        let text = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        text.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()).collect::<Vec<_>>()
    });
    own.unwrap_or(0) + children.map(resident).sum::<u64>()
}

/// All engines that are installed.
pub(super) fn all(holm: &Path, erofs: Option<&Path>) -> Vec<Box<dyn Peer>> {
    let mut list: Vec<Box<dyn Peer>> = Vec::new();
    if ["curl", "openssl", "igzip"].iter().all(|program| which(program).is_some()) {
        list.push(Box::new(Floor));
    }
    list.push(Box::new(Holm(holm.to_owned())));
    if let Some(directory) = erofs
        .map(Path::to_owned)
        .or_else(|| which("mkfs.erofs").and_then(|path| Some(path.parent()?.to_owned())))
        && directory.join("containerd").exists()
    {
        list.push(Box::new(Containerd {
            name: "containerd-erofs",
            directory: Some(directory.clone()),
            erofs: true,
        }));
        list.push(Box::new(Containerd {
            name: "containerd-overlay",
            directory: Some(directory),
            erofs: false,
        }));
    } else if which("containerd").is_some() {
        list.push(Box::new(Containerd { name: "containerd-overlay", directory: None, erofs: false }));
    }
    if which("podman").is_some() {
        list.push(Box::new(Podman));
    }
    if which("dockerd").is_some() {
        list.push(Box::new(Docker));
    }
    if which("skopeo").is_some() && which("umoci").is_some() {
        list.push(Box::new(Skopeo));
    }
    list
}

/// Empties a store, with what is mounted in it.
pub(super) fn clear(store: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let below = mounts
        .lines()
        .rev()
        .filter_map(|line| line.split(' ').nth(1))
        .filter(|point| Path::new(point).starts_with(store));
    for point in below.filter(|point| Path::new(point) != store) {
        let _ = rustix::mount::unmount(point, rustix::mount::UnmountFlags::DETACH);
    }
    let _ = fs::remove_dir_all(store);
    rustix::fs::sync();
}

fn version(program: impl AsRef<std::ffi::OsStr>) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("?").trim().to_owned()
}

fn session(store: &Path, words: &[String]) -> Session {
    Session { daemon: None, words: words.to_vec(), env: Vec::new(), clean: false, store: store.to_owned() }
}

fn daemon(mut command: Command, socket: &Path, log: &Path) -> Result<Daemon, String> {
    let file = fs::File::create(log).map_err(|error| error.to_string())?;
    let other = file.try_clone().map_err(|error| error.to_string())?;
    let mut child =
        command.stdin(Stdio::null()).stdout(file).stderr(other).spawn().map_err(|error| error.to_string())?;
    let began = Instant::now();
    while std::os::unix::net::UnixStream::connect(socket).is_err() {
        let gone = !matches!(child.try_wait(), Ok(None));
        if gone || began.elapsed() > Duration::from_secs(60) {
            let _ = child.kill();
            let _ = child.wait();
            let said = fs::read_to_string(log).unwrap_or_default();
            return Err(format!("the daemon does not come up: {}", said.lines().last().unwrap_or_default()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    // What it does after it listens is not to be measured.
    std::thread::sleep(Duration::from_millis(700));
    Ok(Daemon(child))
}

struct Holm(PathBuf);

impl Peer for Holm {
    fn name(&self) -> &str {
        OURS
    }
    fn version(&self) -> String {
        let output = Command::new(&self.0).arg("version").output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    }
    fn start(&self, store: &Path) -> Result<Session, String> {
        let words = [self.0.display().to_string(), "pull".into(), "--quiet".into(), "{}".into()];
        let env = vec![("HOLM_IMAGES".to_owned(), store.join("images").display().to_string())];
        Ok(Session { env, ..session(store, &words) })
    }
}

/// The same bytes fetched, both digests of each layer computed and compared, inflated by ISA-L, written once and synced, two layers at a time:
/// by curl, openssl and igzip.
struct Floor;

const FLOOR: &str = r#"
set -e
name=$1 out=$2
mkdir -p "$out"; cd "$out"
host=${name%%/*}; rest=${name#*/}; repository=${rest%:*}; tag=${rest##*:}
base="http://$host/v2/$repository"
curl -sf -H 'Accept: application/vnd.docker.distribution.manifest.v2+json' "$base/manifests/$tag" >manifest
tr ',{' '\n\n' <manifest | sed -n 's/.*"digest":"sha256:\([0-9a-f]*\)".*/\1/p' >digests
curl -sf "$base/blobs/sha256:$(head -n 1 digests)" | tr ',[' '\n\n' | sed -n 's/^"sha256:\([0-9a-f]*\)".*/\1/p' >plain
layer() {
    curl -sf "$1/blobs/sha256:$2" | tee >(openssl dgst -sha256 -r >"$2.sum") | igzip -d -c |
        tee >(openssl dgst -sha256 -r >"$2.plain") >"$2.tar"
    sync "$2.tar"
    while [ ! -s "$2.sum" ] || [ ! -s "$2.plain" ]; do sleep 0.001; done
    read -r sum _ <"$2.sum"
    read -r plain _ <"$2.plain"
    [ "$sum" = "$2" ] && [ "$plain" = "$3" ]
}
export -f layer
tail -n +2 digests | paste -d ' ' - plain | xargs -P 2 -L 1 bash -ec 'layer "$0" "$1" "$2"' "$base"
"#;

impl Peer for Floor {
    fn name(&self) -> &str {
        "floor"
    }
    fn version(&self) -> String {
        "curl, openssl and igzip".to_owned()
    }
    fn start(&self, store: &Path) -> Result<Session, String> {
        let out = store.join("out").display().to_string();
        let words =
            ["bash".to_owned(), "-c".to_owned(), FLOOR.to_owned(), "floor".to_owned(), "{}".to_owned(), out];
        Ok(Session { clean: true, ..session(store, &words) })
    }
}

struct Skopeo;

impl Peer for Skopeo {
    fn name(&self) -> &str {
        "skopeo+umoci"
    }
    fn version(&self) -> String {
        format!("{}, {}", version("skopeo"), version("umoci"))
    }
    fn start(&self, store: &Path) -> Result<Session, String> {
        let out = store.join("out").display().to_string();
        let script = format!(
            "set -e; mkdir -p {out}; skopeo copy -q --src-tls-verify=false docker://$1 oci:{out}/oci:x; umoci unpack --image {out}/oci:x {out}/bundle"
        );
        let words = ["sh".to_owned(), "-c".to_owned(), script, "skopeo".to_owned(), "{}".to_owned()];
        Ok(Session { clean: true, ..session(store, &words) })
    }
}

struct Podman;

impl Peer for Podman {
    fn name(&self) -> &str {
        "podman"
    }
    fn version(&self) -> String {
        version("podman")
    }
    fn start(&self, store: &Path) -> Result<Session, String> {
        let at = |name: &str| store.join(name).display().to_string();
        let words = [
            "podman".to_owned(),
            format!("--root={}", at("root")),
            "--runroot=/run/holm-bench-podman".to_owned(),
            format!("--tmpdir={}", at("tmp")),
            "--storage-driver=overlay".to_owned(),
            "--events-backend=none".to_owned(),
            "pull".to_owned(),
            "--quiet".to_owned(),
            "--tls-verify=false".to_owned(),
            "{}".to_owned(),
        ];
        Ok(session(store, &words))
    }
}

struct Docker;

impl Peer for Docker {
    fn name(&self) -> &str {
        "docker"
    }
    fn version(&self) -> String {
        version("dockerd")
    }
    fn start(&self, store: &Path) -> Result<Session, String> {
        let socket = store.join("socket");
        let mut command = Command::new("dockerd");
        command.args([
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
            "--storage-driver=overlay2",
            "--exec-opt=native.cgroupdriver=cgroupfs",
        ]);
        for (flag, name) in [("data-root", "root"), ("exec-root", "exec"), ("pidfile", "pid")] {
            command.arg(format!("--{flag}={}", store.join(name).display()));
        }
        let host = format!("unix://{}", socket.display());
        // One that is there would be read otherwise.
        let config = store.join("daemon.json");
        fs::write(&config, "{}").map_err(|error| error.to_string())?;
        command.arg(format!("--host={host}")).arg(format!("--config-file={}", config.display()));
        let daemon = daemon(command, &socket, &store.join("log"))?;
        let words = [
            "/usr/bin/docker".to_owned(),
            format!("--host={host}"),
            "pull".to_owned(),
            "--quiet".to_owned(),
            "{}".to_owned(),
        ];
        Ok(Session { daemon: Some(daemon), ..session(store, &words) })
    }
}

struct Containerd {
    name: &'static str,
    directory: Option<PathBuf>,
    erofs: bool,
}

impl Containerd {
    fn program(&self, name: &str) -> PathBuf {
        self.directory.as_ref().map_or_else(|| PathBuf::from(name), |directory| directory.join(name))
    }
}

impl Peer for Containerd {
    fn name(&self) -> &str {
        self.name
    }
    fn version(&self) -> String {
        version(self.program("containerd"))
    }
    fn start(&self, store: &Path) -> Result<Session, String> {
        let at = |name: &str| store.join(name).display().to_string();
        let socket = store.join("socket");
        let mut config = format!("root = \"{}\"\nstate = \"{}\"\n", at("root"), at("state"));
        let old = version(self.program("containerd")).contains(" 1.");
        config.insert_str(0, if old { "version = 2\n" } else { "version = 3\n" });
        config.push_str(&format!("[grpc]\naddress = \"{}\"\n", socket.display()));
        if self.erofs {
            config.push_str(
                "[plugins.\"io.containerd.service.v1.diff-service\"]\ndefault = [\"erofs\", \"walking\"]\n",
            );
            config.push_str("[plugins.\"io.containerd.transfer.v1.local\"]\n[[plugins.\"io.containerd.transfer.v1.local\".unpack_config]]\nplatform = \"linux\"\nsnapshotter = \"erofs\"\ndiffer = \"erofs\"\n");
        }
        let file = store.join("config.toml");
        fs::write(&file, config).map_err(|error: io::Error| error.to_string())?;
        let mut command = Command::new(self.program("containerd"));
        command.arg("--config").arg(&file);
        if let Some(directory) = &self.directory {
            let path = std::env::var("PATH").unwrap_or_default();
            command.env("PATH", format!("{}:{path}", directory.display()));
        }
        let daemon = daemon(command, &socket, &store.join("log"))?;
        let mut words = vec![
            self.program("ctr").display().to_string(),
            format!("--address={}", socket.display()),
            "images".to_owned(),
            "pull".to_owned(),
            "--plain-http".to_owned(),
        ];
        if self.erofs {
            words.push("--snapshotter=erofs".to_owned());
        }
        words.push("{}".to_owned());
        Ok(Session { daemon: Some(daemon), ..session(store, &words) })
    }
}
