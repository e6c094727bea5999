//! A link as it is shown.

use netlink::route::{
    self, AF_PACKET, AF_UNSPEC, IFF_POINTOPOINT, IFF_RUNNING, IFF_UP, IFLA_COUNT, LinkHeader, ifla, info,
};
use netlink::{Attribute, Attributes, Index, Message};

use super::kinds;
use super::stats;
use crate::address::show_link_address;
use crate::names::Table;
use crate::out::{Ink, Out, Value};
use crate::session::Session;

/// Which links and addresses are wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// `AF_PACKET` for links alone.
    pub(crate) family: u8,
    pub(crate) index: u32,
    pub(crate) up: bool,
    pub(crate) group: Option<u32>,
    /// The port of a link, or -1 for those that are no port.
    pub(crate) master: i32,
    pub(crate) kind: Option<String>,
    pub(crate) port_kind: Option<String>,
    pub(crate) label: Option<String>,
    /// The command is `link`.
    pub(crate) links: bool,
}

/// What became of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// The filter leaves it out.
    LeftOut,
    /// One line for it and its addresses, which are to follow.
    Begun,
    /// All lines of it.
    Whole,
}

/// The kind of a link, or of the link that it is a port of: what is in `IFLA_LINKINFO`.
fn kind_of(attributes: &Index<'_, IFLA_COUNT>, port: bool) -> Option<String> {
    let inside = attributes.get(ifla::LINKINFO)?.nested();
    let kind = inside.find(if port { info::SLAVE_KIND } else { info::KIND });
    Some(kind.map(Attribute::text).unwrap_or_default().to_owned())
}

impl Filter {
    fn takes(&self, header: &LinkHeader, attributes: &Index<'_, IFLA_COUNT>) -> bool {
        let master = attributes.get(ifla::MASTER).and_then(Attribute::i32).unwrap_or(0);
        let group = attributes.get(ifla::GROUP).and_then(Attribute::u32);
        (self.index == 0 || header.index.cast_unsigned() == self.index)
            && (!self.up || header.flags & IFF_UP != 0)
            && (self.group.is_none() || group.is_none() || self.group == group)
            && (self.master <= 0 || master == self.master)
            && self.kind.as_ref().is_none_or(|kind| kind_of(attributes, false).as_ref() == Some(kind))
            && self.port_kind.as_ref().is_none_or(|kind| kind_of(attributes, true).as_ref() == Some(kind))
    }
}

/// Shows the link that a message is about.
pub(crate) fn show(session: &mut Session, message: &Message<'_>, filter: &Filter) -> Shown {
    let Some((header, list)) = LinkHeader::read(message) else { return Shown::LeftOut };
    let attributes = Index::<IFLA_COUNT>::new(list);
    if !filter.takes(&header, &attributes) || attributes.get(ifla::IFNAME).is_none() {
        return Shown::LeftOut;
    }
    if filter.label.is_some() {
        return Shown::Begun;
    }
    if session.options.brief {
        brief(session, &header, &attributes, filter);
        return Shown::Begun;
    }
    first_line(session, &header, &attributes, filter);
    if filter.family == AF_UNSPEC || filter.family == AF_PACKET || session.options.details {
        addresses(session, &header, &attributes);
    }
    other_namespace(session, &attributes);
    protocol_down(&mut session.out, &attributes);
    let more = filter.links || session.options.details;
    if session.options.details {
        details(session, &attributes, filter.links);
    }
    if let Some(alias) = attributes.get(ifla::IFALIAS).filter(|_| more) {
        session.out.line();
        session.out.text(format_args!("    "));
        session.out.field("ifalias", alias.text(), format_args!("alias {}", alias.text()));
    }
    if filter.links && session.options.statistics > 0 {
        session.out.line();
        stats::show(session, &attributes);
    }
    if let Some(properties) = attributes.get(ifla::PROP_LIST) {
        session.out.array("altnames", "");
        for name in properties.nested().filter(|attribute| attribute.kind == ifla::ALT_IFNAME) {
            session.out.line();
            session.out.text(format_args!("    altname "));
            session.out.item(name.text(), format_args!("{}", name.text()));
        }
        session.out.close_array("");
    }
    session.out.text(format_args!("\n"));
    Shown::Whole
}

