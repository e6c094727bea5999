//! Numbers of routes that have names: types, metrics, flags.

use crate::words::number;

/// `RTN_*` by name.
const TYPES: [&str; 12] = [
    "none",
    "unicast",
    "local",
    "broadcast",
    "anycast",
    "multicast",
    "blackhole",
    "unreachable",
    "prohibit",
    "throw",
    "nat",
    "xresolve",
];

pub(super) const UNICAST: u8 = 1;
pub(super) const LOCAL: u8 = 2;
pub(super) const BROADCAST: u8 = 3;
pub(super) const ANYCAST: u8 = 4;
pub(super) const MULTICAST: u8 = 5;
pub(super) const NAT: u8 = 10;

pub(super) const TABLE_LOCAL: u32 = 255;
pub(super) const TABLE_MAIN: u32 = 254;

pub(super) const SCOPE_HOST: u8 = 254;
pub(super) const SCOPE_LINK: u8 = 253;
pub(super) const SCOPE_NOWHERE: u8 = 255;

/// `RTPROT_BOOT`: made by hand.
pub(super) const PROTOCOL_BOOT: u8 = 3;

/// `RTM_F_CLONED`: an entry of a cache, as the answer to `get` is.
pub(super) const CLONED: u32 = 0x200;
/// `RTM_F_LOOKUP_TABLE`
pub(super) const LOOKUP_TABLE: u32 = 0x1000;
/// `RTM_F_FIB_MATCH`
pub(super) const FIB_MATCH: u32 = 0x2000;
/// `RTNH_F_ONLINK`
pub(super) const ONLINK: u32 = 4;

/// A type's name.
pub(super) fn type_name(kind: u8) -> String {
    TYPES.get(usize::from(kind)).map_or_else(|| kind.to_string(), |name| (*name).to_owned())
}

/// A type by its name or number.
pub(super) fn type_by_name(word: &str) -> Option<u8> {
    let by_name = TYPES.iter().skip(1).position(|name| *name == word).map(|place| place as u8 + 1);
    by_name.or_else(|| u8::try_from(number(word)?).ok())
}

/// `RTAX_*` by name, from 2 on.
pub(super) const METRICS: [(u16, &str); 16] = [
    (2, "mtu"),
    (3, "window"),
    (4, "rtt"),
    (5, "rttvar"),
    (6, "ssthresh"),
    (7, "cwnd"),
    (8, "advmss"),
    (9, "reordering"),
    (10, "hoplimit"),
    (11, "initcwnd"),
    (12, "features"),
    (13, "rto_min"),
    (14, "initrwnd"),
    (15, "quickack"),
    (16, "congctl"),
    (17, "fastopen_no_cookie"),
];
pub(super) const LOCK: u16 = 1;
pub(super) const RTT: u16 = 4;
pub(super) const RTTVAR: u16 = 5;
pub(super) const HOPLIMIT: u16 = 10;
pub(super) const FEATURES: u16 = 12;
pub(super) const RTO_MIN: u16 = 13;
pub(super) const CONGCTL: u16 = 16;
