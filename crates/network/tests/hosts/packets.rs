//! What packets can do and cannot, on hosts made of network namespaces.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use crate::lab::{self, ask, call, echo, lab, refused, serve, set, within};
use netlink::netfilter::{Base, Chain, Expr, Family, Hook, Meta, Place, Reg, Transaction, Verdict};
use netlink::route::links::{self, Which};
use netlink::{Protocol, Requests, Socket};

/// Rules of the host's own: a chain that drops what is not let in by `allowed`, a protocol with a port.
fn host_firewall(family: Family, hook: Hook, allowed: &[(u8, u16)]) {
    let mut changes = Transaction::new();
    changes.add_table(family, "firewall");
    changes.delete_table(family, "firewall");
    changes.add_table(family, "firewall");
    let place = Some(Place { hook, priority: 0, kind: "filter", drops: true });
    changes.add_chain(family, "firewall", &Chain { name: "own", place });
    let accept = Expr::Verdict(Verdict::Accept);
    // ct state established,related accept
    let bits = 6u32.to_ne_bytes().to_vec();
    let known = [
        Expr::Ct(netlink::netfilter::Ct::State, Reg(0)),
        Expr::Bitwise(Reg(0), bits, vec![0; 4]),
        Expr::Differs(Reg(0), vec![0; 4]),
        accept.clone(),
    ];
    changes.add_rule(family, "firewall", "own", &known, "");
    for (protocol, port) in allowed {
        let rule = [
            Expr::Meta(Meta::L4Proto, Reg(0)),
            Expr::Equal(Reg(0), vec![*protocol]),
            Expr::Payload { base: Base::Transport, offset: 2, len: 2, to: Reg(0) },
            Expr::Equal(Reg(0), port.to_be_bytes().to_vec()),
            accept.clone(),
        ];
        changes.add_rule(family, "firewall", "own", &rule, "");
    }
    // Who a neighbour is has to be asked for.
    let icmp6 = [Expr::Meta(Meta::L4Proto, Reg(0)), Expr::Equal(Reg(0), vec![58]), accept];
    changes.add_rule(family, "firewall", "own", &icmp6, "");
    changes.commit(&mut Socket::open(Protocol::Netfilter).unwrap()).unwrap();
}

#[test]
fn a_published_port_is_reached_from_everywhere_and_sees_who_asks() {
    let Some(lab) = lab("a_published_port_is_reached") else { return };
    let (web, _attached) = lab.attach("web", &["bridge"], &["8080:80", "8081:81/udp"]);
    let (other, _other) = lab.attach("other", &["bridge"], &[]);
    let _server = serve(&web, "0.0.0.0:80");
    let _echo = echo(&web, "0.0.0.0:81");
    for _ in 0..3 {
        assert_eq!(call(&lab.outside, "192.0.2.1:8080"), "192.0.2.9", "from outside");
    }
    assert_eq!(call(&lab.host, "192.0.2.1:8080"), "192.0.2.1", "from the host by its own address");
    assert_eq!(call(&lab.host, "10.224.0.1:8080"), "10.224.0.1", "and by the bridge's");
    assert_eq!(call(&lab.host, "127.0.0.1:8080"), "10.224.0.1", "from the host by 127.0.0.1");
    assert_eq!(
        call(&other, "192.0.2.1:8080"),
        "10.224.0.1",
        "from another container, which has to be answered by the host"
    );
    assert_eq!(call(&web, "192.0.2.1:8080"), "10.224.0.1", "from the container itself");
    assert_eq!(call(&other, "10.224.0.2:80"), "10.224.0.3", "directly");
    assert_eq!(ask(&lab.outside, "192.0.2.9:0", "192.0.2.1:8081").as_deref(), Some("192.0.2.9"));
    assert_eq!(ask(&lab.host, "127.0.0.1:0", "127.0.0.1:8081").as_deref(), Some("10.224.0.1"));
    assert!(refused(&lab.outside, "192.0.2.1:8082"), "nobody is there");
}

/// A socket of SCTP for one association; none where the kernel has none.
fn sctp() -> Result<OwnedFd, rustix::io::Errno> {
    let flags = rustix::net::SocketFlags::CLOEXEC;
    let protocol = Some(rustix::net::ipproto::SCTP);
    rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        flags,
        protocol,
    )
}

