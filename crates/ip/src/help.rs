//! What `help` says. The same texts make the reference page and the manual page.

use std::io::Write as _;

/// A page of help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Options and objects.
    Ip,
    /// `holm ip netns`
    Netns,
    /// `holm ip link`
    Link,
    /// `holm ip address`
    Address,
    /// `holm ip route`
    Route,
    /// `holm ip neighbour`
    Neighbour,
    /// `holm ip tuntap`
    Tuntap,
}

/// Every page, in the order of the reference.
pub const TOPICS: [Topic; 6] =
    [Topic::Netns, Topic::Link, Topic::Address, Topic::Route, Topic::Neighbour, Topic::Tuntap];

impl Topic {
    /// The page of an object, by the beginning of its name.
    pub(crate) fn of(object: &str) -> Self {
        match object.as_bytes() {
            [b'a', ..] => Self::Address,
            [b'r', ..] => Self::Route,
            [b'n', b'e', b't', ..] => Self::Netns,
            [b'n', ..] => Self::Neighbour,
            [b'l', ..] => Self::Link,
            [b't', ..] => Self::Tuntap,
            _ => Self::Ip,
        }
    }

    /// The grammar: capitals stand for values, braces for a choice, brackets for what can be left out.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Ip => IP,
            Self::Netns => NETNS,
            Self::Link => LINK,
            Self::Address => ADDRESS,
            Self::Route => ROUTE,
            Self::Neighbour => NEIGHBOUR,
            Self::Tuntap => TUNTAP,
        }
    }
}

/// Prints a page; that is no failure.
pub(crate) fn print(topic: Topic) -> u8 {
    let _ = std::io::stdout().write_all(topic.text().as_bytes());
    0
}

/// Options, with what they do: what the reference lists.
pub const OPTIONS: &[(&str, &str)] = &[
    ("-n, -netns NAME", "Work in the network namespace with this name"),
    ("-4, -6, -0", "IPv4, IPv6 or links only; the same as -family inet, inet6, link"),
    ("-s, -stats", "Show counters; twice for more"),
    ("-d, -details", "Show everything that is known of a link or route"),
    ("-br, -brief", "One short line each"),
    ("-o, -oneline", "One line each, with \\ in place of line ends"),
    ("-j, -json", "Print JSON"),
    ("-p, -pretty", "Print JSON with line ends and indentation"),
    ("-h, -human", "Counters with k, M, G; -iec for powers of 1024"),
    ("-N, -Numeric", "Numbers in place of names"),
    ("-a, -all", "Every network namespace, for netns exec and netns delete"),
    ("-c, -color[=always|auto|never]", "Color; never is the default"),
    ("-l, -loops NUMBER", "How often address flush goes round at most; 10 is the default, 0 for ever"),
    ("-V, -Version", "Print the version"),
];

const IP: &str = "\
Usage: holm ip [OPTIONS] OBJECT [COMMAND [WORDS]]
       holm ip help [OBJECT]

Links, addresses, routes and network namespaces, in iproute2's grammar. Objects, commands and keywords can be cut short
as `ip` takes it: holm ip a s, holm ip link ls, holm ip r.

Objects:
  netns       network namespaces with names
  link        links: veth, bridge, macvlan, vlan, vxlan and other types
  address     addresses of links
  route       routes
  neighbour   link addresses of neighbours
  tuntap      links whose other end is a program

Options, in front of the object:
  -n NAME      work in the network namespace NAME
  -4, -6, -0   IPv4, IPv6 or links only (-family inet, inet6, link)
  -s           counters; twice for more
  -d           everything that is known
  -br          one short line each
  -o           one line each, with \\ in place of line ends
  -j, -p       JSON; with line ends and indentation
  -h, -iec     counters with k, M, G; in powers of 1024
  -N           numbers in place of names
  -a           every network namespace (netns exec, netns delete)
  -c[=WHEN]    color: always, auto or never
  -l NUMBER    how often address flush goes round at most
  -V           the version

The exit status is 0, 1 for what cannot be asked for, 2 for what the kernel refused, 255 for a wrong command line; for
netns exec that of the program.
";

