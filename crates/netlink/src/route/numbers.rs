//! The numbers of linux/rtnetlink.h, if_link.h, if_addr.h, neighbour.h and net_namespace.h.

macro_rules! messages {
    ($($name:ident $number:literal)*) => {
        $(
            #[doc = concat!("`RTM_", stringify!($name), "`")]
            pub const $name: u16 = $number;
        )*
    };
}

messages! {
    NEWLINK 16 DELLINK 17 GETLINK 18
    NEWADDR 20 DELADDR 21 GETADDR 22
    NEWROUTE 24 DELROUTE 25 GETROUTE 26
    NEWNEIGH 28 DELNEIGH 29 GETNEIGH 30
    NEWNSID 88 DELNSID 89 GETNSID 90
    NEWLINKPROP 108 DELLINKPROP 109
}

/// A module of attribute kinds, with the function that gives a kind its name.
macro_rules! kinds {
    ($(#[$doc:meta])* $module:ident $prefix:literal $($name:ident $number:literal)*) => {
        $(#[$doc])*
        pub mod $module {
            $(
                #[doc = concat!("`", $prefix, "_", stringify!($name), "`")]
                pub const $name: u16 = $number;
            )*

            /// The kernel's name of a kind.
            pub const fn name(kind: u16) -> Option<&'static str> {
                match kind {
                    $($number => Some(concat!($prefix, "_", stringify!($name))),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// Attributes of links.
    ifla "IFLA"
    ADDRESS 1 BROADCAST 2 IFNAME 3 MTU 4 LINK 5 QDISC 6 STATS 7 MASTER 10 PROTINFO 12 TXQLEN 13 OPERSTATE 16 LINKMODE 17
    LINKINFO 18 NET_NS_PID 19 IFALIAS 20 NUM_VF 21 VFINFO_LIST 22 STATS64 23 AF_SPEC 26 GROUP 27 NET_NS_FD 28
    EXT_MASK 29 PROMISCUITY 30 NUM_TX_QUEUES 31 NUM_RX_QUEUES 32 CARRIER 33 PHYS_PORT_ID 34 CARRIER_CHANGES 35
    PHYS_SWITCH_ID 36 LINK_NETNSID 37 PHYS_PORT_NAME 38 PROTO_DOWN 39 GSO_MAX_SEGS 40 GSO_MAX_SIZE 41 XDP 43
    EVENT 44 NEW_NETNSID 45 TARGET_NETNSID 46 NEW_IFINDEX 49 MIN_MTU 50 MAX_MTU 51 PROP_LIST 52 ALT_IFNAME 53
    PERM_ADDRESS 54 PROTO_DOWN_REASON 55 PARENT_DEV_NAME 56 PARENT_DEV_BUS_NAME 57 GRO_MAX_SIZE 58 TSO_MAX_SIZE 59
    TSO_MAX_SEGS 60 ALLMULTI 61
}

/// More than the highest attribute of a link that is looked at.
pub const IFLA_COUNT: usize = 64;

kinds! {
    /// What is inside of [`ifla::LINKINFO`].
    info "IFLA_INFO"
    KIND 1 DATA 2 XSTATS 3 SLAVE_KIND 4 SLAVE_DATA 5
}

kinds! {
    /// Attributes of addresses.
    ifa "IFA"
    ADDRESS 1 LOCAL 2 LABEL 3 BROADCAST 4 ANYCAST 5 CACHEINFO 6 MULTICAST 7 FLAGS 8 RT_PRIORITY 9 TARGET_NETNSID 10
    PROTO 11
}

kinds! {
    /// Attributes of routes.
    rta "RTA"
    DST 1 SRC 2 IIF 3 OIF 4 GATEWAY 5 PRIORITY 6 PREFSRC 7 METRICS 8 MULTIPATH 9 FLOW 11 CACHEINFO 12 TABLE 15
    MARK 16 VIA 18 NEWDST 19 PREF 20 ENCAP_TYPE 21 ENCAP 22 EXPIRES 23 UID 25 TTL_PROPAGATE 26 IP_PROTO 27 SPORT 28
    DPORT 29 NH_ID 30
}

kinds! {
    /// Attributes of neighbours.
    nda "NDA"
    DST 1 LLADDR 2 CACHEINFO 3 PROBES 4 VLAN 5 PORT 6 VNI 7 IFINDEX 8 MASTER 9 LINK_NETNSID 10 PROTOCOL 12
    FLAGS_EXT 15
}

kinds! {
    /// Attributes of ids of network namespaces.
    netnsa "NETNSA"
    NSID 1 PID 2 FD 3 TARGET_NSID 4 CURRENT_NSID 5
}

/// `RTEXT_FILTER_VF`: tell also of virtual functions.
pub const EXT_FILTER_VF: u32 = 1;
/// `RTEXT_FILTER_SKIP_STATS`: leave the counters out, which saves most of the work.
pub const EXT_FILTER_SKIP_STATS: u32 = 8;

/// `AF_UNSPEC`
pub const AF_UNSPEC: u8 = 0;
/// `AF_INET`
pub const AF_INET: u8 = 2;
/// `AF_BRIDGE`
pub const AF_BRIDGE: u8 = 7;
/// `AF_INET6`
pub const AF_INET6: u8 = 10;
/// `AF_PACKET`
pub const AF_PACKET: u8 = 17;

/// `IFF_UP`
pub const IFF_UP: u32 = 1;
/// `IFF_POINTOPOINT`
pub const IFF_POINTOPOINT: u32 = 0x10;
/// `IFF_NOTRAILERS`
pub const IFF_NOTRAILERS: u32 = 0x20;
/// `IFF_RUNNING`
pub const IFF_RUNNING: u32 = 0x40;
/// `IFF_NOARP`
pub const IFF_NOARP: u32 = 0x80;
/// `IFF_PROMISC`
pub const IFF_PROMISC: u32 = 0x100;
/// `IFF_ALLMULTI`
pub const IFF_ALLMULTI: u32 = 0x200;
/// `IFF_MULTICAST`
pub const IFF_MULTICAST: u32 = 0x1000;
/// `IFF_DYNAMIC`
pub const IFF_DYNAMIC: u32 = 0x8000;
