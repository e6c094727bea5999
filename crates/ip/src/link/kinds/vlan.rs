//! VLANs on a link (`IFLA_VLAN_*`).

use netlink::{Attribute, Attributes, Requests};

use super::{protocol, protocol_name, unknown};
use crate::fail::Fail;
use crate::session::Session;
use crate::words::{self, Words, invalid, on_off, short};

const ID: u16 = 1;
const FLAGS: u16 = 2;
const EGRESS: u16 = 3;
const INGRESS: u16 = 4;
const PROTOCOL: u16 = 5;
/// `IFLA_VLAN_QOS_MAPPING`
const MAPPING: u16 = 1;

const SWITCHES: [(u32, &str, &str); 5] = [
    (1, "reorder_hdr", "REORDER_HDR"),
    (2, "gvrp", "GVRP"),
    (8, "mvrp", "MVRP"),
    (4, "loose_binding", "LOOSE_BINDING"),
    (16, "bridge_binding", "BRIDGE_BINDING"),
];

pub(super) fn show(session: &mut Session, data: Attributes<'_>) {
    let out = &mut session.out;
    let Some(id) = data.find(ID).and_then(Attribute::u16) else { return };
    let name =
        data.find(PROTOCOL).and_then(Attribute::be16).map_or_else(|| "802.1q".to_owned(), protocol_name);
    out.field("protocol", &name, format_args!("protocol {name} "));
    out.field("id", id, format_args!("id {id} "));
    if let Some(flags) = data.find(FLAGS) {
        let Some(mut flags) = flags.u32() else { return };
        out.array("flags", "<");
        for (bit, _, name) in SWITCHES {
            if flags & bit != 0 {
                flags &= !bit;
                out.item(name, format_args!("{name}{}", if flags == 0 { "" } else { "," }));
            }
        }
        if flags != 0 {
            out.item(&format!("{flags:x}"), format_args!("{flags:x}"));
        }
        out.close_array("> ");
    }
    for (kind, key, word) in
        [(INGRESS, "ingress_qos", "ingress-qos-map"), (EGRESS, "egress_qos", "egress-qos-map")]
    {
        let Some(map) = data.find(kind) else { continue };
        out.array(key, "");
        out.line();
        out.text(format_args!("      {word} {{ "));
        for pair in map.nested() {
            let (Some(from), Some(to)) = (pair.u32(), pair.data.get(4..)) else { continue };
            let to = Attribute { kind: 0, data: to }.u32().unwrap_or(0);
            out.object(None);
            out.json("from", from);
            out.json("to", to);
            out.object_end();
            out.text(format_args!("{from}:{to} "));
        }
        out.close_array("");
        out.text(format_args!("}} "));
    }
}

pub(super) fn read(words: &Words<'_>, requests: &mut Requests) -> Result<(), Fail> {
    let (mut flags, mut mask) = (0u32, 0u32);
    while let Some(word) = words.next() {
        if short(word, "protocol") {
            requests.be16(PROTOCOL, protocol("protocol", words.value()?)?);
        } else if short(word, "id") {
            requests.u16(ID, words::u16("id", words.value()?)?);
        } else if let Some((bit, name, _)) = SWITCHES.iter().find(|(_, name, _)| short(word, name)) {
            mask |= bit;
            flags = if on_off(name, words.value()?)? { flags | bit } else { flags & !bit };
        } else if short(word, "ingress-qos-map") {
            read_map(words, requests, INGRESS, "ingress-qos-map")?;
        } else if short(word, "egress-qos-map") {
            read_map(words, requests, EGRESS, "egress-qos-map")?;
        } else {
            return Err(unknown("vlan", word));
        }
    }
    if mask != 0 {
        requests.attribute(FLAGS, &[flags.to_ne_bytes(), mask.to_ne_bytes()].concat());
    }
    Ok(())
}

/// Pairs `FROM:TO`, at least one.
fn read_map(words: &Words<'_>, requests: &mut Requests, kind: u16, keyword: &str) -> Result<(), Fail> {
    let mut pairs = Vec::new();
    while let Some((from, to)) = words.peek().and_then(|word| word.split_once(':')) {
        words.next();
        pairs.push(
            [words::u32(keyword, from)?.to_ne_bytes(), words::u32(keyword, to)?.to_ne_bytes()].concat(),
        );
    }
    if pairs.is_empty() {
        return Err(invalid(keyword, words.value()?, "pairs FROM:TO"));
    }
    requests.nest(kind, |map| {
        for pair in &pairs {
            map.attribute(MAPPING, pair);
        }
    });
    Ok(())
}