/// The counters of a link behind its addresses.
pub(crate) fn show_stats(session: &mut Session, message: &Message<'_>) {
    if let Some((_, list)) = LinkHeader::read(message) {
        stats::show(session, &Index::new(list));
        session.out.line();
    }
}

fn brief(session: &mut Session, header: &LinkHeader, attributes: &Index<'_, IFLA_COUNT>, filter: &Filter) {
    let lower_down = name_and_lower(session, attributes, true);
    if let Some(state) = attributes.get(ifla::OPERSTATE).and_then(Attribute::u8) {
        oper_state(&mut session.out, state, true);
    }
    if filter.family != AF_PACKET {
        return;
    }
    if let Some(address) = attributes.get(ifla::ADDRESS) {
        let text = show_link_address(address.data, header.kind);
        session.out.inked(Ink::Mac, "address", &text, format_args!("{text} "));
    }
    flags(&mut session.out, header.flags, lower_down);
    session.out.text(format_args!("\n"));
}

fn first_line(
    session: &mut Session,
    header: &LinkHeader,
    attributes: &Index<'_, IFLA_COUNT>,
    filter: &Filter,
) {
    session.out.field("ifindex", header.index, format_args!("{}: ", header.index));
    let lower_down = name_and_lower(session, attributes, false);
    flags(&mut session.out, header.flags, lower_down);
    if let Some(mtu) = attributes.get(ifla::MTU).and_then(Attribute::u32) {
        session.out.field("mtu", mtu, format_args!("mtu {mtu} "));
    }
    if let Some(xdp) = attributes.get(ifla::XDP) {
        attached_program(&mut session.out, xdp.nested(), filter.links);
    }
    if let Some(discipline) = attributes.get(ifla::QDISC) {
        session.out.field("qdisc", discipline.text(), format_args!("qdisc {} ", discipline.text()));
    }
    if let Some(master) = attributes.get(ifla::MASTER).and_then(Attribute::u32) {
        let name = session.link_name(master);
        session.out.field("master", &name, format_args!("master {name} "));
    }
    if let Some(state) = attributes.get(ifla::OPERSTATE).and_then(Attribute::u8) {
        oper_state(&mut session.out, state, false);
    }
    if let Some(mode) = attributes.get(ifla::LINKMODE).and_then(Attribute::u8).filter(|_| filter.links) {
        match ["DEFAULT", "DORMANT"].get(usize::from(mode)) {
            Some(name) => session.out.field("linkmode", *name, format_args!("mode {name} ")),
            None => session.out.field("linkmode_index", mode, format_args!("mode {mode} ")),
        }
    }
    if let Some(group) = attributes.get(ifla::GROUP).and_then(Attribute::u32) {
        let name = session.show(Table::Groups, group);
        session.out.field("group", &name, format_args!("group {name} "));
    }
    // The list of IPv6 has no queues.
    let length = attributes.get(ifla::TXQLEN).and_then(Attribute::i32);
    let length = length.or_else(|| session.queue_length(header.index));
    if let Some(length) = length.filter(|length| *length != 0) {
        session.out.field("txqlen", length, format_args!("qlen {length}"));
    }
}

/// The name, with that of the link below; whether that one is down.
fn name_and_lower(session: &mut Session, attributes: &Index<'_, IFLA_COUNT>, brief: bool) -> bool {
    let name = attributes.get(ifla::IFNAME).map(Attribute::text).unwrap_or_default();
    let mut lower = None;
    let mut down = false;
    if let Some(index) = attributes.get(ifla::LINK).and_then(Attribute::u32) {
        if index == 0 {
            session.out.json("link", Value::Null);
            lower = Some("NONE".to_owned());
        } else if attributes.has(ifla::LINK_NETNSID) {
            session.out.json("link_index", index.cast_signed());
            lower = Some(format!("if{index}"));
        } else {
            let name = session.link_name(index);
            session.out.json("link", &name);
            down = session.known(index).is_some_and(|known| known.flags & IFF_UP == 0);
            lower = Some(name);
        }
    }
    let text = lower.map_or_else(|| name.to_owned(), |lower| format!("{name}@{lower}"));
    let out = &mut session.out;
    match brief {
        true => out.inked(Ink::Name, "ifname", name, format_args!("{text:<16} ")),
        false => out.inked(Ink::Name, "ifname", name, format_args!("{text}: ")),
    }
    down
}

