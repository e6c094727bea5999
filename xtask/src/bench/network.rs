//! `cargo xtask bench network`: what a container's network costs to make and to use, beside a floor and beside others.
//!
//! The process becomes a host of its own: a network namespace with a link to somebody outside. In there the contestants take
//! turns. [`Maker`]s attach a container (namespace, cable, address, route, one published port) and take it away again; the floor sends the same
//! netlink messages from memory and does nothing else. Netavark and the CNI plugins are executed, as their engines do. Start reading at
//! [`run`].

mod traffic;

use super::programs;
use super::stats::Series;
use super::table::{provenance, write_section};
use crate::Outcome;
use crate::workspace::{cargo, must, root};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use netlink::netfilter::{Data, Element, Family, Transaction};
use netlink::route::links::{self, Which};
use netlink::route::{self, IFF_UP, LinkHeader, ifla, info};
use netlink::{Protocol, Requests, Socket, flags};
use network::{Attachment, ContainerNet, EndpointRequest, NetworkRequest, Networks, Places};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use serde_json::{Value, json};
use std::error::Error;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const MARK: &str = "bench:network";
const CLONE_NEWNS: u64 = 0x0002_0000;
const CLONE_NEWNET: u64 = 0x4000_0000;
const NETAVARK: &str = "/usr/lib/podman/netavark";
const AARDVARK: &str = "/usr/lib/podman/aardvark-dns";
const CNI: &str = "/usr/lib/cni";
/// The host, for those outside.
const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

type Failure = Box<dyn Error + Send + Sync>;

pub(super) fn command() -> Command {
    let number = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_parser(value_parser!(u32)).default_value(default).help(help)
    };
    Command::new("network")
        .about("Measure attaching containers, traffic between them and name servers; needs root")
        .arg(number("runs", "60", "Attachments of each maker"))
        .arg(number("containers", "500", "Containers on one bridge at the end"))
        .arg(number("fills", "3", "How often so many are attached"))
        .arg(number("rounds", "40", "Rounds of traffic and of questions"))
        .arg(
            Arg::new("only")
                .long("only")
                .value_parser(["attach", "many", "traffic", "names"])
                .conflicts_with("write")
                .help("Measure one thing"),
        )
        .arg(
            Arg::new("holm")
                .long("holm")
                .value_name("PATH")
                .value_parser(value_parser!(PathBuf))
                .help("The program whose name server is asked; it is built where none is given"),
        )
        .arg(
            Arg::new("write")
                .long("write")
                .action(ArgAction::SetTrue)
                .help("Update the tables in docs/benchmarks.md"),
        )
}