const NETNS: &str = "\
Usage: holm ip netns list
       holm ip netns add NAME
       holm ip netns attach NAME PID
       holm ip [-all] netns delete [NAME]
       holm ip [-all] netns exec [NAME] PROGRAM [ARGUMENT...]
       holm ip netns identify [PID]
       holm ip netns pids NAME
       holm ip netns set NAME { ID | auto }
       holm ip netns list-id [ target-nsid ID ] [ nsid ID ]
       holm ip netns monitor
";

const LINK: &str = "\
Usage: holm ip link add [name] NAME [ link LINK ] [ PROPERTIES ] type TYPE [ PARAMETERS ]
       holm ip link set [dev] NAME [ { up | down } ] [ PROPERTIES ] [ type TYPE PARAMETERS ]
       holm ip link set group GROUP [ PROPERTIES ]
       holm ip link delete [dev] NAME
       holm ip link show [ [dev] NAME ] [ group GROUP ] [ up ] [ master LINK | nomaster ] [ type TYPE[_slave] ]
       holm ip link property { add | del } dev NAME altname NAME...

PROPERTIES := [ address LLADDR ] [ broadcast LLADDR ] [ mtu BYTES ] [ txqueuelen PACKETS ] [ name NEWNAME ]
              [ netns { NAME | PID } ] [ index NUMBER ] [ master LINK | nomaster ] [ alias TEXT ] [ group GROUP ]
              [ arp | multicast | allmulticast | promisc | dynamic | trailers | carrier | protodown { on | off } ]
              [ mode { default | dormant } ] [ state STATE ] [ numtxqueues NUMBER ] [ numrxqueues NUMBER ]
              [ addrgenmode { eui64 | none | stable_secret | random } ] [ link-netns NAME | link-netnsid ID ]
              [ gso_max_size BYTES ] [ gso_max_segs NUMBER ] [ gro_max_size BYTES ] [ parentdev NAME ]

TYPE := any type that the kernel has; these have parameters:
  veth      peer [name] NAME [ PROPERTIES ]
  bridge    [ forward_delay | hello_time | max_age | ageing_time | stp_state | priority | vlan_filtering
              | vlan_protocol | vlan_default_pvid | vlan_stats_enabled | vlan_stats_per_port | group_fwd_mask
              | group_address | no_linklocal_learn | nf_call_iptables | nf_call_ip6tables | nf_call_arptables
              | mcast_... VALUE ] [ fdb_flush ]
  bridge_slave  [ state | priority | cost | mcast_router | group_fwd_mask NUMBER ] [ backup_port LINK | nobackup_port ]
              [ hairpin | guard | root_block | fastleave | learning | flood | mcast_flood | bcast_flood
              | mcast_to_unicast | proxy_arp | proxy_arp_wifi | neigh_suppress | vlan_tunnel | isolated
              | locked { on | off } ] [ fdb_flush ]
  macvlan, macvtap  [ mode { private | vepa | bridge | passthru | source } ] [ nopromisc ] [ nodst ]
              [ bcqueuelen NUMBER ] [ macaddr { { add | del } LLADDR | set LLADDR... | flush } ]
  ipvlan, ipvtap  [ mode { l2 | l3 | l3s } ] [ bridge | private | vepa ]
  vlan      id ID [ protocol { 802.1Q | 802.1ad } ] [ reorder_hdr | gvrp | mvrp | loose_binding
              | bridge_binding { on | off } ] [ ingress-qos-map FROM:TO... ] [ egress-qos-map FROM:TO... ]
  vxlan     id ID [ { group | remote } ADDRESS ] [ local ADDRESS ] [ dev LINK ] [ dstport PORT ]
              [ srcport LOW HIGH ] [ ttl { NUMBER | auto | inherit } ] [ tos { TOS | inherit } ]
              [ df { unset | set | inherit } ] [ flowlabel LABEL ] [ ageing SECONDS ] [ maxaddress NUMBER ]
              [ [no]learning ] [ [no]proxy ] [ [no]rsc ] [ [no]l2miss ] [ [no]l3miss ] [ [no]udpcsum ]
              [ [no]udp6zerocsumtx ] [ [no]udp6zerocsumrx ] [ [no]external ] [ gbp ] [ gpe ] [ [no]vnifilter ]
  vrf       table TABLE
  tun, tap  [ user USER ] [ group GROUP ] [ pi ] [ vnet_hdr ] [ multi_queue ]