const FLAGS: [(u32, &str); 18] = [
    (0x8, "LOOPBACK"),
    (0x2, "BROADCAST"),
    (0x10, "POINTOPOINT"),
    (0x1000, "MULTICAST"),
    (0x80, "NOARP"),
    (0x200, "ALLMULTI"),
    (0x100, "PROMISC"),
    (0x400, "MASTER"),
    (0x800, "SLAVE"),
    (0x4, "DEBUG"),
    (0x8000, "DYNAMIC"),
    (0x4000, "AUTOMEDIA"),
    (0x2000, "PORTSEL"),
    (0x20, "NOTRAILERS"),
    (0x1, "UP"),
    (0x1_0000, "LOWER_UP"),
    (0x2_0000, "DORMANT"),
    (0x4_0000, "ECHO"),
];

fn flags(out: &mut Out, all: u32, lower_down: bool) {
    out.array("flags", "<");
    let comma = |rest: u32| if rest == 0 { "" } else { "," };
    if all & IFF_UP != 0 && all & IFF_RUNNING == 0 {
        out.item("NO-CARRIER", format_args!("NO-CARRIER{}", comma(all)));
    }
    let mut rest = all & !IFF_RUNNING;
    for (flag, name) in FLAGS {
        if rest & flag != 0 {
            rest &= !flag;
            out.item(name, format_args!("{name}{}", comma(rest)));
        }
    }
    if rest != 0 {
        out.item(&format!("{rest:x}"), format_args!("{rest:x}"));
    }
    if lower_down {
        out.item("M-DOWN", format_args!(",M-DOWN"));
    }
    out.close_array("> ");
}

const STATES: [&str; 7] = ["UNKNOWN", "NOTPRESENT", "DOWN", "LOWERLAYERDOWN", "TESTING", "DORMANT", "UP"];

fn oper_state(out: &mut Out, state: u8, brief: bool) {
    let Some(name) = STATES.get(usize::from(state)) else {
        out.field("operstate_index", state, format_args!("state {state:#x}"));
        return;
    };
    let ink = match *name {
        "UP" => Ink::Up,
        "DOWN" => Ink::Down,
        _ => Ink::None,
    };
    if brief {
        out.inked(ink, "operstate", *name, format_args!("{name:<14} "));
    } else {
        out.text(format_args!("state "));
        out.inked(ink, "operstate", *name, format_args!("{name} "));
    }
}

fn addresses(session: &mut Session, header: &LinkHeader, attributes: &Index<'_, IFLA_COUNT>) {
    let out = &mut session.out;
    out.line();
    let kind = kind_name(header.kind, session.options.numeric);
    out.field("link_type", &kind, format_args!("    link/{kind} "));
    let own = attributes.get(ifla::ADDRESS);
    if let Some(address) = own {
        let text = show_link_address(address.data, header.kind);
        out.inked(Ink::Mac, "address", &text, format_args!("{text}"));
    }
    if let Some(broadcast) = attributes.get(ifla::BROADCAST) {
        if header.flags & IFF_POINTOPOINT != 0 {
            out.field("link_pointtopoint", true, format_args!(" peer "));
        } else {
            out.text(format_args!(" brd "));
        }
        let text = show_link_address(broadcast.data, header.kind);
        out.inked(Ink::Mac, "broadcast", &text, format_args!("{text}"));
    }
    let permanent = attributes.get(ifla::PERM_ADDRESS);
    if let Some(permanent) = permanent.filter(|permanent| own.is_none_or(|own| own.data != permanent.data)) {
        let text = show_link_address(permanent.data, header.kind);
        out.text(format_args!(" permaddr "));
        out.inked(Ink::Mac, "permaddr", &text, format_args!("{text}"));
    }
}