pub(super) fn run(arguments: &ArgMatches) -> Outcome {
    if cfg!(debug_assertions) {
        return optimised();
    }
    let number = |name: &str| *arguments.get_one::<u32>(name).expect("it has a default");
    let holm = match arguments.get_one::<PathBuf>("holm") {
        Some(program) => fs::canonicalize(program)?,
        None => programs::holm()?,
    };
    let room = Room::enter()?;
    let mut text = String::new();
    let only = arguments.get_one::<String>("only");
    let mut part = |name: &str, measure: &dyn Fn(&mut String) -> Result<(), Failure>| {
        let wanted = only.is_none_or(|only| only == name);
        if wanted { measure(&mut text).map_err(|error| error.to_string()) } else { Ok(()) }
    };
    part("attach", &|text| attach(&room, number("runs"), text))?;
    part("many", &|text| many(&room, number("containers"), number("fills"), text))?;
    part("traffic", &|text| traffic::measure(&room, number("rounds"), text))?;
    part("names", &|text| names(&room, &holm, number("rounds").div_ceil(4), text))?;
    print!("{text}");
    if arguments.get_flag("write") {
        write_section(&format!("{}\n\n{}", text.trim_end(), provenance(&versions())), MARK)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What is measured is this program's own: it builds itself as `holm` ships, but for what only makes the building long, and goes on as that.
fn optimised() -> Outcome {
    use std::os::unix::process::CommandExt as _;
    let mut build = cargo();
    build.args(["build", "--release", "--package", "xtask"]);
    build.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    must(&mut build)?;
    let program = root()
        .join("target")
        .join(format!("{}-unknown-linux-gnu", std::env::consts::ARCH))
        .join("release/xtask");
    Err(process::Command::new(program).args(std::env::args_os().skip(1)).exec().into())
}

/// The others, as they call themselves.
fn versions() -> Vec<String> {
    let said = |program: &str| {
        let output = process::Command::new(program).arg("--version").output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    };
    let mut versions = vec![format!("holm {}", env!("CARGO_PKG_VERSION"))];
    versions.extend([said(NETAVARK), said(AARDVARK)].into_iter().filter(|version| !version.is_empty()));
    versions
}

/// The host that this process has become.
struct Room {
    host: OwnedFd,
    outside: OwnedFd,
    networks: Networks,
}

fn own_namespace() -> Result<OwnedFd, Failure> {
    Ok(File::open("/proc/thread-self/ns/net")?.into())
}

/// A new network namespace; this thread stays in the host's.
fn namespace(host: &OwnedFd) -> Result<OwnedFd, Failure> {
    sys::raw::unshare(CLONE_NEWNET).map_err(|errno| format!("unshare: {errno}"))?;
    let new = own_namespace()?;
    sys::ns::join(host, CLONE_NEWNET)?;
    Ok(new)
}

/// Does something in another namespace, on a thread of its own.
fn within<R: Send>(namespace: impl AsFd + Sync, act: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            sys::ns::join(&namespace, CLONE_NEWNET).expect("the namespace is there");
            act()
        });
        inside.join().expect("a thread of the measurement")
    })
}

impl Room {
    fn enter() -> Result<Self, Box<dyn Error>> {
        sys::raw::unshare(CLONE_NEWNS | CLONE_NEWNET).map_err(|errno| format!("unshare: {errno}"))?;
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        for place in ["/run", "/var/lib"] {
            mount("none", place, "tmpfs", MountFlags::empty(), None)?;
        }
        Self::furnish().map_err(|error| error.to_string().into())
    }

    fn furnish() -> Result<Self, Failure> {
        let host = own_namespace()?;
        let outside = outside_of(&host)?;
        let places = Places::below(Path::new("/var/lib/holm"), Path::new("/run/holm"));
        let networks = Networks::open(&places).map_err(boxed)?;
        let request = NetworkRequest {
            subnets: vec!["10.96.0.0/20".parse().map_err(|_| "a subnet")?],
            dns: false,
            ..NetworkRequest::bridge("bench".parse().map_err(|_| "a name")?)
        };
        networks.create(&request, &mut Socket::open(Protocol::Route)?).map_err(boxed)?;
        Ok(Self { host, outside, networks })
    }

    fn attach(&self, namespace: OwnedFd, id: u32, port: Option<u16>) -> Result<Attachment, Failure> {
        let publish = port.map(|port| format!("{port}:80").parse().map_err(|_| "a port")).transpose()?;
        let want = ContainerNet {
            id: format!("{id:064x}"),
            endpoints: vec![EndpointRequest { network: "bench".into(), ..EndpointRequest::default() }],
            publish: publish.into_iter().collect(),
            ..ContainerNet::default()
        };
        let reservation = self.networks.reserve(&want).map_err(boxed)?;
        reservation.connect(&self.networks, namespace, &mut |_| ()).map_err(boxed)
    }

    fn detach(attachment: Attachment) -> Result<(), Failure> {
        attachment.detach().pop().map_or(Ok(()), |error| Err(boxed(error)))
    }
}

/// Makes this thread's namespace a host with somebody outside, and forward.
fn outside_of(host: &OwnedFd) -> Result<OwnedFd, Failure> {
    let outside = namespace(host)?;
    let mut socket = Socket::open(Protocol::Route)?;
    let mut batch = Requests::new();
    links::set_up(&mut batch, Which::Index(1), true);
    links::add_pair(&mut batch, "eth0", "outside");
    links::move_to(&mut batch, Which::Named("outside"), outside.as_fd());
    socket.transact(&mut batch)?;
    address("eth0", HOST.into(), None)?;
    within(&outside, || address("outside", [192, 0, 2, 9].into(), Some(HOST.into())))?;
    batch.clear();
    let eth0 = links::index_of(&mut socket, "eth0")?;
    links::add_default_route(&mut batch, eth0, [192, 0, 2, 9].into());
    socket.transact(&mut batch)?;
    fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
    Ok(outside)
}

