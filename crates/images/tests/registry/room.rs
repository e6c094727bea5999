//! A place for one test: a directory, a network namespace where that is permitted, and registries that end with it.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use images::credentials::Credentials;
use images::reference::{Host, Repository};
use images::registry::approved::Approved;
use images::registry::http::{Patience, Settings};
use images::registry::{Client, Endpoint};

/// `holm` and `s3cret`, as htpasswd -B writes them.
pub(crate) const HTPASSWD: &str = "holm:$2y$05$zBc1nTQBAzn7428g5LLcwusc581E0vwr4.VimEg5MhVkgJuOUUkPW\n";
pub(crate) const USER: &str = "holm";
pub(crate) const PASSWORD: &str = "s3cret";

const CLONE_NEWNET: u64 = 0x4000_0000;

pub(crate) struct Room {
    pub(crate) dir: PathBuf,
    /// Whether the network is this test's alone.
    pub(crate) alone: bool,
}

impl Room {
    /// A room, unless Debian's registry is missing.
    pub(crate) fn new(test: &str) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let found = std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join("docker-registry").exists()));
        if !found {
            eprintln!("SKIPPED {test}: there is no docker-registry");
            return None;
        }
        let dir = std::env::temp_dir().join(format!(
            "holm-registry-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        ));
        fs::create_dir_all(&dir).unwrap();
        let alone = sys::raw::unshare(CLONE_NEWNET).is_ok()
            && Command::new("ip")
                .args(["link", "set", "lo", "up"])
                .status()
                .is_ok_and(|status| status.success());
        Some(Self { dir, alone })
    }

    /// A port that is free on 127.0.0.1 now.
    pub(crate) fn port(&self) -> u16 {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    /// A registry at `address`; `more` is added to its configuration.
    pub(crate) fn registry_at(&self, address: &str, more: &str, tls: &str) -> Registry {
        let name = format!("registry-{}", address.replace(':', "-"));
        let config = self.dir.join(format!("{name}.yml"));
        fs::write(
            &config,
            format!(
                "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\nhttp:\n  addr: {address}\n{tls}{more}",
                self.dir.join(&name).display()
            ),
        )
        .unwrap();
        let log = fs::File::create(self.dir.join(format!("{name}.log"))).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let registry = Registry { child, address: address.parse().unwrap() };
        let until = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(registry.address).is_err() {
            let said = || fs::read_to_string(self.dir.join(format!("{name}.log"))).unwrap_or_default();
            assert!(Instant::now() < until, "the registry does not listen: {}", said());
            thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    /// A plain one on a free port.
    pub(crate) fn registry(&self) -> Registry {
        self.registry_at(&format!("127.0.0.1:{}", self.port()), "", "")
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).unwrap();
        }
        fs::write(&path, text).unwrap();
        path
    }

    /// A credential file with one entry.
    pub(crate) fn credentials(&self, host: &str, entry: &str) -> Credentials {
        Credentials::at(self.file("auth.json", &format!(r#"{{"auths": {{"{host}": {entry}}}}}"#)))
    }

    /// What a client of this room is like: short pauses, its own directory of certificates, no proxy.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            certificates: vec![self.dir.join("certs.d")],
            patience: Patience {
                attempts: 4,
                pause: Duration::from_millis(10),
                connect: Duration::from_secs(5),
                silence: Duration::from_secs(10),
            },
            ..Settings::default()
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.settings(), Credentials::none(), Approved::default())
    }

    pub(crate) fn client_as(&self, credentials: Credentials) -> Client {
        Client::new(self.settings(), credentials, Approved::default())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

pub(crate) struct Registry {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Registry {
    pub(crate) fn host(&self) -> Host {
        Host::parse(&self.address.to_string()).unwrap()
    }

    pub(crate) fn endpoint(&self, repository: &str) -> Endpoint {
        endpoint(self.address, repository)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn endpoint(address: SocketAddr, repository: &str) -> Endpoint {
    Endpoint {
        host: Host::parse(&address.to_string()).unwrap(),
        repository: Repository::parse(repository).unwrap(),
        insecure: false,
        mirror: false,
    }
}

/// `USER:PASSWORD` as credential files have it.
pub(crate) fn auth(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!(
        r#"{{"auth": "{}"}}"#,
        base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))
    )
}

/// The configuration of htpasswd.
pub(crate) fn htpasswd(room: &Room) -> String {
    let path: PathBuf = room.file("htpasswd", HTPASSWD);
    let path: &Path = &path;
    format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", path.display())
}