";

const ADDRESS: &str = "\
Usage: holm ip address { add | change | replace } ADDRESS dev NAME [ WORDS ] [ LIFETIMES ] [ FLAGS ]
       holm ip address delete ADDRESS dev NAME
       holm ip address show [ [dev] NAME ] [ FILTER ]
       holm ip address flush [ [dev] NAME ] [ FILTER ]

ADDRESS   := IP/LENGTH | IP peer IP/LENGTH
WORDS     := [ broadcast { IP | + | - } ] [ anycast IP ] [ label TEXT ] [ scope SCOPE ] [ metric NUMBER ]
LIFETIMES := [ valid_lft { forever | SECONDS } ] [ preferred_lft { forever | SECONDS } ]
FLAGS     := [ home ] [ nodad ] [ optimistic ] [ mngtmpaddr ] [ noprefixroute ] [ autojoin ]
FILTER    := [ scope SCOPE ] [ to PREFIX ] [ label PATTERN ] [ up ] [ master LINK | nomaster ] [ type TYPE ]
             [ [-]permanent | [-]dynamic | [-]primary | [-]secondary | [-]tentative | [-]deprecated | [-]dadfailed
             | [-]temporary ]
SCOPE     := host | link | global | NUMBER
";

const ROUTE: &str = "\
Usage: holm ip route { add | change | replace | append | prepend | delete } [ TYPE ] PREFIX [ WORDS ] [ nexthop WAY ]...
       holm ip route show [ FILTER ]
       holm ip route flush FILTER
       holm ip route get ADDRESS [ from ADDRESS ] [ iif LINK ] [ oif LINK ] [ tos TOS ] [ mark NUMBER ] [ uid NUMBER ]
              [ ipproto PROTOCOL ] [ sport PORT ] [ dport PORT ] [ fibmatch ]

TYPE   := unicast | local | broadcast | anycast | multicast | blackhole | unreachable | prohibit | throw | nat
PREFIX := default | IP/LENGTH
WORDS  := [ via [ inet | inet6 ] ADDRESS ] [ dev LINK ] [ src ADDRESS ] [ metric NUMBER ] [ table TABLE ]
          [ proto PROTOCOL ] [ scope SCOPE ] [ tos TOS ] [ onlink ] [ realms REALM ] [ pref { low | medium | high } ]
          [ expires SECONDS ] [ from PREFIX ] [ nhid ID ] [ mtu | advmss | hoplimit | window | cwnd | initcwnd
          | initrwnd | ssthresh | reordering | quickack | rtt | rttvar | rto_min [ lock ] NUMBER ]
          [ congctl NAME ] [ features ecn ]
WAY    := [ via ADDRESS ] [ dev LINK ] [ weight NUMBER ] [ onlink ]
FILTER := [ [ root | match | exact ] PREFIX ] [ table { TABLE | all } ] [ vrf LINK ] [ dev LINK ] [ via PREFIX ] [ src PREFIX ]
          [ proto PROTOCOL ] [ scope SCOPE ] [ type TYPE ] [ metric NUMBER ] [ tos TOS ] [ from PREFIX ] [ cache ]
";

const NEIGHBOUR: &str = "\
Usage: holm ip neighbour { add | change | replace | delete } { ADDRESS [ lladdr LLADDR ] [ nud STATE ] | proxy ADDRESS }
              dev LINK [ router ] [ use ] [ managed ] [ extern_learn ] [ protocol PROTOCOL ]
       holm ip neighbour { show | flush } [ [to] PREFIX ] [ dev LINK ] [ nud STATE ] [ proxy ] [ unused ]
              [ master LINK | nomaster ] [ protocol PROTOCOL ]
       holm ip neighbour get ADDRESS dev LINK

STATE := permanent | noarp | stale | reachable | none | incomplete | delay | probe | failed | all
";

const TUNTAP: &str = "\
Usage: holm ip tuntap { add | delete } [dev] NAME mode { tun | tap } [ user USER ] [ group GROUP ]
              [ pi ] [ one_queue ] [ vnet_hdr ] [ multi_queue ]
       holm ip tuntap show
";