/// A bridge made by hand in this thread's namespace.
fn hand_bridge() -> Result<(), Failure> {
    let mut batch = Requests::new();
    links::add(&mut batch, "hand", "bridge", |_| ());
    Socket::open(Protocol::Route)?.transact(&mut batch)?;
    address("hand", [10, 98, 0, 1].into(), None)
}

/// A namespace on that bridge.
fn hand_made(host: &OwnedFd, name: &str, last: u8) -> Result<OwnedFd, Failure> {
    let inside = namespace(host)?;
    let mut socket = Socket::open(Protocol::Route)?;
    let mut batch = Requests::new();
    let peer = format!("p{name}");
    links::add_pair(&mut batch, name, &peer);
    links::move_to(&mut batch, Which::Named(&peer), inside.as_fd());
    links::set_up(&mut batch, Which::Named(name), true);
    let bridge = links::index_of(&mut socket, "hand")?;
    links::set_master(&mut batch, Which::Named(name), bridge);
    socket.transact(&mut batch)?;
    within(&inside, || address(&peer, [10, 98, 0, last].into(), Some([10, 98, 0, 1].into())))?;
    Ok(inside)
}

fn boxed(error: impl report::Explain) -> Failure {
    report::one_line(&error).into()
}

/// Gives a link of this thread's namespace an address in a /24, and sets it up.
fn address(link: &str, address: IpAddr, gateway: Option<IpAddr>) -> Result<(), Failure> {
    let mut socket = Socket::open(Protocol::Route)?;
    let index = links::index_of(&mut socket, link)?;
    let mut batch = Requests::new();
    links::set_up(&mut batch, Which::Index(1), true);
    links::set_up(&mut batch, Which::Index(index), true);
    links::add_address(&mut batch, index, address, 24);
    if let Some(gateway) = gateway {
        links::add_default_route(&mut batch, index, gateway);
    }
    Ok(socket.transact(&mut batch)?)
}

/// Somebody who attaches containers.
struct Maker<'a> {
    name: &'static str,
    /// Attaches once, and returns how that is taken back.
    attach: Box<dyn FnMut(u32) -> Result<Undo, Failure> + 'a>,
}

type Undo = Box<dyn FnOnce() -> Result<(), Failure>>;

fn attach(room: &Room, runs: u32, text: &mut String) -> Result<(), Failure> {
    // The bridge, the table and the kernel's modules are there before anything is measured, for everybody.
    let first = room.attach(namespace(&room.host)?, 1, Some(7000))?;
    let mut makers =
        vec![floor(room, first.endpoints()[0].network_interface.clone()), holm(room), ready(room)];
    makers.extend(netavark(room));
    makers.extend(cni(room));
    let mut series = vec![Series::default(); makers.len()];
    let mut failures = vec![None; makers.len()];
    for round in 0..runs + 3 {
        for (index, maker) in
            makers.iter_mut().enumerate().filter(|(index, _)| failures[*index].is_none()).collect::<Vec<_>>()
        {
            let start = Instant::now();
            let outcome = (maker.attach)(100 + round);
            let took = start.elapsed();
            match outcome.and_then(|undo| undo()) {
                Ok(()) if round >= 3 => series[index].values.push(took.as_secs_f64() * 1e3),
                Ok(()) => {}
                Err(error) => failures[index] = Some(error.to_string()),
            }
        }
    }
    let _ = writeln!(
        text,
        "| attach, ms ({runs} runs) | median | p10 | x floor | x holm |\n|---|---|---|---|---|"
    );
    for ((maker, own), failure) in makers.iter().zip(&series).zip(failures) {
        if let Some(failure) = failure {
            eprintln!("{}: left out: {failure}", maker.name);
            continue;
        }
        let by = |base: usize| own.median() / series[base].median();
        let (median, tenth) = (own.median(), own.p10());
        let _ = writeln!(text, "| {} | {median:.2} | {tenth:.2} | {:.2} | {:.2} |", maker.name, by(0), by(1));
    }
    drop(makers);
    Room::detach(first)
}