#[test]
fn a_published_port_of_sctp_is_reached_and_sees_who_asks() {
    const TEST: &str = "a_published_port_of_sctp_is_reached";
    let Some(lab) = lab(TEST) else { return };
    if let Err(errno) = sctp() {
        return eprintln!("SKIPPED {TEST}: this kernel has no SCTP: {errno}");
    }
    let (web, attached) = lab.attach("web", &["bridge"], &["8080:80/sctp", "8081:81"]);
    let listener = within(&web, || {
        let socket = sctp().unwrap();
        rustix::net::bind(&socket, &SocketAddr::from(([0, 0, 0, 0], 80))).unwrap();
        rustix::net::listen(&socket, 8).unwrap();
        TcpListener::from(socket)
    });
    let server = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, peer) = listener.accept().unwrap();
            stream.write_all(peer.ip().to_string().as_bytes()).unwrap();
        }
    });
    let call = |namespace: &OwnedFd| {
        within(namespace, || {
            let socket = sctp().unwrap();
            let patience = Some(lab::PATIENCE);
            for timeout in [rustix::net::sockopt::Timeout::Send, rustix::net::sockopt::Timeout::Recv] {
                rustix::net::sockopt::set_socket_timeout(&socket, timeout, patience).unwrap();
            }
            rustix::net::connect(&socket, &SocketAddr::from(([192, 0, 2, 1], 8080))).unwrap();
            let mut text = String::new();
            TcpStream::from(socket).read_to_string(&mut text).unwrap();
            text
        })
    };
    assert_eq!(call(&lab.outside), "192.0.2.9", "from outside");
    assert_eq!(call(&lab.host), "192.0.2.1", "from the host by its own address");
    server.join().unwrap();
    // A port of one protocol is none of another.
    assert!(refused(&lab.outside, "192.0.2.1:8080"));
    assert!(attached.detach().is_empty());
}

#[test]
fn a_published_port_of_ipv6_is_reached_and_sees_who_asks() {
    let Some(lab) = lab("a_published_port_of_ipv6") else { return };
    let six = lab.network("six", |request| request.ipv6 = true);
    let (web, attached) = lab.attach("web", &["six"], &["8080:80", "[2001:db8::1]:9090:80"]);
    let (other, _other) = lab.attach("other", &["six"], &[]);
    let _server = serve(&web, "[::]:80");
    let gateway = six.subnet(false).unwrap().gateway.unwrap().to_string();
    for _ in 0..3 {
        assert_eq!(call(&lab.outside, "[2001:db8::1]:8080"), "2001:db8::9", "from outside");
    }
    assert_eq!(call(&lab.outside, "192.0.2.1:8080"), "192.0.2.9", "and by IPv4");
    assert_eq!(call(&lab.outside, "[2001:db8::1]:9090"), "2001:db8::9", "by one address");
    assert!(refused(&lab.outside, "192.0.2.1:9090"), "and by no other");
    assert_eq!(call(&lab.host, "[2001:db8::1]:8080"), "2001:db8::1", "from the host");
    assert_eq!(call(&other, "[2001:db8::1]:8080"), gateway, "from another container");
    let own = attached.endpoints()[0].ipv6.unwrap().address;
    assert_eq!(call(&lab.host, &format!("[{own}]:80")), gateway, "directly from the host");
    let server = serve(&lab.outside, "[2001:db8::9]:7");
    assert_eq!(call(&web, "[2001:db8::9]:7"), "2001:db8::1", "out, in the host's name");
    drop(server);
}

