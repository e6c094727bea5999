//! An address as it is shown.

use std::net::IpAddr;

use netlink::route::{AF_INET, AF_INET6, AddressHeader, ifa};
use netlink::{Attribute, Index, Message};

use crate::address::{Prefix, family_name, show as show_ip};
use crate::names::Table;
use crate::out::{Ink, Out};
use crate::session::Session;

/// Which addresses are wanted.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    pub(super) family: u8,
    pub(super) index: u32,
    /// The scope, where one is wanted.
    pub(super) scope: Option<u8>,
    pub(super) flags: u32,
    /// Which flags have to be as wanted.
    pub(super) flag_mask: u32,
    pub(super) label: Option<String>,
    pub(super) prefix: Option<Prefix>,
}

/// An address flag: its bit, its name, whether it can be set, and whether for IPv6 only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flag {
    pub(super) bit: u32,
    pub(super) name: &'static str,
    pub(super) settable: bool,
    pub(super) v6_only: bool,
}

const fn flag(bit: u32, name: &'static str, settable: bool, v6_only: bool) -> Flag {
    Flag { bit, name, settable, v6_only }
}

pub(super) const SECONDARY: u32 = 1;
const DEPRECATED: u32 = 0x20;
pub(super) const PERMANENT: u32 = 0x80;
pub(super) const AUTOJOIN: u32 = 0x400;

/// In the order in which they are shown.
pub(super) const FLAGS: [Flag; 13] = [
    flag(SECONDARY, "secondary", false, false),
    flag(SECONDARY, "temporary", false, false),
    flag(0x02, "nodad", true, true),
    flag(0x04, "optimistic", true, true),
    flag(0x08, "dadfailed", false, true),
    flag(0x10, "home", true, true),
    flag(DEPRECATED, "deprecated", false, true),
    flag(0x40, "tentative", false, true),
    flag(PERMANENT, "permanent", false, true),
    flag(0x100, "mngtmpaddr", true, true),
    flag(0x200, "noprefixroute", true, false),
    flag(AUTOJOIN, "autojoin", true, false),
    flag(0x800, "stable-privacy", false, true),
];

/// An address in a message.
pub(super) struct Address<'a> {
    pub(super) header: AddressHeader,
    attributes: Index<'a, 12>,
    flags: u32,
    local: Option<IpAddr>,
    /// The other end's, or the same.
    remote: Option<IpAddr>,
}

impl<'a> Address<'a> {
    pub(super) fn read(message: &Message<'a>) -> Option<Self> {
        let (header, list) = AddressHeader::read(message)?;
        let attributes = Index::<12>::new(list);
        let flags = attributes.get(ifa::FLAGS).and_then(Attribute::u32).unwrap_or(header.flags.into());
        let local = attributes.get(ifa::LOCAL).and_then(Attribute::ip);
        let remote = attributes.get(ifa::ADDRESS).and_then(Attribute::ip);
        Some(Self { header, attributes, flags, local: local.or(remote), remote: remote.or(local) })
    }

    /// Whether the filter takes it, apart from link and family.
    pub(super) fn fits(&self, session: &mut Session, filter: &Filter) -> bool {
        let scope = filter.scope.is_none_or(|scope| scope == self.header.scope);
        if !scope || (filter.flags ^ self.flags) & filter.flag_mask != 0 {
            return false;
        }
        if let Some(pattern) = &filter.label {
            let label = match self.attributes.get(ifa::LABEL) {
                Some(label) => label.text().to_owned(),
                None => session.link_name(self.header.index),
            };
            if !glob(pattern.as_bytes(), label.as_bytes()) {
                return false;
            }
        }
        match &filter.prefix {
            Some(prefix) if prefix.address.is_some() => prefix.matches(self.local, prefix.bits),
            _ => true,
        }
    }
}

/// Whether a text matches a pattern with `*` and `?`.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=text.len()).any(|from| glob(rest, &text[from..])),
        (Some((b'?', rest)), Some((_, text))) => glob(rest, text),
        (Some((own, rest)), Some((other, text))) => own == other && glob(rest, text),
        _ => false,
    }
}