fn holm(room: &Room) -> Maker<'_> {
    let attach = move |number| {
        let attachment = room.attach(namespace(&room.host)?, number, Some(8080))?;
        Ok(Box::new(move || Room::detach(attachment)) as Undo)
    };
    Maker { name: "holm", attach: Box::new(attach) }
}

/// As holm, with a namespace that was made before the clock ran.
fn ready(room: &Room) -> Maker<'_> {
    let mut kept = None;
    let attach = move |number| {
        let namespace = match kept.take() {
            Some(namespace) => namespace,
            None => namespace(&room.host)?,
        };
        let attachment = room.attach(namespace, number, Some(8083))?;
        kept = None;
        Ok(Box::new(move || Room::detach(attachment)) as Undo)
    };
    Maker { name: "holm, namespace kept ready", attach: Box::new(attach) }
}

/// A container of the floor's.
#[derive(Clone)]
struct Bare {
    /// The end of its cable on the host.
    link: String,
    address: Ipv4Addr,
    /// The host's port that leads to its port 80.
    port: u16,
    /// How many there were before it.
    others: usize,
}

/// What talks to the kernel for the floor.
struct Laid {
    route: Socket,
    nft: Socket,
    /// Closed when nobody waits for it.
    _procfs: Option<OwnedFd>,
}

impl Laid {
    fn open() -> Result<Self, Failure> {
        let (route, nft) = (Socket::open(Protocol::Route)?, Socket::open(Protocol::Netfilter)?);
        Ok(Self { route, nft, _procfs: None })
    }
}

impl Bare {
    /// The bridge's and the host's ends', as holm has it.
    const MAC: [u8; 6] = [2, 0x68, 10, 112, 0, 1];