#[test]
fn a_published_port_opens_no_hole_in_the_host_s_firewall() {
    let Some(lab) = lab("a_published_port_opens_no_hole") else { return };
    lab.network("six", |request| request.ipv6 = true);
    let (web, _attached) = lab.attach("web", &["six"], &["8080:80", "8081:81/udp"]);
    let _server = serve(&web, "[::]:80");
    let _echo = echo(&web, "0.0.0.0:81");
    for family in [Family::Ipv4, Family::Ipv6, Family::Inet] {
        host_firewall(family, Hook::Input, &[]);
        let addresses: &[&str] = match family {
            Family::Ipv4 => &["192.0.2.1:8080"],
            Family::Ipv6 => &["[2001:db8::1]:8080"],
            _ => &["192.0.2.1:8080", "[2001:db8::1]:8080"],
        };
        for address in addresses {
            assert!(refused(&lab.outside, address), "{family:?}: {address} is shut");
        }
        host_firewall(family, Hook::Input, &[(6, 8080)]);
        for address in addresses {
            assert_ne!(call(&lab.outside, address), "nobody answers", "{family:?}: {address} is open");
        }
        let mut changes = Transaction::new();
        changes.delete_table(family, "firewall");
        changes.commit(&mut Socket::open(Protocol::Netfilter).unwrap()).unwrap();
    }
    host_firewall(Family::Ipv4, Hook::Input, &[(6, 8080)]);
    assert_eq!(ask(&lab.outside, "192.0.2.9:0", "192.0.2.1:8081"), None, "UDP is shut");
    host_firewall(Family::Ipv4, Hook::Input, &[(17, 8081)]);
    assert_eq!(ask(&lab.outside, "192.0.2.9:0", "192.0.2.1:8081").as_deref(), Some("192.0.2.9"));
    // A host that lets nothing through lets nothing through.
    host_firewall(Family::Ipv4, Hook::Forward, &[]);
    assert!(refused(&lab.outside, "192.0.2.1:8080"));
    host_firewall(Family::Ipv4, Hook::Forward, &[(6, 80)]);
    assert_eq!(call(&lab.outside, "192.0.2.1:8080"), "192.0.2.9");
}

#[test]
fn what_is_not_published_is_not_reached() {
    let Some(lab) = lab("what_is_not_published") else { return };
    lab.network("blue", |_| ());
    lab.network("red", |_| ());
    let (web, attached) = lab.attach("web", &["blue"], &["8080:80"]);
    let (red, _red) = lab.attach("red", &["red"], &[]);
    let _server = serve(&web, "0.0.0.0:80");
    let _hidden = serve(&web, "0.0.0.0:81");
    let own = attached.endpoints()[0].ipv4.unwrap().address;
    // Somebody who takes the host for a router.
    within(&lab.outside, || lab::default_route("eth0", "192.0.2.1"));
    assert!(refused(&lab.outside, &format!("{own}:80")), "by the container's own address");
    assert!(refused(&lab.outside, &format!("{own}:81")));
    assert!(refused(&lab.outside, "192.0.2.1:81"));
    assert!(refused(&red, &format!("{own}:80")), "from another network");
    assert_eq!(
        call(&red, "192.0.2.1:8080"),
        attached_address(&_red),
        "but by the published port, with its address kept"
    );
    assert_eq!(call(&lab.host, &format!("{own}:81")), "10.224.0.1", "the host reaches its containers");
}

fn attached_address(attachment: &network::Attachment) -> String {
    attachment.endpoints()[0].ipv4.unwrap().address.to_string()
}

#[test]
fn a_port_on_localhost_is_not_reached_from_the_neighbouring_segment() {
    let Some(lab) = lab("a_port_on_localhost") else { return };
    let (web, _attached) = lab.attach("web", &["bridge"], &["127.0.0.1:8080:80"]);
    let (other, _other) = lab.attach("other", &["bridge"], &[]);
    let _server = serve(&web, "0.0.0.0:80");
    assert_eq!(call(&lab.host, "127.0.0.1:8080"), "10.224.0.1");
    assert!(refused(&lab.outside, "192.0.2.1:8080"));
    assert!(refused(&lab.host, "192.0.2.1:8080"), "the host's other addresses are not published");
    // A neighbour, and a container, who send packets for 127.0.0.1 to the host.
    for (namespace, gateway) in [(&lab.outside, "192.0.2.1"), (&other, "10.224.0.1")] {
        within(namespace, move || {
            for link in ["all", "eth0"] {
                set(&format!("ipv4/conf/{link}/route_localnet"), "1");
            }
            let mut socket = Socket::open(Protocol::Route).unwrap();
            let index = links::index_of(&mut socket, "eth0").unwrap();
            let mut batch = Requests::new();
            links::delete(&mut batch, Which::Named("nothing"));
            batch.clear();
            // 127.0.0.0/8 is the gateway's, not this one's own.
            let own = netlink::route::AddressHeader { family: 2, prefix: 8, index: 1, ..Default::default() };
            batch.begin(netlink::route::DELADDR, 0, &own.bytes());
            batch.ip(netlink::route::ifa::LOCAL, lab::ip("127.0.0.1"));
            let header = netlink::route::RouteHeader {
                family: 2,
                destination_prefix: 8,
                table: 254,
                protocol: 3,
                kind: 1,
                ..Default::default()
            };
            batch.begin(netlink::route::NEWROUTE, netlink::flags::CREATE, &header.bytes());
            batch.ip(netlink::route::rta::DST, lab::ip("127.0.0.0"));
            batch.ip(netlink::route::rta::GATEWAY, lab::ip(gateway)).u32(netlink::route::rta::OIF, index);
            socket.transact(&mut batch).unwrap();
        });
        assert!(refused(namespace, "127.0.0.1:8080"), "{gateway}");
    }
    // Even on a host whose link takes such packets for some other program's sake.
    set("ipv4/conf/eth0/route_localnet", "1");
    assert!(refused(&lab.outside, "127.0.0.1:8080"));
    assert_eq!(call(&lab.host, "127.0.0.1:8080"), "10.224.0.1");
}

