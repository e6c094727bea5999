//! A host of a test's own, with bridges and containers on them: network namespaces joined by veth pairs.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use dns::{Entry, Zone, wire};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};

pub(crate) const HOLM: &str = env!("CARGO_BIN_EXE_holm");
const CLONE_NEWNS: u64 = 0x0002_0000;
const CLONE_NEWNET: u64 = 0x4000_0000;

/// The namespaces of this thread, which end with it, and what runs in them.
pub(crate) struct Lab {
    pub(crate) directory: PathBuf,
}

impl Lab {
    /// Moves this thread to new namespaces with a `/run` and an `/etc` of their own, or says why not.
    pub(crate) fn new(test: &str) -> Option<Self> {
        if let Err(errno) = sys::raw::unshare(CLONE_NEWNS | CLONE_NEWNET) {
            eprintln!("SKIPPED {test}: no namespaces of its own: {errno}");
            return None;
        }
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        for place in ["/run", "/etc"] {
            mount("none", place, "tmpfs", MountFlags::empty(), None).unwrap();
        }
        let lab = Self { directory: PathBuf::from("/run/names") };
        if !lab.try_ip("link add probe type bridge")
            || !lab.try_ip("link add probe0 type veth peer name probe1")
        {
            eprintln!("SKIPPED {test}: no bridge or veth links here");
            return None;
        }
        lab.ip("link del probe");
        lab.ip("link del probe0");
        lab.ip("link set lo up");
        lab.resolvers("192.0.2.53");
        Some(lab)
    }

    fn try_ip(&self, line: &str) -> bool {
        let mut command = Command::new(HOLM);
        command.arg("ip").args(line.split(' ')).stdin(Stdio::null()).stderr(Stdio::null());
        command.status().unwrap().success()
    }

    pub(crate) fn ip(&self, line: &str) {
        assert!(self.try_ip(line), "ip {line}");
    }

    /// Writes the host's resolv.conf as tools do: another file in its place.
    pub(crate) fn resolvers(&self, address: &str) {
        fs::write("/etc/.new", format!("nameserver {address}\n")).unwrap();
        fs::rename("/etc/.new", "/etc/resolv.conf").unwrap();
    }

    /// A bridge `brN` with 10.89.N.1 and fd00:89:N::1.
    pub(crate) fn network(&self, number: u8, internal: bool) -> Zone {
        self.ip(&format!("link add br{number} type bridge"));
        self.ip(&format!("addr add 10.89.{number}.1/24 dev br{number}"));
        self.ip(&format!("addr add fd00:89:{number}::1/64 dev br{number} nodad"));
        self.ip(&format!("link set br{number} up"));
        zone(number, internal)
    }

    /// A namespace on a bridge, with the addresses that end in `last`.
    pub(crate) fn container(&self, name: &str, network: u8, last: u8) {
        self.ip(&format!("netns add {name}"));
        self.ip(&format!("link add v{name} type veth peer name eth0 netns {name}"));
        self.ip(&format!("link set v{name} master br{network}"));
        self.ip(&format!("link set v{name} up"));
        for line in [
            "link set lo up".to_owned(),
            "link set eth0 up".to_owned(),
            format!("addr add 10.89.{network}.{last}/24 dev eth0"),
            format!("addr add fd00:89:{network}::{last}/64 dev eth0 nodad"),
            format!("route add default via 10.89.{network}.1"),
        ] {
            self.ip(&format!("-n {name} {line}"));
        }
    }

    /// Publishes names of a container. The server hears of it when the kernel tells it, so the test waits for the answer.
    pub(crate) fn attach(&self, zone: &Zone, name: &str, last: u8) {
        self.announce(zone, name, last);
        self.ensure(&zone.network).unwrap();
        dns::refresh(&self.directory, &zone.network).unwrap();
    }

    pub(crate) fn announce(&self, zone: &Zone, name: &str, last: u8) {
        dns::announce(&self.directory, zone, &entry(zone, name, last)).unwrap();
    }

    pub(crate) fn ensure(&self, network: &str) -> Result<(), dns::Error> {
        dns::ensure(&self.directory, network, &[HOLM.as_ref(), dns::SUBCOMMAND.as_ref()])
    }

    /// The servers of this lab that run, with their names.
    pub(crate) fn servers(&self) -> Vec<(i32, String)> {
        servers(&fs::metadata("/proc/thread-self/ns/net").unwrap())
    }

    pub(crate) fn server(&self, name: &str) -> Option<i32> {
        self.servers().into_iter().find(|(_, found)| found == name).map(|(pid, _)| pid)
    }