    /// The same messages to the kernel as holm's, and nothing else: no record, no lock, no choice, no look at the host.
    fn attach(&self, room: &Room, namespace: &OwnedFd, bridge: u32) -> Result<Laid, Failure> {
        let mut socket = Socket::open(Protocol::Route)?;
        // In the procfs of all, looking these up takes the longer the more namespaces there are.
        let procfs = if self.others < 100 { None } else { Some(sys::mount::private_procfs()?) };
        let no_ipv6 = |link: &str| -> Result<(), Failure> {
            let setting = format!("sys/net/ipv6/conf/{link}/disable_ipv6");
            let file = match &procfs {
                Some(procfs) => openat(procfs, setting, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?,
                None => {
                    openat(CWD, format!("/proc/{setting}"), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?
                }
            };
            rustix::io::write(&file, b"1")?;
            Ok(())
        };
        sys::ns::join(namespace, CLONE_NEWNET)?;
        // Without it each container would talk to all others of the bridge about its addresses.
        no_ipv6("default")?;
        let mut inside = Socket::open(Protocol::Route)?;
        sys::ns::join(&room.host, CLONE_NEWNET)?;
        let mut batch = Requests::new();
        self.cable(&mut batch, namespace, bridge);
        socket.transact(&mut batch)?;
        // Without it each port would have routes of its own, in a list.
        no_ipv6(&self.link)?;
        batch.clear();
        self.raise(&mut batch);
        socket.transact(&mut batch)?;
        batch.clear();
        links::set_up(&mut batch, Which::Index(1), true);
        links::add_address(&mut batch, 64, self.address.into(), 20);
        links::add_default_route(&mut batch, 64, [10, self.address.octets()[1], 0, 1].into());
        inside.transact(&mut batch)?;
        let mut nft = Socket::open(Protocol::Netfilter)?;
        let mut changes = Transaction::new();
        changes.add_elements(Family::Ipv4, network::TABLE, "ports", &[self.element()], false);
        changes.commit(&mut nft)?;
        Ok(Laid { route: socket, nft, _procfs: procfs })
    }

    fn detach(&self, laid: &mut Laid) -> Result<(), Failure> {
        let mut changes = Transaction::new();
        changes.delete_elements(Family::Ipv4, network::TABLE, "ports", &[self.element()]);
        changes.commit(&mut laid.nft)?;
        let mut batch = Requests::new();
        links::delete(&mut batch, Which::Named(&self.link));
        Ok(laid.route.transact(&mut batch)?)
    }

    fn cable(&self, batch: &mut Requests, namespace: &OwnedFd, bridge: u32) {
        const PEER: u16 = 1;
        let own = LinkHeader { index: 64, flags: IFF_UP, change: IFF_UP, ..LinkHeader::default() };
        batch.begin(route::NEWLINK, flags::CREATE | flags::EXCLUSIVE, &own.bytes());
        batch.text(ifla::IFNAME, "eth0").u32(ifla::MTU, 1500);
        let [_, two, three, four] = self.address.octets();
        batch.attribute(ifla::ADDRESS, &[2, 0x68, 10, two, three, four]);
        batch.u32(ifla::NET_NS_FD, namespace.as_raw_fd().cast_unsigned());
        batch.nest(ifla::LINKINFO, |link| {
            link.attribute(info::KIND, b"veth");
            link.nest(info::DATA, |data| {
                data.nest(PEER, |end| {
                    end.raw(&LinkHeader::default().bytes())
                        .text(ifla::IFNAME, &self.link)
                        .attribute(ifla::ADDRESS, &Self::MAC);
                });
            });
        });
        links::set_master(batch, Which::Named(&self.link), bridge);
    }

    fn raise(&self, batch: &mut Requests) {
        const HAIRPIN: u16 = 4;
        links::set_up(batch, Which::Named(&self.link), true);
        batch.nest(ifla::LINKINFO, |link| {
            link.attribute(info::SLAVE_KIND, b"bridge");
            link.nest(info::SLAVE_DATA, |data| _ = data.u8(HAIRPIN, 1));
        });
    }

    fn element(&self) -> Element<'static> {
        let [high, low] = self.port.to_be_bytes();
        let mut data = self.address.octets().to_vec();
        data.extend([0, 80, 0, 0]);
        Element { key: vec![6, 0, 0, 0, high, low, 0, 0], last: None, data: Some(Data::Value(data)) }
    }
}

fn floor(room: &Room, bridge: String) -> Maker<'_> {
    let index = Socket::open(Protocol::Route).and_then(|mut socket| links::index_of(&mut socket, &bridge));
    let attach = move |_| {
        let index = *index.as_ref().map_err(ToString::to_string)?;
        let namespace = namespace(&room.host)?;
        let bare = Bare { link: "bare0".into(), address: [10, 96, 15, 250].into(), port: 8081, others: 1 };
        let mut laid = bare.attach(room, &namespace, index)?;
        Ok(Box::new(move || {
            bare.detach(&mut laid)?;
            drop(namespace);
            Ok(())
        }) as Undo)
    };
    Maker { name: "floor", attach: Box::new(attach) }
}

/// Where another process finds one of our descriptors.
fn path_of(namespace: &OwnedFd) -> String {
    format!("/proc/{}/fd/{}", process::id(), namespace.as_raw_fd())
}

/// Runs a program with something on its standard input; its standard output.
fn feed(command: &mut process::Command, input: &str) -> Result<String, Failure> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().ok_or("no standard input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    Err(format!("{command:?}: {said}{}", String::from_utf8_lossy(&output.stderr)).into())
}

