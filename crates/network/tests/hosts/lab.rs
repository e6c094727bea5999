//! Hosts made of network namespaces: the thread of a test is the host, others are outside, and containers.
//!
//! ```text
//! outside 192.0.2.9 ---- eth0 192.0.2.1  host  holmN 10.224.x.1 ---- containers
//! 2001:db8::9            2001:db8::1
//! ```

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use netlink::route::links::{self, Which};
use netlink::{Protocol, Requests, Socket};
use network::{Attachment, ContainerNet, EndpointRequest, NetworkRequest, Networks, Places};
use report::Explain as _;

const CLONE_NEWNET: u64 = 0x4000_0000;
/// How long something is waited for that should happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// How long something is waited for that should not happen.
pub(crate) const IMPATIENCE: Duration = Duration::from_millis(300);

pub(crate) struct Lab {
    pub(crate) host: OwnedFd,
    pub(crate) outside: OwnedFd,
    pub(crate) networks: Networks,
    pub(crate) places: Places,
    directory: PathBuf,
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Moves this thread to a new network namespace and returns it.
fn enter_new() -> OwnedFd {
    sys::ns::make(CLONE_NEWNET).unwrap();
    std::fs::File::open("/proc/thread-self/ns/net").unwrap().into()
}

/// A new network namespace with its loopback link up.
pub(crate) fn namespace() -> OwnedFd {
    thread::spawn(|| {
        let own = enter_new();
        let mut batch = Requests::new();
        links::set_up(&mut batch, Which::Index(1), true);
        Socket::open(Protocol::Route).unwrap().transact(&mut batch).unwrap();
        own
    })
    .join()
    .unwrap()
}

/// Does something in a namespace, on a thread of its own.
pub(crate) fn within<T: Send + 'static>(namespace: impl AsFd, act: impl FnOnce() -> T + Send + 'static) -> T {
    let fd = namespace.as_fd().try_clone_to_owned().unwrap();
    thread::spawn(move || {
        sys::ns::join(&fd, CLONE_NEWNET).unwrap();
        act()
    })
    .join()
    .unwrap()
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Writes a setting of the thread's network namespace.
pub(crate) fn set(key: &str, value: &str) {
    std::fs::write(format!("/proc/sys/net/{key}"), value).unwrap();
}

pub(crate) fn get(key: &str) -> String {
    std::fs::read_to_string(format!("/proc/sys/net/{key}")).unwrap().trim().to_owned()
}

/// Gives a link of the thread's namespace addresses, and sets it up.
pub(crate) fn configure(link: &str, addresses: &[(&str, u8)]) {
    let mut socket = Socket::open(Protocol::Route).unwrap();
    let index = links::index_of(&mut socket, link).unwrap();
    // No waiting for others who could have the address.
    set(&format!("ipv6/conf/{link}/accept_dad"), "0");
    let mut batch = Requests::new();
    links::set_up(&mut batch, Which::Index(index), true);
    for (address, prefix) in addresses {
        links::add_address(&mut batch, index, ip(address), *prefix);
    }
    socket.transact(&mut batch).unwrap();
}

pub(crate) fn default_route(link: &str, gateway: &str) {
    let mut socket = Socket::open(Protocol::Route).unwrap();
    let index = links::index_of(&mut socket, link).unwrap();
    let mut batch = Requests::new();
    links::add_default_route(&mut batch, index, ip(gateway));
    socket.transact(&mut batch).unwrap();
}

/// A cable between a link of this thread's namespace and one of another.
pub(crate) fn cable(here: &str, there: &str, namespace: &OwnedFd) {
    let mut batch = Requests::new();
    let between = format!("t{here}");
    links::add_pair(&mut batch, here, &between);
    links::move_to(&mut batch, Which::Named(&between), namespace.as_fd());
    Socket::open(Protocol::Route).unwrap().transact(&mut batch).unwrap();
    let there = there.to_owned();
    within(namespace, move || {
        let mut socket = Socket::open(Protocol::Route).unwrap();
        let index = links::index_of(&mut socket, &between).unwrap();
        let mut batch = Requests::new();
        let header = netlink::route::LinkHeader::default();
        links::begin(&mut batch, netlink::route::NEWLINK, 0, Which::Index(index), header)
            .text(netlink::route::ifla::IFNAME, &there);
        socket.transact(&mut batch).unwrap();
    });
}

/// Makes the thread a host, or says why not.
pub(crate) fn lab(test: &str) -> Option<Lab> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    if let Err(errno) = sys::raw::unshare(CLONE_NEWNET) {
        eprintln!("SKIPPED {test}: no network namespace of its own: {errno}");
        return None;
    }
    if let Err(error) = network::able() {
        eprintln!("SKIPPED {test}: {}", report::one_line(&error));
        return None;
    }
    let host: OwnedFd = std::fs::File::open("/proc/thread-self/ns/net").unwrap().into();
    let mut batch = Requests::new();
    links::set_up(&mut batch, Which::Index(1), true);
    Socket::open(Protocol::Route).unwrap().transact(&mut batch).unwrap();
    let outside = namespace();
    cable("eth0", "eth0", &outside);
    within(&outside, || configure("eth0", &[("192.0.2.9", 24), ("2001:db8::9", 64)]));
    configure("eth0", &[("192.0.2.1", 24), ("2001:db8::1", 64)]);
    default_route("eth0", "192.0.2.9");
    default_route("eth0", "2001:db8::9");
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let directory = std::env::temp_dir().join(format!("holm-network-{}-{number}", std::process::id()));
    let places = Places::below(&directory.join("lib"), &directory.join("run"));
    let networks = Networks::open(&places).unwrap();
    Some(Lab { host, outside, networks, places, directory })
}

