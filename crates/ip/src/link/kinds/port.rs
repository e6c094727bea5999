//! Ports of bridges (`IFLA_BRPORT_*`).

use netlink::{Attribute, Attributes, Requests};

use super::Form::{BridgeId, Flag, Switch, Timer, U8, U16, U32};
use super::{Parameter, both, find, keyed, read_one, show_all, show_hex, shown, unknown};
use crate::fail::Fail;
use crate::session::Session;
use crate::words::{self, Words, short};

const STATE: u16 = 1;
const FAST_LEAVE: u16 = 7;
const PORT_ID: u16 = 17;
const PORT_NUMBER: u16 = 18;
const GROUP_FWD_MASK: u16 = 31;
const BACKUP: u16 = 34;
const STATES: [&str; 5] = ["disabled", "listening", "learning", "forwarding", "blocking"];

const FIRST: &[Parameter] = &[
    both(2, "priority", U16),
    both(3, "cost", U32),
    both(4, "hairpin", Switch),
    both(5, "guard", Switch),
    both(6, "root_block", Switch),
    both(FAST_LEAVE, "fastleave", Switch),
    both(8, "learning", Switch),
    both(9, "flood", Switch),
];

const SECOND: &[Parameter] = &[
    shown(15, "designated_port", U16),
    shown(16, "designated_cost", U16),
    keyed(14, "designated_bridge", "bridge_id", BridgeId, false),
    keyed(13, "designated_root", "root_id", BridgeId, false),
    shown(23, "hold_timer", Timer),
    shown(21, "message_age_timer", Timer),
    shown(22, "forward_delay_timer", Timer),
    shown(19, "topology_change_ack", U8),
    shown(20, "config_pending", U8),
    both(10, "proxy_arp", Switch),
    both(12, "proxy_arp_wifi", Switch),
    keyed(25, "mcast_router", "multicast_router", U8, true),
];

const THIRD: &[Parameter] = &[
    both(27, "mcast_flood", Switch),
    both(30, "bcast_flood", Switch),
    both(28, "mcast_to_unicast", Switch),
    both(32, "neigh_suppress", Switch),
];

const FOURTH: &[Parameter] =
    &[both(29, "vlan_tunnel", Switch), both(33, "isolated", Switch), both(39, "locked", Switch)];

/// What is only set.
const SET: &[Parameter] = &[
    keyed(24, "fdb_flush", "", Flag, true),
    keyed(FAST_LEAVE, "mcast_fast_leave", "", Switch, true),
    keyed(GROUP_FWD_MASK, "group_fwd_mask", "", U16, true),
];

pub(super) fn show(session: &mut Session, data: Attributes<'_>) {
    let out = &mut session.out;
    if let Some(state) = data.find(STATE).and_then(Attribute::u8) {
        match STATES.get(usize::from(state)) {
            Some(name) => out.field("state", *name, format_args!("state {name} ")),
            None => out.field("state_index", state, format_args!("state ({state}) ")),
        }
    }
    show_all(out, FIRST, data);
    for (kind, word, key) in [(PORT_ID, "port_id", "id"), (PORT_NUMBER, "port_no", "no")] {
        if let Some(number) = data.find(kind).and_then(Attribute::u16) {
            show_hex(out, word, key, number.into());
        }
    }
    show_all(out, SECOND, data);
    if let Some(on) = data.find(FAST_LEAVE).and_then(Attribute::u8) {
        out.text(format_args!("mcast_fast_leave {} ", if on == 0 { "off" } else { "on" }));
    }
    show_all(out, THIRD, data);
    if let Some(mask) = data.find(GROUP_FWD_MASK).and_then(Attribute::u16) {
        show_hex(out, "group_fwd_mask", "group_fwd_mask", mask.into());
        let names = mask_names(mask);
        out.field("group_fwd_mask_str", &names, format_args!("group_fwd_mask_str {names} "));
    }
    show_all(out, FOURTH, data);
    if let Some(backup) = data.find(BACKUP).and_then(Attribute::u32) {
        let name = session.link_name(backup);
        session.out.field("backup_port", &name, format_args!("backup_port {name} "));
    }
}

/// Which groups of addresses a port forwards although bridges do not.
fn mask_names(mask: u16) -> String {
    let name = |bit: u32| match bit {
        0 => "stp".to_owned(),
        2 => "lacp".to_owned(),
        14 => "lldp".to_owned(),
        other => format!("{:#x}", 1u32 << other),
    };
    let names: Vec<String> = (0..16).filter(|bit| mask & (1 << bit) != 0).map(name).collect();
    if names.is_empty() { "0x0".to_owned() } else { names.join(",") }
}

pub(super) fn read(session: &mut Session, words: &Words<'_>, requests: &mut Requests) -> Result<(), Fail> {
    while let Some(word) = words.next() {
        if short(word, "state") {
            requests.u8(STATE, words::u8("state", words.value()?)?);
        } else if short(word, "backup_port") {
            requests.u32(BACKUP, session.link_value("backup_port", words.value()?)?);
        } else if short(word, "nobackup_port") {
            requests.u32(BACKUP, 0);
        } else {
            let found = [FIRST, SECOND, THIRD, FOURTH, SET].iter().find_map(|table| find(table, word));
            read_one(found.ok_or_else(|| unknown("bridge_slave", word))?, words, requests)?;
        }
    }
    Ok(())
}