fn netavark(room: &Room) -> Option<Maker<'_>> {
    if !Path::new(NETAVARK).exists() {
        eprintln!("netavark is not installed");
        return None;
    }
    let attach = move |number: u32| {
        let namespace = namespace(&room.host)?;
        let options = json!({
            "container_id": format!("{number:064x}"), "container_name": "bench",
            "port_mappings": [{"host_ip": "", "container_port": 80, "host_port": 8082, "range": 1, "protocol": "tcp"}],
            "networks": {"bench": {"static_ips": ["10.99.0.2"], "interface_name": "eth0"}},
            "network_info": {"bench": {"name": "bench", "id": "b".repeat(64), "driver": "bridge",
                "network_interface": "nv0", "subnets": [{"subnet": "10.99.0.0/24", "gateway": "10.99.0.1"}],
                "ipv6_enabled": false, "internal": false, "dns_enabled": false, "ipam_options": {"driver": "host-local"}}},
        })
        .to_string();
        let path = path_of(&namespace);
        let run = move |word: &str| {
            let mut command = process::Command::new(NETAVARK);
            command.args(["--config", "/run/netavark"]).arg(word).arg(&path);
            feed(&mut command, &options)
        };
        run("setup")?;
        Ok(Box::new(move || {
            run("teardown")?;
            drop(namespace);
            Ok(())
        }) as Undo)
    };
    fs::create_dir_all("/run/netavark").ok()?;
    Some(Maker { name: "netavark", attach: Box::new(attach) })
}

fn cni(room: &Room) -> Option<Maker<'_>> {
    if !Path::new(CNI).join("portmap").exists() {
        eprintln!("the CNI plugins are not installed");
        return None;
    }
    let attach = move |number: u32| {
        let namespace = namespace(&room.host)?;
        let path = path_of(&namespace);
        let run = move |verb: &str, plugin: &str, conf: &Value| {
            let mut command = process::Command::new(Path::new(CNI).join(plugin));
            command.env("CNI_COMMAND", verb).env("CNI_CONTAINERID", format!("c{number}"));
            command.env("CNI_NETNS", &path).env("CNI_IFNAME", "eth0").env("CNI_PATH", CNI);
            feed(&mut command, &conf.to_string())
        };
        let bridge = json!({"cniVersion": "0.4.0", "name": "bench", "type": "bridge", "bridge": "cni0", "isGateway": true,
            "ipMasq": true, "ipam": {"type": "host-local", "subnet": "10.97.0.0/24",
            "routes": [{"dst": "0.0.0.0/0"}]}});
        let result: Value = serde_json::from_str(&run("ADD", "bridge", &bridge)?)?;
        let portmap = json!({"cniVersion": "0.4.0", "name": "bench", "type": "portmap", "capabilities": {"portMappings": true},
            "runtimeConfig": {"portMappings": [{"hostPort": 8084, "containerPort": 80, "protocol": "tcp"}]},
            "prevResult": result});
        run("ADD", "portmap", &portmap)?;
        Ok(Box::new(move || {
            run("DEL", "portmap", &portmap)?;
            run("DEL", "bridge", &bridge)?;
            drop(namespace);
            Ok(())
        }) as Undo)
    };
    Some(Maker { name: "CNI bridge and portmap", attach: Box::new(attach) })
}

