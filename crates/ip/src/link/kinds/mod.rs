//! What is particular to a kind of link: its parameters, read and shown. A module for each kind that has any.
//!
//! Most parameters are a number under a keyword; they are rows of a table ([`Parameter`]).

mod bridge;
mod ipvlan;
mod macvlan;
mod port;
mod tun;
mod vlan;
mod vrf;
mod vxlan;

use netlink::route::info;
use netlink::{Attribute, Attributes, Requests};

use crate::address::{link_address, show_link_address};
use crate::fail::{Fail, IMPOSSIBLE};
use crate::out::{Out, Value};
use crate::session::Session;
use crate::words::{self, Words, invalid, on_off, short};

/// Shows what is inside of `IFLA_LINKINFO`.
pub(super) fn show(session: &mut Session, link_info: Attributes<'_>) {
    session.out.object(Some("linkinfo"));
    let empty = Attributes::new(&[]);
    if let Some(kind) = link_info.find(info::KIND).map(Attribute::text) {
        session.out.line();
        session.out.field("info_kind", kind, format_args!("    {kind} "));
        let data = link_info.find(info::DATA).map(Attribute::nested);
        let shown: Option<fn(&mut Session, Attributes<'_>)> = match kind {
            "bridge" => Some(bridge::show),
            "ipvlan" | "ipvtap" => Some(ipvlan::show),
            "macvlan" | "macvtap" => Some(macvlan::show),
            "tun" => Some(tun::show),
            "vlan" => Some(vlan::show),
            "vrf" => Some(vrf::show),
            "vxlan" => Some(vxlan::show),
            _ => None,
        };
        object(session, "info_data", shown, data.unwrap_or(empty), data.is_some());
    }
    if let Some(kind) = link_info.find(info::SLAVE_KIND).map(Attribute::text) {
        session.out.line();
        session.out.field("info_slave_kind", kind, format_args!("    {kind}_slave "));
        let data = link_info.find(info::SLAVE_DATA).map(Attribute::nested);
        let shown: Option<fn(&mut Session, Attributes<'_>)> = match kind {
            "bridge" => Some(port::show),
            "vrf" => Some(vrf::show),
            _ => None,
        };
        object(session, "info_slave_data", shown, data.unwrap_or(empty), data.is_some());
    }
    session.out.object_end();
}

fn object(
    session: &mut Session,
    key: &str,
    show: Option<fn(&mut Session, Attributes<'_>)>,
    data: Attributes<'_>,
    there: bool,
) {
    if let Some(show) = show {
        session.out.object(Some(key));
        if there {
            show(session, data);
        }
        session.out.object_end();
    }
}

/// Reads the parameters of a link of `kind`; they go into its `IFLA_INFO_DATA`.
pub(super) fn read(
    session: &mut Session,
    kind: &str,
    words: &Words<'_>,
    requests: &mut Requests,
    new: bool,
) -> Result<(), Fail> {
    match kind {
        "bridge" => bridge::read(words, requests),
        "bridge_slave" => port::read(session, words, requests),
        "ipvlan" | "ipvtap" => ipvlan::read(words, requests),
        "macvlan" | "macvtap" => macvlan::read(words, requests),
        "vlan" => vlan::read(words, requests),
        "vrf" => vrf::read(session, words, requests),
        "vxlan" => vxlan::read(session, words, requests, new),
        _ => match words.peek() {
            Some(word) => {
                Err(Fail::impossible(format!("links of type {kind} have no parameter `{word}` here")))
            }
            None => Ok(()),
        },
    }
}

/// How a parameter is written and laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    U8,
    U16,
    U32,
    U64,
    /// Sixteen bits, shown in hexadecimal.
    Hex16,
    /// A VLAN protocol, in network order.
    Protocol,
    Mac,
    /// One byte, `on` or `off`.
    Switch,
    /// The keyword alone.
    Flag,
    /// Priority and address of a bridge; only shown.
    BridgeId,
    /// Hundredths of a second; only shown.
    Timer,
}

/// A parameter: its attribute, keyword, key in JSON, form, and whether it can be set.
#[derive(Debug, Clone, Copy)]
struct Parameter {
    attribute: u16,
    word: &'static str,
    key: &'static str,
    form: Form,
    set: bool,
}

const fn both(attribute: u16, word: &'static str, form: Form) -> Parameter {
    Parameter { attribute, word, key: word, form, set: true }
}

const fn shown(attribute: u16, word: &'static str, form: Form) -> Parameter {
    Parameter { attribute, word, key: word, form, set: false }
}

const fn keyed(attribute: u16, word: &'static str, key: &'static str, form: Form, set: bool) -> Parameter {
    Parameter { attribute, word, key, form, set }
}

/// The parameter that a word means, cut short or whole.
fn find(table: &[Parameter], word: &str) -> Option<Parameter> {
    table.iter().filter(|parameter| parameter.set).find(|parameter| short(word, parameter.word)).copied()
}

/// Reads the value of a parameter.
fn read_one(parameter: Parameter, words: &Words<'_>, requests: &mut Requests) -> Result<(), Fail> {
    let Parameter { attribute, word: name, form, .. } = parameter;
    if form == Form::Flag {
        requests.attribute(attribute, &[]);
        return Ok(());
    }
    let word = words.value()?;
    match form {
        Form::U8 => requests.u8(attribute, words::u8(name, word)?),
        Form::U16 | Form::Hex16 => requests.u16(attribute, words::u16(name, word)?),
        Form::U32 => requests.u32(attribute, words::u32(name, word)?),
        Form::U64 => requests.u64(attribute, words::u64(name, word)?),
        Form::Protocol => requests.be16(attribute, protocol(name, word)?),
        Form::Mac => requests.attribute(attribute, &link_address(word)?),
        Form::Switch => requests.u8(attribute, on_off(name, word)?.into()),
        Form::Flag | Form::BridgeId | Form::Timer => requests,
    };
    Ok(())
}