/// `ARPHRD_*` by name.
fn kind_name(kind: u16, numeric: bool) -> String {
    const NAMES: &[(u16, &str)] = &[
        (0, "netrom"),
        (1, "ether"),
        (2, "eether"),
        (3, "ax25"),
        (4, "pronet"),
        (5, "chaos"),
        (6, "ieee802"),
        (7, "arcnet"),
        (8, "atalk"),
        (15, "dlci"),
        (19, "atm"),
        (23, "metricom"),
        (24, "ieee1394"),
        (32, "infiniband"),
        (256, "slip"),
        (257, "cslip"),
        (258, "slip6"),
        (259, "cslip6"),
        (260, "rsrvd"),
        (264, "adapt"),
        (270, "rose"),
        (271, "x25"),
        (272, "hwx25"),
        (280, "can"),
        (512, "ppp"),
        (513, "hdlc"),
        (516, "lapb"),
        (517, "ddcmp"),
        (518, "rawhdlc"),
        (768, "ipip"),
        (769, "tunnel6"),
        (770, "frad"),
        (771, "skip"),
        (772, "loopback"),
        (773, "ltalk"),
        (774, "fddi"),
        (775, "bif"),
        (776, "sit"),
        (777, "ip/ddp"),
        (778, "gre"),
        (779, "pimreg"),
        (780, "hippi"),
        (781, "ash"),
        (782, "econet"),
        (783, "irda"),
        (784, "fcpp"),
        (785, "fcal"),
        (786, "fcpl"),
        (800, "tr"),
        (801, "ieee802.11"),
        (802, "ieee802.11/prism"),
        (803, "ieee802.11/radiotap"),
        (804, "ieee802.15.4"),
        (805, "ieee802.15.4/monitor"),
        (820, "phonet"),
        (821, "phonet_pipe"),
        (822, "caif"),
        (823, "gre6"),
        (824, "netlink"),
        (825, "6lowpan"),
        (0xfffe, "none"),
        (0xffff, "void"),
    ];
    match kind {
        _ if numeric => format!("[{kind}]"),
        787..=799 => format!("fcfb{}", kind - 787),
        _ => NAMES
            .iter()
            .find(|(number, _)| *number == kind)
            .map_or_else(|| format!("[{kind}]"), |(_, name)| (*name).to_owned()),
    }
}

/// The other end is in another network namespace.
fn other_namespace(session: &mut Session, attributes: &Index<'_, IFLA_COUNT>) {
    if let Some(id) = attributes.get(ifla::LINK_NETNSID).and_then(Attribute::i32) {
        if session.out.is_json() {
            session.out.json("link_netnsid", id);
        } else if id < 0 {
            session.out.text(format_args!(" link-netnsid unknown"));
        } else {
            match session.namespace_name(id) {
                Some(name) => session.out.text(format_args!(" link-netns {name}")),
                None => session.out.text(format_args!(" link-netnsid {id}")),
            }
        }
    }
}

fn protocol_down(out: &mut Out, attributes: &Index<'_, IFLA_COUNT>) {
    const VALUE: u16 = 2;
    let Some(down) = attributes.get(ifla::PROTO_DOWN).and_then(Attribute::u8) else { return };
    if down != 0 {
        out.field("proto_down", true, format_args!(" protodown on "));
    }
    let Some(reasons) = attributes.get(ifla::PROTO_DOWN_REASON) else { return };
    let value = reasons.nested().find(VALUE).and_then(Attribute::u32).unwrap_or(0);
    if value == 0 {
        return;
    }
    out.array("proto_down_reason", "protodown_reason <");
    for (place, bit) in (0..32).filter(|bit| value & (1 << bit) != 0).enumerate() {
        let text = bit.to_string();
        out.item(&text, format_args!("{}{text}", if place == 0 { "" } else { "," }));
    }
    out.close_array(">");
}

/// An XDP program that is attached: how, and its number.
fn attached_program(out: &mut Out, attributes: Attributes<'_>, links: bool) {
    const ATTACHED: u16 = 2;
    const PROGRAM: u16 = 4;
    let mode = attributes.find(ATTACHED).and_then(Attribute::u8).unwrap_or(0);
    if mode == 0 {
        return;
    }
    let program = attributes.find(PROGRAM).and_then(Attribute::u32).unwrap_or(0);
    if out.is_json() {
        out.object(Some("xdp"));
        out.json("mode", mode);
        out.json("id", program);
        out.object_end();
        return;
    }
    match mode {
        1 => out.text(format_args!("xdp")),
        2 => out.text(format_args!("xdpgeneric")),
        3 => out.text(format_args!("xdpoffload")),
        4 => out.text(format_args!("xdpmulti")),
        other => out.text(format_args!("xdp[{other}]")),
    }
    if program != 0 && !links {
        out.text(format_args!("/id:{program}"));
    }
    out.text(format_args!(" "));
}