/// Attaches many containers to one bridge and compares the first with the last, and then as many by the floor to a bridge of its own; in turns, since a
/// processor is not as fast in one second as in the next.
fn many(room: &Room, containers: u32, fills: u32, text: &mut String) -> Result<(), Failure> {
    const MULTICAST_SNOOPING: u16 = 23;
    let window = (containers / 10).clamp(1, 50) as usize;
    let mut socket = Socket::open(Protocol::Route)?;
    let mut batch = Requests::new();
    // As holm makes one.
    links::add(&mut batch, "barest", "bridge", |data| _ = data.u8(MULTICAST_SNOOPING, 0));
    for mtu in [1501, 1500] {
        links::begin(&mut batch, route::NEWLINK, 0, Which::Named("barest"), LinkHeader::default())
            .attribute(ifla::ADDRESS, &Bare::MAC)
            .u32(ifla::MTU, mtu);
    }
    links::set_up(&mut batch, Which::Named("barest"), true);
    socket.transact(&mut batch)?;
    let bridge = links::index_of(&mut socket, "barest")?;
    let (mut own, mut floor) =
        ([Series::default(), Series::default()], [Series::default(), Series::default()]);
    for round in 0..fills {
        for turn in 0..2 {
            // Who is first takes turns.
            let (ends, all) = match (round + turn) % 2 {
                0 => (&mut own, fill_by_holm(room, containers)?),
                _ => (&mut floor, fill_by_floor(room, containers, bridge)?),
            };
            ends[0].values.extend(&all[..window]);
            ends[1].values.extend(&all[all.len() - window..]);
            // The kernel takes namespaces apart behind everybody's back.
            thread::sleep(Duration::from_secs(3));
        }
    }
    let _ = writeln!(
        text,
        "\n| attach to a bridge with a published port each, without the namespace, ms ({fills} times) | the first {window} of {containers} | \
         the last {window} | last / first |\n|---|---|---|---|"
    );
    for (name, [first, last]) in [("floor", &floor), ("holm", &own)] {
        let _ = writeln!(
            text,
            "| {name} | {:.2} ({:.2}) | {:.2} ({:.2}) | {:.2} ({:.2}) |",
            first.median(),
            first.p10(),
            last.median(),
            last.p10(),
            last.median() / first.median(),
            last.p10() / first.p10()
        );
    }
    batch.clear();
    links::delete(&mut batch, Which::Named("barest"));
    Ok(socket.transact(&mut batch)?)
}

/// Attaches containers by holm; milliseconds of each.
fn fill_by_holm(room: &Room, containers: u32) -> Result<Vec<f64>, Failure> {
    let (mut held, mut took) = (Vec::new(), Vec::new());
    for number in 0..containers {
        let inside = namespace(&room.host)?;
        let start = Instant::now();
        let mut attachment = room.attach(inside, 10_000 + number, Some(20_000 + number as u16))?;
        took.push(start.elapsed().as_secs_f64() * 1e3);
        attachment.settle();
        held.push(attachment);
    }
    held.into_iter().try_for_each(Room::detach)?;
    Ok(took)
}

/// Attaches containers by the floor; milliseconds of each.
fn fill_by_floor(room: &Room, containers: u32, bridge: u32) -> Result<Vec<f64>, Failure> {
    let (mut held, mut took) = (Vec::new(), Vec::new());
    for number in 0..containers {
        let inside = namespace(&room.host)?;
        // Behind the gateway's.
        let [.., high, low] = (number + 2).to_be_bytes();
        let one = Bare {
            link: format!("bare{number}"),
            address: [10, 112, high, low].into(),
            port: 20_000 + number as u16,
            others: number as usize,
        };
        let start = Instant::now();
        let laid = one.attach(room, &inside, bridge)?;
        took.push(start.elapsed().as_secs_f64() * 1e3);
        held.push((one, inside));
        drop(laid);
    }
    let mut laid = Laid::open()?;
    for (one, inside) in held {
        one.detach(&mut laid)?;
        drop(inside);
    }
    Ok(took)
}

/// Answers per second of the name servers, for names of containers.
fn names(room: &Room, holm: &Path, rounds: u32, text: &mut String) -> Result<(), Failure> {
    const NAMES: u8 = 100;
    hand_bridge()?;
    let own = OwnServer::start(holm, NAMES)?;
    let client = hand_made(&room.host, "h5", 250)?;
    let aardvark = aardvark(NAMES)?;
    let mut servers = vec![("holm", "10.98.0.1", Series::default())];
    if aardvark.is_some() {
        servers.push(("aardvark-dns", "10.98.0.254", Series::default()));
    }
    for round in 0..rounds + 1 {
        for (_, address, series) in &mut servers {
            let rate = within(&client, || questions(address, NAMES))?;
            if round > 0 {
                series.values.push(rate);
            }
        }
    }
    let _ = writeln!(
        text,
        "\n| name servers ({rounds} rounds) | answers/s, median | p90 | x aardvark-dns |\n|---|---|---|---|"
    );
    let base = servers.last().map_or(f64::NAN, |(.., series)| series.median());
    for (name, _, series) in &servers {
        let (median, most) = (series.median(), series.quantile(0.9));
        let ratio = if servers.len() > 1 { format!("{:.2}", median / base) } else { "-".into() };
        let _ = writeln!(text, "| {name} | {median:.0} | {most:.0} | {ratio} |");
    }
    drop((aardvark, own));
    Ok(())
}