#[test]
fn containers_get_out_in_the_host_s_name_and_the_host_is_no_router() {
    let Some(lab) = lab("containers_get_out") else { return };
    let beyond = lab::namespace();
    lab::cable("eth1", "eth0", &beyond);
    lab::configure("eth1", &[("198.51.100.1", 24)]);
    within(&beyond, || {
        lab::configure("eth0", &[("198.51.100.9", 24)]);
        lab::default_route("eth0", "198.51.100.1");
    });
    within(&lab.outside, || lab::default_route("eth0", "192.0.2.1"));
    let (web, _attached) = lab.attach("web", &["bridge"], &[]);
    let _outside = serve(&lab.outside, "192.0.2.9:7");
    let _beyond = serve(&beyond, "198.51.100.9:7");
    assert_eq!(call(&web, "192.0.2.9:7"), "192.0.2.1");
    assert_eq!(call(&web, "198.51.100.9:7"), "198.51.100.1", "by every link that has a route");
    assert_eq!(lab::get("ipv4/ip_forward"), "0", "not for all links");
    assert_eq!(lab::get("ipv4/conf/eth0/forwarding"), "1");
    assert!(refused(&lab.outside, "198.51.100.9:7"), "the host carries nobody else's packets");
    // A host that is a router already stays one.
    let removed = lab.networks.prune(&mut |_| ()).unwrap();
    assert!(removed.is_empty());
    drop(_attached);
    lab.networks.sweep_all().unwrap();
    lab.networks.prune(&mut |_| ()).unwrap();
    assert_eq!(lab::get("ipv4/conf/eth0/forwarding"), "0", "turned back with the last bridge");
    set("ipv4/ip_forward", "1");
    let (web, _attached) = lab.attach("web", &["bridge"], &[]);
    assert_eq!(call(&web, "192.0.2.9:7"), "192.0.2.1");
    assert_ne!(call(&lab.outside, "198.51.100.9:7"), "nobody answers");
}

#[test]
fn an_internal_network_has_no_way_out() {
    let Some(lab) = lab("an_internal_network") else { return };
    lab.network("inside", |request| {
        request.internal = true;
        request.ipv6 = true;
    });
    let (one, _one) = lab.attach("one", &["inside"], &[]);
    let (two, attached) = lab.attach("two", &["inside"], &[]);
    let gateway = lab.networks.get("inside").unwrap().subnets[0].gateway.unwrap();
    let _outside = serve(&lab.outside, "192.0.2.9:7");
    let _two = serve(&two, "0.0.0.0:7");
    let _service = serve(&lab.host, "0.0.0.0:7");
    let _names = serve(&lab.host, "0.0.0.0:53");
    let peer = attached.endpoints()[0].ipv4.unwrap().address;
    assert_ne!(call(&one, &format!("{peer}:7")), "nobody answers", "containers reach each other");
    // With a route of its own making.
    within(&one, move || lab::default_route("eth0", &gateway.to_string()));
    assert!(refused(&one, "192.0.2.9:7"), "not the world");
    assert!(
        refused(&one, "192.0.2.1:7") && refused(&one, &format!("{gateway}:7")),
        "not the host's services"
    );
    assert_ne!(call(&one, &format!("{gateway}:53")), "nobody answers", "but its name server");
    assert_eq!(call(&lab.host, &format!("{peer}:7")), gateway.to_string(), "the host reaches them");
    let error = lab.try_attach(&lab::Lab::want("three", &["inside"], &["80:80"])).unwrap_err();
    assert_eq!(error.to_string(), "port 80: none of the container's networks has a way out");
}