/// What `-d` adds.
fn details(session: &mut Session, attributes: &Index<'_, IFLA_COUNT>, links: bool) {
    // The attribute, its key in JSON, and what stands in front of the number.
    const BEFORE: [(u16, &str, &str); 4] = [
        (ifla::PROMISCUITY, "promiscuity", " promiscuity"),
        (ifla::ALLMULTI, "allmulti", " allmulti"),
        (ifla::MIN_MTU, "min_mtu", "minmtu"),
        (ifla::MAX_MTU, "max_mtu", "maxmtu"),
    ];
    const AFTER: [(u16, &str, &str); 7] = [
        (ifla::NUM_TX_QUEUES, "num_tx_queues", "numtxqueues"),
        (ifla::NUM_RX_QUEUES, "num_rx_queues", "numrxqueues"),
        (ifla::GSO_MAX_SIZE, "gso_max_size", "gso_max_size"),
        (ifla::GSO_MAX_SEGS, "gso_max_segs", "gso_max_segs"),
        (ifla::TSO_MAX_SIZE, "tso_max_size", "tso_max_size"),
        (ifla::TSO_MAX_SEGS, "tso_max_segs", "tso_max_segs"),
        (ifla::GRO_MAX_SIZE, "gro_max_size", "gro_max_size"),
    ];
    let numbers = |session: &mut Session, list: &[(u16, &str, &str)]| {
        for (kind, key, word) in list {
            if let Some(value) = attributes.get(*kind).and_then(Attribute::u32) {
                session.out.field(key, value, format_args!("{word} {value} "));
            }
        }
    };
    numbers(session, &BEFORE);
    if let Some(link_info) = attributes.get(ifla::LINKINFO) {
        kinds::show(session, link_info.nested());
    }
    if let Some(families) = attributes.get(ifla::AF_SPEC).filter(|_| links) {
        address_generation(&mut session.out, families.nested());
    }
    numbers(session, &AFTER);
    let out = &mut session.out;
    if let Some(name) = attributes.get(ifla::PHYS_PORT_NAME) {
        out.field("phys_port_name", name.text(), format_args!("portname {} ", name.text()));
    }
    for (kind, key, word) in
        [(ifla::PHYS_PORT_ID, "phys_port_id", "portid"), (ifla::PHYS_SWITCH_ID, "phys_switch_id", "switchid")]
    {
        if let Some(id) = attributes.get(kind) {
            let text: String = id.data.iter().map(|byte| format!("{byte:02x}")).collect();
            out.field(key, &text, format_args!("{word} {text} "));
        }
    }
    for (kind, word) in [(ifla::PARENT_DEV_BUS_NAME, "parentbus"), (ifla::PARENT_DEV_NAME, "parentdev")] {
        if let Some(name) = attributes.get(kind) {
            out.field(word, name.text(), format_args!("{word} {} ", name.text()));
        }
    }
}

/// How IPv6 addresses are made.
fn address_generation(out: &mut Out, families: Attributes<'_>) {
    const ADDR_GEN_MODE: u16 = 8;
    let inet6 = families.find(route::AF_INET6.into());
    let Some(mode) = inet6.and_then(|inet6| inet6.nested().find(ADDR_GEN_MODE)).and_then(Attribute::u8)
    else {
        return;
    };
    let other = format!("{mode:#x}");
    let name = ADDRESS_GENERATION.get(usize::from(mode)).copied().unwrap_or(&other);
    out.field("inet6_addr_gen_mode", name, format_args!("addrgenmode {name} "));
}

/// `IN6_ADDR_GEN_MODE_*` by name.
pub(crate) const ADDRESS_GENERATION: [&str; 4] = ["eui64", "none", "stable_secret", "random"];

/// `IF_OPER_*` by name, in any case.
pub(crate) fn state_by_name(word: &str) -> Option<u8> {
    STATES.iter().position(|name| name.eq_ignore_ascii_case(word)).map(|place| place as u8)
}