/// Our server on the bridge that was made by hand, so that both are asked over the same links. It ends with this.
struct OwnServer(PathBuf);

impl OwnServer {
    fn start(holm: &Path, names: u8) -> Result<Self, Failure> {
        let server = Self(PathBuf::from("/run/names"));
        let zone = dns::Zone {
            network: "hand".into(),
            device: "hand".into(),
            gateways: vec![[10, 98, 0, 1].into()],
            subnets: vec![([10, 98, 0, 0].into(), 24)],
            internal: false,
            resolvers: Vec::new(),
        };
        for number in 0..names {
            let entry = dns::Entry {
                container: format!("c{number}"),
                names: vec![format!("name{number}")],
                addresses: vec![[10, 98, 0, number].into()],
                resolvers: Vec::new(),
            };
            dns::announce(&server.0, &zone, &entry).map_err(boxed)?;
        }
        dns::ensure(&server.0, "hand", &[holm.as_os_str(), dns::SUBCOMMAND.as_ref()]).map_err(boxed)?;
        Ok(server)
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        let _ = dns::forget(&self.0, "hand");
    }
}

/// Debian's server, on another address of the same bridge.
fn aardvark(names: u8) -> Result<Option<Aardvark>, Failure> {
    if !Path::new(AARDVARK).exists() {
        eprintln!("aardvark-dns is not installed");
        return Ok(None);
    }
    let mut socket = Socket::open(Protocol::Route)?;
    let bridge = links::index_of(&mut socket, "hand")?;
    let mut batch = Requests::new();
    links::add_address(&mut batch, bridge, [10, 98, 0, 254].into(), 24);
    socket.transact(&mut batch)?;
    fs::create_dir_all("/run/aardvark")?;
    let lines: String =
        (0..names).map(|number| format!("c{number} 10.98.0.{number}  name{number}\n")).collect();
    fs::write("/run/aardvark/hand", format!("10.98.0.254\n{lines}"))?;
    let mut command = process::Command::new(AARDVARK);
    command.args(["--config", "/run/aardvark", "--port", "53", "run"]).stdin(Stdio::null());
    let server = Aardvark(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    thread::sleep(Duration::from_millis(500));
    Ok(Some(server))
}

/// The server, which goes into the background and writes down its process id.
struct Aardvark(process::Child);

impl Drop for Aardvark {
    fn drop(&mut self) {
        let _ = (self.0.kill(), self.0.wait());
        let noted = fs::read_to_string("/run/aardvark/aardvark.pid").unwrap_or_default();
        if let Ok(pid) = noted.trim().parse::<i32>() {
            let _ = sys::raw::kill(pid, 15);
        }
    }
}

/// Asks as fast as answers come, 32 questions at a time, for half a second; answers per second.
fn questions(server: &str, names: u8) -> Result<f64, Failure> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect((server, 53))?;
    socket.set_read_timeout(Some(Duration::from_millis(500)))?;
    let queries: Vec<Vec<u8>> = (0..names)
        .map(|number| dns::wire::query(number.into(), &format!("name{number}"), dns::wire::kind::A, None))
        .collect();
    let mut next = 0;
    let mut ask = || {
        next = (next + 1) % queries.len();
        socket.send(&queries[next])
    };
    for _ in 0..32 {
        ask()?;
    }
    let start = Instant::now();
    let mut answers = 0u32;
    let mut answer = [0; 512];
    while start.elapsed() < Duration::from_millis(500) {
        // A lost one is made up for, so that as many are on their way as before.
        if let Ok(length) = socket.recv(&mut answer) {
            if length < dns::wire::HEADER || answer[3] & 0xf != 0 || answer[7] == 0 {
                return Err(format!("{server} does not know a name").into());
            }
            answers += 1;
        }
        ask()?;
    }
    Ok(f64::from(answers) / start.elapsed().as_secs_f64())
}