/// Shows an address; with `-o` the link stands in front.
pub(super) fn show(session: &mut Session, address: &Address<'_>) {
    let header = &address.header;
    if !session.options.brief {
        if session.options.one_line {
            let name = session.link_name(header.index);
            session.out.json("index", header.index);
            session.out.json("dev", &name);
            session.out.text(format_args!("{}: {name}", header.index));
        }
        match family_name(header.family) {
            "???" => session.out.field(
                "family_index",
                header.family,
                format_args!("    family {} ", header.family),
            ),
            name => session.out.field("family", name, format_args!("    {name} ")),
        }
    }
    let ink = match header.family {
        AF_INET => Ink::Inet,
        AF_INET6 => Ink::Inet6,
        _ => Ink::None,
    };
    let out = &mut session.out;
    if let Some(local) = address.local {
        let text = show_ip(local);
        out.inked(ink, "local", &text, format_args!("{text}"));
        if let Some(remote) = address.remote.filter(|remote| *remote != local) {
            let text = show_ip(remote);
            out.text(format_args!(" peer "));
            out.inked(ink, "address", &text, format_args!("{text}"));
        }
        out.field("prefixlen", header.prefix, format_args!("/{} ", header.prefix));
        if let Some(metric) = address.attributes.get(ifa::RT_PRIORITY).and_then(Attribute::u32) {
            out.field("metric", metric, format_args!("metric {metric} "));
        }
    }
    if session.options.brief {
        return;
    }
    for (kind, word, key) in [(ifa::BROADCAST, "brd", "broadcast"), (ifa::ANYCAST, "any", "anycast")] {
        if let Some(ip) = address.attributes.get(kind).and_then(Attribute::ip) {
            let text = show_ip(ip);
            out.text(format_args!("{word} "));
            out.inked(ink, key, &text, format_args!("{text} "));
        }
    }
    let scope = session.show(Table::Scopes, header.scope.into());
    let out = &mut session.out;
    out.field("scope", &scope, format_args!("scope {scope} "));
    flags(out, address.flags, header.family);
    if let Some(label) = address.attributes.get(ifa::LABEL) {
        out.field("label", label.text(), format_args!("{}", label.text()));
    }
    if let Some(times) = address.attributes.get(ifa::CACHEINFO) {
        lifetimes(out, times, address.flags & DEPRECATED != 0);
    }
    out.text(format_args!("\n"));
}

fn flags(out: &mut Out, all: u32, family: u8) {
    let mut rest = all;
    for Flag { bit, name, .. } in FLAGS {
        if bit == PERMANENT {
            if rest & bit == 0 {
                out.field("dynamic", true, format_args!("dynamic "));
            }
        } else if rest & bit != 0 {
            let name = if bit == SECONDARY && family == AF_INET6 { "temporary" } else { name };
            out.field(name, true, format_args!("{name} "));
        }
        rest &= !bit;
    }
    if rest != 0 {
        let text = format!("{rest:02x}");
        out.field("ifa_flags", &text, format_args!("flags {text} "));
    }
}

/// `struct ifa_cacheinfo`: preferred, then valid, in seconds.
fn lifetimes(out: &mut Out, times: Attribute<'_>, deprecated: bool) {
    let valid = times.data.get(4..).and_then(|data| Attribute { kind: 0, data }.u32()).unwrap_or(0);
    let preferred = times.u32().unwrap_or(0);
    out.line();
    out.text(format_args!("       valid_lft "));
    match valid {
        u32::MAX => out.field("valid_life_time", valid, format_args!("forever")),
        _ => out.field("valid_life_time", valid, format_args!("{valid}sec")),
    }
    out.text(format_args!(" preferred_lft "));
    match preferred {
        u32::MAX => out.field("preferred_life_time", preferred, format_args!("forever")),
        // A deprecated address counts on below zero.
        _ if deprecated => {
            let preferred = preferred.cast_signed();
            out.field("preferred_life_time", preferred, format_args!("{preferred}sec"));
        }
        _ => out.field("preferred_life_time", preferred, format_args!("{preferred}sec")),
    }
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn labels_match_patterns() {
        let matches = |pattern: &str, text: &str| glob(pattern.as_bytes(), text.as_bytes());
        assert!(
            matches("eth*", "eth0:1")
                && matches("*", "")
                && matches("e?h0", "eth0")
                && matches("eth0", "eth0")
        );
        assert!(!matches("eth", "eth0") && !matches("?", "") && !matches("x*", "eth0"));
    }
}