impl Lab {
    /// Makes a network as `change` says.
    pub(crate) fn network(&self, name: &str, change: impl FnOnce(&mut NetworkRequest)) -> network::Network {
        let mut request = NetworkRequest::bridge(name.parse().unwrap());
        change(&mut request);
        self.networks.create(&request, &mut Socket::open(Protocol::Route).unwrap()).unwrap()
    }

    /// What a container asks for: networks, and ports.
    pub(crate) fn want(id: &str, networks: &[&str], ports: &[&str]) -> ContainerNet {
        ContainerNet {
            id: id.to_owned(),
            name: Some(format!("{id}-name")),
            endpoints: networks.iter().map(|text| text.parse::<EndpointRequest>().unwrap()).collect(),
            publish: ports.iter().map(|text| text.parse().unwrap()).collect(),
            ..ContainerNet::default()
        }
    }

    pub(crate) fn try_attach(&self, want: &ContainerNet) -> Result<(OwnedFd, Attachment), network::Error> {
        let namespace = namespace();
        let reservation = self.networks.reserve(want)?;
        let copy = namespace.try_clone().unwrap();
        let attachment = reservation.connect(&self.networks, copy, &mut |_| ())?;
        Ok((namespace, attachment))
    }

    /// A container's namespace on networks, with ports.
    pub(crate) fn attach(&self, id: &str, networks: &[&str], ports: &[&str]) -> (OwnedFd, Attachment) {
        let want = Self::want(id, networks, ports);
        // A process that another test starts has copies of the sockets that hold ports until it executes its program.
        for _ in 0..50 {
            match self.try_attach(&want) {
                Err(error) if error.kind() == report::Kind::Busy => thread::sleep(Duration::from_millis(20)),
                outcome => return outcome.unwrap(),
            }
        }
        self.try_attach(&want).unwrap()
    }
}

/// Serves one TCP connection after the other in a namespace: each is told the address that it comes from. Ends with the value.
pub(crate) struct Server {
    _stop: mpsc::Sender<()>,
}

pub(crate) fn serve(namespace: &OwnedFd, address: &str) -> Server {
    let address: SocketAddr = address.parse().unwrap();
    let listener = within(namespace, move || TcpListener::bind(address).unwrap());
    listener.set_nonblocking(true).unwrap();
    let (stop, stopped) = mpsc::channel();
    thread::spawn(move || {
        while !matches!(stopped.try_recv(), Err(mpsc::TryRecvError::Disconnected)) {
            match listener.accept() {
                Ok((mut stream, peer)) => {
                    let _ = stream.write_all(peer.ip().to_canonical().to_string().as_bytes());
                }
                Err(_) => thread::sleep(Duration::from_millis(2)),
            }
        }
    });
    Server { _stop: stop }
}

/// The same for UDP datagrams.
pub(crate) fn echo(namespace: &OwnedFd, address: &str) -> Server {
    let address: SocketAddr = address.parse().unwrap();
    let socket = within(namespace, move || UdpSocket::bind(address).unwrap());
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let (stop, stopped) = mpsc::channel();
    thread::spawn(move || {
        while !matches!(stopped.try_recv(), Err(mpsc::TryRecvError::Disconnected)) {
            let mut bytes = [0; 64];
            if let Ok((_, peer)) = socket.recv_from(&mut bytes) {
                let _ = socket.send_to(peer.ip().to_string().as_bytes(), peer);
            }
        }
    });
    Server { _stop: stop }
}

/// What a server says to somebody in a namespace: the address that it sees, or none when it cannot be reached.
pub(crate) fn call_within(namespace: &OwnedFd, address: &str, patience: Duration) -> Option<String> {
    let address: SocketAddr = address.parse().unwrap();
    within(namespace, move || {
        let mut stream = TcpStream::connect_timeout(&address, patience).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text)
    })
}

/// As [`call_within`], when it should be reached.
pub(crate) fn call(namespace: &OwnedFd, address: &str) -> String {
    call_within(namespace, address, PATIENCE).unwrap_or_else(|| "nobody answers".to_owned())
}

/// Whether somebody in a namespace is kept from a server.
pub(crate) fn refused(namespace: &OwnedFd, address: &str) -> bool {
    call_within(namespace, address, IMPATIENCE).is_none()
}

/// What an echo says.
pub(crate) fn ask(namespace: &OwnedFd, own: &str, address: &str) -> Option<String> {
    let (own, address): (SocketAddr, SocketAddr) = (own.parse().unwrap(), address.parse().unwrap());
    within(namespace, move || {
        let socket = UdpSocket::bind(own).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut bytes = [0; 64];
        for _ in 0..4 {
            socket.send_to(b"?", address).ok()?;
            if let Ok((len, _)) = socket.recv_from(&mut bytes) {
                return Some(String::from_utf8_lossy(&bytes[..len]).into_owned());
            }
        }
        None
    })
}

/// The names of the links of this thread's namespace.
pub(crate) fn link_names() -> Vec<String> {
    let facts = network::HostNetwork::read(&mut Socket::open(Protocol::Route).unwrap()).unwrap();
    facts.links.into_iter().map(|link| link.name).collect()
}

/// The elements of all sets of holm's table.
pub(crate) fn elements() -> Vec<(String, usize)> {
    let mut socket = Socket::open(Protocol::Netfilter).unwrap();
    ["bridges", "internal", "networks", "opened", "ports", "ports_at", "same"]
        .into_iter()
        .map(|set| {
            let family = netlink::netfilter::Family::Ipv4;
            let found = netlink::netfilter::elements(&mut socket, family, network::TABLE, set);
            (set.to_owned(), found.map_or(999, |list| list.len()))
        })
        .collect()
}

/// Waits until `is` says so.
pub(crate) fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    for _ in 0..500 {
        if is() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("not within five seconds: {what}");
}