    /// Waits until no server runs.
    pub(crate) fn wait_for_end(&self) {
        let until = Instant::now() + Duration::from_secs(10);
        while !self.servers().is_empty() {
            assert!(Instant::now() < until, "still there: {:?}", self.servers());
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // A lab whose test failed has names left; without them the server ends.
        for network in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let _ = fs::remove_dir_all(network.path());
        }
    }
}

fn servers(own: &fs::Metadata) -> Vec<(i32, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let Ok(name) = fs::read_to_string(entry.path().join("comm")) else { continue };
        let name = name.trim_end().to_owned();
        if !name.starts_with("holm-dns") {
            continue;
        }
        let Ok(namespace) = fs::metadata(entry.path().join("ns/net")) else { continue };
        // Of a dead process nothing is left but its number.
        let dead = fs::read_to_string(entry.path().join("stat")).is_ok_and(|stat| stat.contains(") Z "));
        if (namespace.dev(), namespace.ino()) == (own.dev(), own.ino()) && !dead {
            found.push((pid, name));
        }
    }
    found
}

pub(crate) fn zone(number: u8, internal: bool) -> Zone {
    Zone {
        network: format!("net{number}"),
        device: format!("br{number}"),
        gateways: vec![IpAddr::from([10, 89, number, 1]), format!("fd00:89:{number}::1").parse().unwrap()],
        subnets: vec![
            (IpAddr::from([10, 89, number, 0]), 24),
            (format!("fd00:89:{number}::").parse().unwrap(), 64),
        ],
        internal,
        resolvers: Vec::new(),
    }
}

pub(crate) fn entry(zone: &Zone, name: &str, last: u8) -> Entry {
    let number = zone.network.trim_start_matches("net");
    Entry {
        container: format!("id-{name}"),
        names: vec![name.to_owned(), "all".to_owned()],
        addresses: vec![
            format!("10.89.{number}.{last}").parse().unwrap(),
            format!("fd00:89:{number}::{last}").parse().unwrap(),
        ],
        resolvers: Vec::new(),
    }
}

/// Does something in the namespace of a container.
pub(crate) fn within<R: Send>(name: &str, action: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            let namespace = File::open(Path::new("/run/netns").join(name)).unwrap();
            sys::ns::join(&namespace, CLONE_NEWNET).unwrap();
            action()
        });
        inside.join().unwrap()
    })
}

/// Asks over UDP; nothing when there is no answer within the time.
pub(crate) fn ask_for(server: &str, query: &[u8], patience: Duration) -> Option<Vec<u8>> {
    let server = SocketAddr::new(server.parse().unwrap(), 53);
    let any: SocketAddr = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().unwrap();
    let socket = UdpSocket::bind(any).unwrap();
    socket.set_read_timeout(Some(patience)).unwrap();
    // Without connect(2), so that a refusal of the host's does not end the wait.
    socket.send_to(query, server).ok()?;
    let mut answer = vec![0; 65536];
    let (length, from) = socket.recv_from(&mut answer).ok()?;
    assert_eq!(from, server);
    answer.truncate(length);
    Some(answer)
}

pub(crate) fn ask(server: &str, name: &str, kind: u16) -> Option<Reply> {
    ask_for(server, &wire::query(7, name, kind, Some(1232)), Duration::from_secs(6))
        .map(|bytes| Reply::read(&bytes))
}

/// Asks over TCP.
pub(crate) fn ask_tcp(server: &str, queries: &[Vec<u8>]) -> Vec<Reply> {
    let address = SocketAddr::new(server.parse().unwrap(), 53);
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
    let mut all = Vec::new();
    for query in queries {
        all.extend((query.len() as u16).to_be_bytes());
        all.extend(query);
    }
    stream.write_all(&all).unwrap();
    queries.iter().map(|_| Reply::read(&read_frame(&mut stream))).collect()
}

pub(crate) fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut bytes = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: u8,
    pub(crate) truncated: bool,
    pub(crate) id: u16,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) answers: u16,
}

impl Reply {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let mut at = 12;
        while bytes[at] != 0 {
            at += 1 + usize::from(bytes[at]);
        }
        at += 5;
        let mut addresses = Vec::new();
        for _ in 0..word(6) {
            assert_eq!(word(at), 0xc00c, "a compressed name");
            let length = usize::from(word(at + 10));
            let data = &bytes[at + 12..at + 12 + length];
            match word(at + 2) {
                1 => addresses.push(IpAddr::from(<[u8; 4]>::try_from(data).unwrap())),
                28 => addresses.push(IpAddr::from(<[u8; 16]>::try_from(data).unwrap())),
                _ => {}
            }
            at += 12 + length;
        }
        addresses.sort();
        Self { code: bytes[3] & 0xf, truncated: bytes[2] & 2 != 0, id: word(0), addresses, answers: word(6) }
    }
}
