//! Bridges (`IFLA_BR_*`).

use netlink::{Attribute, Attributes, Requests};

use super::Form::{BridgeId, Flag, Hex16, Mac, Protocol, Timer, U8, U16, U32, U64};
use super::{Parameter, both, find, keyed, read_one, show_one, shown, unknown};
use crate::fail::Fail;
use crate::session::Session;
use crate::words::{self, Words, short};

/// `IFLA_BR_MULTI_BOOLOPT`: two words of 32 bits, values and which of them count.
const SWITCHES: u16 = 46;
const NO_LL_LEARN: u32 = 1;
const MCAST_VLAN_SNOOPING: u32 = 2;

const FIRST: &[Parameter] = &[
    both(1, "forward_delay", U32),
    both(2, "hello_time", U32),
    both(3, "max_age", U32),
    both(4, "ageing_time", U32),
    both(5, "stp_state", U32),
    both(6, "priority", U16),
    both(7, "vlan_filtering", U8),
    both(8, "vlan_protocol", Protocol),
    shown(11, "bridge_id", BridgeId),
    keyed(10, "designated_root", "root_id", BridgeId, false),
    shown(12, "root_port", U16),
    shown(13, "root_path_cost", U32),
    shown(14, "topology_change", U8),
    shown(15, "topology_change_detected", U8),
    shown(16, "hello_timer", Timer),
    shown(17, "tcn_timer", Timer),
    shown(18, "topology_change_timer", Timer),
    shown(19, "gc_timer", Timer),
    both(39, "vlan_default_pvid", U16),
    both(41, "vlan_stats_enabled", U8),
    both(45, "vlan_stats_per_port", U8),
    both(9, "group_fwd_mask", Hex16),
    keyed(20, "group_address", "group_addr", Mac, true),
    both(23, "mcast_snooping", U8),
];

const SECOND: &[Parameter] = &[
    both(22, "mcast_router", U8),
    both(24, "mcast_query_use_ifaddr", U8),
    both(25, "mcast_querier", U8),
    both(26, "mcast_hash_elasticity", U32),
    both(27, "mcast_hash_max", U32),
    keyed(28, "mcast_last_member_count", "mcast_last_member_cnt", U32, true),
    keyed(29, "mcast_startup_query_count", "mcast_startup_query_cnt", U32, true),
    keyed(30, "mcast_last_member_interval", "mcast_last_member_intvl", U64, true),
    keyed(31, "mcast_membership_interval", "mcast_membership_intvl", U64, true),
    keyed(32, "mcast_querier_interval", "mcast_querier_intvl", U64, true),
    keyed(33, "mcast_query_interval", "mcast_query_intvl", U64, true),
    keyed(34, "mcast_query_response_interval", "mcast_query_response_intvl", U64, true),
    keyed(35, "mcast_startup_query_interval", "mcast_startup_query_intvl", U64, true),
    both(42, "mcast_stats_enabled", U8),
    both(43, "mcast_igmp_version", U8),
    both(44, "mcast_mld_version", U8),
    both(36, "nf_call_iptables", U8),
    both(37, "nf_call_ip6tables", U8),
    both(38, "nf_call_arptables", U8),
];

/// Forget the learned addresses.
const FLUSH: Parameter = keyed(21, "fdb_flush", "", Flag, true);

pub(super) fn show(session: &mut Session, data: Attributes<'_>) {
    let out = &mut session.out;
    super::show_all(out, FIRST, data);
    if let Some(switches) = data.find(SWITCHES) {
        let (values, mask) = (switches.u32().unwrap_or(0), switches.data.get(4..).unwrap_or_default());
        let mask = Attribute { kind: 0, data: mask }.u32().unwrap_or(0);
        for (bit, word) in [(NO_LL_LEARN, "no_linklocal_learn"), (MCAST_VLAN_SNOOPING, "mcast_vlan_snooping")]
        {
            if mask & bit != 0 {
                let on = u8::from(values & bit != 0);
                out.field(word, on, format_args!("{word} {on} "));
            }
        }
    }
    for parameter in SECOND {
        if let Some(value) = data.find(parameter.attribute) {
            show_one(out, *parameter, value);
        }
    }
}

pub(super) fn read(words: &Words<'_>, requests: &mut Requests) -> Result<(), Fail> {
    let (mut values, mut mask) = (0, 0);
    while let Some(word) = words.next() {
        let switch = match word {
            "mcast_vlan_snooping" => MCAST_VLAN_SNOOPING,
            _ if short(word, "no_linklocal_learn") => NO_LL_LEARN,
            _ => 0,
        };
        if switch != 0 {
            let on = words::u8(word, words.value()?)? != 0;
            mask |= switch;
            values = if on { values | switch } else { values & !switch };
            continue;
        }
        let found = find(FIRST, word).or_else(|| find(SECOND, word)).or_else(|| find(&[FLUSH], word));
        read_one(found.ok_or_else(|| unknown("bridge", word))?, words, requests)?;
    }
    if mask != 0 {
        requests.attribute(SWITCHES, &[values.to_ne_bytes(), mask.to_ne_bytes()].concat());
    }
    Ok(())
}