/// A word that is no parameter of a kind.
fn unknown(kind: &str, word: &str) -> Fail {
    Fail::impossible(format!("links of type {kind} have no parameter `{word}`"))
        .hint("`holm ip link help` lists the types and their parameters")
}

/// A VLAN protocol by name or number.
fn protocol(keyword: &str, word: &str) -> Result<u16, Fail> {
    match word.to_ascii_lowercase().as_str() {
        "802.1q" => Ok(0x8100),
        "802.1ad" => Ok(0x88a8),
        _ => words::u16(keyword, word).map_err(|_| invalid(keyword, word, "802.1Q, 802.1ad or a number")),
    }
}

fn protocol_name(protocol: u16) -> String {
    match protocol {
        0x8100 => "802.1Q".to_owned(),
        0x88a8 => "802.1ad".to_owned(),
        other => format!("[{other}]"),
    }
}

/// Shows a parameter.
fn show_one(out: &mut Out, parameter: Parameter, value: Attribute<'_>) {
    let Parameter { word, key, form, .. } = parameter;
    let number = match form {
        Form::U8 => value.u8().map(u64::from),
        Form::U16 | Form::Hex16 => value.u16().map(u64::from),
        Form::U32 => value.u32().map(u64::from),
        _ => value.u64(),
    };
    match form {
        Form::U8 | Form::U16 | Form::U32 | Form::U64 => {
            if let Some(number) = number {
                out.field(key, number, format_args!("{word} {number} "));
            }
        }
        Form::Hex16 => show_hex(out, word, key, number.unwrap_or(0)),
        Form::Protocol => {
            let name = protocol_name(value.be16().unwrap_or(0));
            out.field(key, &name, format_args!("{word} {name} "));
        }
        Form::Mac => {
            let text = show_link_address(value.data, 1);
            out.field(key, &text, format_args!("{word} {text} "));
        }
        Form::Switch => {
            let on = value.u8().unwrap_or(0) != 0;
            out.field(key, on, format_args!("{word} {} ", if on { "on" } else { "off" }));
        }
        Form::Flag => {}
        Form::BridgeId => {
            let id = bridge_id(value.data);
            out.field(key, &id, format_args!("{word} {id} "));
        }
        Form::Timer => {
            let hundredths = number.unwrap_or(0);
            let (seconds, rest) = (hundredths / 100, hundredths % 100);
            let text = format!("{seconds}.{rest:02}");
            out.field(key, Value::Number(&text), format_args!("{word} {seconds:>4}.{rest:02} "));
        }
    }
}

/// A number in hexadecimal; zero has no prefix, as printf's `%#x` has it.
fn show_hex(out: &mut Out, word: &str, key: &str, number: u64) {
    let text = if number == 0 { "0".to_owned() } else { format!("{number:#x}") };
    out.field(key, &text, format_args!("{word} {text} "));
}

/// Priority and address of a bridge: `8000.2:0:5e:10:0:1`, whose bytes have no leading zeros.
fn bridge_id(bytes: &[u8]) -> String {
    let Some(([high, low], address)) = bytes.split_first_chunk::<2>() else { return String::new() };
    let address: Vec<String> = address.iter().take(6).map(|byte| format!("{byte:x}")).collect();
    format!("{high:02x}{low:02x}.{}", address.join(":"))
}

/// Shows the parameters of a table that are there, in its order.
fn show_all(out: &mut Out, table: &[Parameter], data: Attributes<'_>) {
    for parameter in table {
        if let Some(value) = data.find(parameter.attribute) {
            show_one(out, *parameter, value);
        }
    }
}

/// Parameters that exclude each other, or a value out of bounds: status 1.
fn conflict(what: impl Into<String>) -> Fail {
    Fail::impossible(what).status(IMPOSSIBLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_is_known_by_priority_and_address() {
        assert_eq!(bridge_id(&[0x80, 0, 2, 0, 0x5e, 0x10, 0, 1]), "8000.2:0:5e:10:0:1");
        assert_eq!(bridge_id(&[1]), "");
    }

    #[test]
    fn parameters_are_read_by_the_beginning_of_their_keyword() {
        let list: Vec<String> = ["forward", "1500", "stp", "1", "vlan_f", "1"].map(str::to_owned).to_vec();
        let mut requests = Requests::one(16, 0, &[]);
        bridge::read(&Words::new(&list), &mut requests).unwrap();
        let attributes = Attributes::new(&requests.bytes_of(0)[16..]);
        let found: Vec<_> = attributes.map(|attribute| (attribute.kind, attribute.data.len())).collect();
        assert_eq!(found, [(1, 4), (5, 4), (7, 1)]);
    }

    #[test]
    fn a_parameter_that_is_not_there_or_out_of_bounds_is_refused() {
        for line in ["nonsense 1", "stp_state x", "vlan_filtering 256", "priority 65536", "max_age"] {
            let list: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let mut requests = Requests::one(16, 0, &[]);
            assert!(bridge::read(&Words::new(&list), &mut requests).is_err(), "{line}");
        }
    }
}