#[test]
fn a_host_that_checks_sources_strictly_has_published_ports() {
    let Some(lab) = lab("a_host_that_checks_sources_strictly") else { return };
    set("ipv4/conf/all/rp_filter", "1");
    let (web, _attached) = lab.attach("web", &["bridge"], &["8080:80"]);
    let (other, _other) = lab.attach("other", &["bridge"], &[]);
    let _server = serve(&web, "0.0.0.0:80");
    assert_eq!(call(&lab.outside, "192.0.2.1:8080"), "192.0.2.9");
    assert_eq!(call(&other, "192.0.2.1:8080"), "10.224.0.1");
}

#[test]
fn a_container_cannot_speak_in_another_s_name() {
    let Some(lab) = lab("a_container_cannot_speak") else { return };
    let (web, _attached) = lab.attach("web", &["bridge"], &[]);
    let _echo = echo(&lab.outside, "192.0.2.9:7");
    assert_eq!(ask(&web, "10.224.0.2:0", "192.0.2.9:7").as_deref(), Some("192.0.2.1"));
    within(&web, || lab::configure("eth0", &[("203.0.113.5", 32)]));
    let before = lab::elements();
    assert_eq!(ask(&web, "203.0.113.5:0", "192.0.2.9:7"), None);
    assert_eq!(lab::elements(), before);
}

#[test]
fn router_advertisements_are_not_believed() {
    let Some(lab) = lab("router_advertisements") else { return };
    lab.network("six", |request| request.ipv6 = true);
    let (web, attached) = lab.attach("web", &["six"], &[]);
    let (evil, _evil) = lab.attach("evil", &["six"], &[]);
    let plain = lab::namespace();
    // One who does believe them, to see that they are sent well.
    lab::cable("believer", "eth0", &plain);
    let bridge = attached.endpoints()[0].network_interface.clone();
    let mut socket = Socket::open(Protocol::Route).unwrap();
    let index = links::index_of(&mut socket, &bridge).unwrap();
    let mut batch = Requests::new();
    links::set_master(&mut batch, Which::Named("believer"), index);
    links::set_up(&mut batch, Which::Named("believer"), true);
    socket.transact(&mut batch).unwrap();
    within(&plain, || lab::configure("eth0", &[("fd77::7", 64)]));
    within(&evil, || set("ipv6/conf/eth0/accept_dad", "0"));
    let addresses = |namespace: &std::os::fd::OwnedFd| {
        within(namespace, || {
            let mut socket = Socket::open(Protocol::Route).unwrap();
            let list = network::facts::addresses(&mut socket).unwrap();
            list.iter().any(|(_, address)| address.to_string().starts_with("2001:db8:bad:"))
        })
    };
    lab::eventually("the believer takes the advertised prefix", || {
        within(&evil, advertise);
        addresses(&plain)
    });
    assert!(!addresses(&web), "the container does not");
    assert!(!addresses(&evil));
    assert_eq!(within(&web, || lab::get("ipv6/conf/eth0/accept_ra")), "0");
}

/// Sends an advertisement of 2001:db8:bad::/64 to everybody on the segment.
fn advertise() {
    use rustix::net::{AddressFamily, SendFlags, SocketAddrV6, SocketType, ipproto, sendto, socket, sockopt};
    let mut socket_of_routes = Socket::open(Protocol::Route).unwrap();
    let index = links::index_of(&mut socket_of_routes, "eth0").unwrap();
    let raw = socket(AddressFamily::INET6, SocketType::RAW, Some(ipproto::ICMPV6)).unwrap();
    sockopt::set_ipv6_multicast_hops(&raw, 255).unwrap();
    let mut message = vec![134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
    // A prefix of 64 bits, on the link and for addresses, for an hour.
    message.extend([3, 4, 64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0x0e, 0x10, 0, 0, 0, 0]);
    message.extend("2001:db8:bad::".parse::<std::net::Ipv6Addr>().unwrap().octets());
    let all = SocketAddrV6::new("ff02::1".parse().unwrap(), 0, 0, index);
    let _ = sendto(&raw, &message, SendFlags::empty(), &all);
}

#[test]
fn a_macvlan_network_puts_containers_on_the_segment() {
    let Some(lab) = lab("a_macvlan_network") else { return };
    lab.network("lan", |request| {
        request.driver = network::Driver::Macvlan;
        request.subnets = vec!["192.0.2.0/24".parse().unwrap()];
        request.gateways = vec![lab::ip("192.0.2.9")];
        request.ip_ranges = vec!["192.0.2.64/28".parse().unwrap()];
    });
    let (web, attached) = lab.attach("web", &["lan"], &[]);
    let _server = serve(&web, "0.0.0.0:80");
    let own = attached.endpoints()[0].ipv4.unwrap().address;
    assert_eq!(own.to_string(), "192.0.2.64");
    assert_eq!(call(&lab.outside, &format!("{own}:80")), "192.0.2.9");
    let _outside = serve(&lab.outside, "192.0.2.9:7");
    assert_eq!(call(&web, "192.0.2.9:7"), own.to_string(), "in its own name");
    let error = lab.try_attach(&lab::Lab::want("two", &["lan"], &["80:80"])).unwrap_err();
    assert!(error.to_string().contains("address of its own on the segment"), "{error}");
}

#[test]
fn a_container_in_several_networks_reaches_all_of_them() {
    let Some(lab) = lab("a_container_in_several_networks") else { return };
    lab.network("blue", |request| request.internal = true);
    lab.network("red", |_| ());
    let (both, attached) =
        lab.attach("both", &["blue", "red:mac=02:00:00:00:00:05,interface_name=front"], &["8080:80"]);
    let (blue, one) = lab.attach("blue", &["blue"], &[]);
    let (red, two) = lab.attach("red", &["red"], &[]);
    let _server = serve(&both, "0.0.0.0:80");
    let (_blue, _red) = (serve(&blue, "0.0.0.0:80"), serve(&red, "0.0.0.0:80"));
    let places = attached.endpoints();
    assert_eq!(
        (places[1].interface.as_str(), places[1].mac.to_string()),
        ("front", "02:00:00:00:00:05".to_owned())
    );
    assert_eq!(
        call(&both, &format!("{}:80", attached_address(&one))),
        places[0].ipv4.unwrap().address.to_string()
    );
    assert_eq!(
        call(&both, &format!("{}:80", attached_address(&two))),
        places[1].ipv4.unwrap().address.to_string()
    );
    assert_eq!(call(&lab.outside, "192.0.2.1:8080"), "192.0.2.9", "the port is on the one with a way out");
    assert!(refused(&blue, &format!("{}:80", attached_address(&two))));
    // One more while it runs, and out again.
    let green = lab.network("green", |_| ());
    let place = lab.networks.connect("both", &"green".parse().unwrap(), &mut |_| ()).unwrap();
    let (third, three) = lab.attach("green", &["green"], &[]);
    let _third = serve(&third, "0.0.0.0:80");
    let peer = format!("{}:80", attached_address(&three));
    assert_eq!(call(&both, &peer), place.ipv4.unwrap().address.to_string());
    assert_eq!(lab.networks.members(&green.name).unwrap().len(), 2);
    let again = lab.networks.connect("both", &"green".parse().unwrap(), &mut |_| ()).unwrap_err();
    assert_eq!(again.to_string(), "container both: it is in the network green already");
    let busy = lab.networks.disconnect("both", "red").unwrap_err();
    assert_eq!(busy.to_string(), "network red: the container's published ports lead there");
    lab.networks.disconnect("both", "green").unwrap();
    assert!(refused(&both, &peer));
    assert_eq!(lab.networks.members(&green.name).unwrap().len(), 1);
    assert!(attached.detach().is_empty());
}
