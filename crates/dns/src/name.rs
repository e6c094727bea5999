//! Names as they are compared: dotted text in lower case, without the dot at the end.

/// The zone that containers are in. `.internal` is set aside for private use (ICANN, 2024), so no other zone is hidden.
pub const ZONE: &str = "holm.internal";
/// What the host's own address is called in the zone.
pub const HOST: &str = "host";

/// The longest text of a name that leaves room for the zone behind it (RFC 1035, 2.3.4: 255 bytes on the wire).
const LONGEST: usize = 190;

/// Whether `text` can be asked for: labels of 1 to 63 bytes without blanks, 190 bytes in all. Underscores are
/// allowed, as containers have them.
pub fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LONGEST
        && text
            .split('.')
            .all(|label| (1..=63).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// A name out of a query, at most 255 bytes.
#[derive(Clone, Copy)]
pub struct Name {
    bytes: [u8; 255],
    len: u8,
    labels: u8,
    plain: bool,
}

impl Name {
    /// The root, to which labels are added.
    pub(crate) const fn root() -> Self {
        Self { bytes: [0; 255], len: 0, labels: 0, plain: true }
    }

    /// Adds a label behind; false if that makes the name too long.
    pub(crate) fn push(&mut self, label: &[u8]) -> bool {
        let len = usize::from(self.len);
        let start = if len == 0 { 0 } else { len + 1 };
        let Some(place) = self.bytes.get_mut(start..start + label.len()) else { return false };
        place.copy_from_slice(label);
        place.make_ascii_lowercase();
        // A dot inside of a label would read as two labels; bytes outside of ASCII are no name of ours.
        self.plain &= label.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'.');
        if start > 0 {
            self.bytes[len] = b'.';
        }
        // The text is shorter than what was asked for on the wire, which is 255 at most.
        self.len = (start + label.len()) as u8;
        self.labels += 1;
        true
    }

    /// The text; `None` when the name has bytes that no name of ours has.
    pub fn text(&self) -> Option<&str> {
        if !self.plain {
            return None;
        }
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).ok()
    }

    /// How many labels there are; none in the root.
    pub const fn labels(&self) -> u8 {
        self.labels
    }
}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.", self.bytes[..usize::from(self.len)].escape_ascii())
    }
}

/// The part of `name` before `.zone`, empty for the zone itself; `None` outside of it.
pub fn below<'a>(name: &'a str, zone: &str) -> Option<&'a str> {
    let rest = name.strip_suffix(zone)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_suffix('.') }
}

/// The address that a name below `in-addr.arpa` or `ip6.arpa` stands for (RFC 1035, 3.5; RFC 3596, 2.5), if it is whole.
pub fn reverse(name: &str) -> Option<std::net::IpAddr> {
    if let Some(rest) = below(name, "in-addr.arpa") {
        let mut octets = [0u8; 4];
        let mut count = 0;
        for part in rest.split('.') {
            // `parse` would take a sign and zeros in front.
            if count == 4
                || part.is_empty()
                || part.len() > 1 && part.starts_with('0')
                || part.starts_with('+')
            {
                return None;
            }
            octets[3 - count] = part.parse().ok()?;
            count += 1;
        }
        return (count == 4).then(|| octets.into());
    }
    let rest = below(name, "ip6.arpa")?;
    if rest.len() != 63 {
        return None;
    }
    let mut value = 0u128;
    for (index, part) in rest.split('.').enumerate() {
        let digit = u128::from(u8::from_str_radix(part, 16).ok().filter(|_| part.len() == 1 && part != "+")?);
        value |= digit << (4 * index);
    }
    Some(std::net::Ipv6Addr::from(value).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels_of_1_to_63_bytes() {
        for good in ["web", "my_app.1", "a-b", "x+y", &"a".repeat(63)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", ".", "a..b", "web.", ".web", "a b", "ä", "a\tb", &"a".repeat(64), &"a.".repeat(120)]
        {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_zone_is_a_suffix_of_whole_labels() {
        assert_eq!(below("web.holm.internal", ZONE), Some("web"));
        assert_eq!(below("holm.internal", ZONE), Some(""));
        assert_eq!(below("webholm.internal", ZONE), None);
        assert_eq!(below("internal", ZONE), None);
    }

    #[test]
    fn reverse_names_are_addresses_only_when_whole() {
        let address = |name| reverse(name).map(|address| address.to_string());
        assert_eq!(address("2.0.89.10.in-addr.arpa").as_deref(), Some("10.89.0.2"));
        let six = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa";
        assert_eq!(address(six).as_deref(), Some("fd00::2"));
        for not in [
            "89.10.in-addr.arpa",
            "in-addr.arpa",
            "02.0.89.10.in-addr.arpa",
            "+2.0.89.10.in-addr.arpa",
            "1.2.0.89.10.in-addr.arpa",
            "256.0.89.10.in-addr.arpa",
            "0.d.f.ip6.arpa",
            "ip6.arpa",
            &six.replacen("2.0", "+.0", 1),
            &six.replacen("2.0", "22.", 1),
        ] {
            assert_eq!(address(not), None, "{not}");
        }
    }

    #[test]
    fn a_dot_inside_of_a_label_is_no_boundary() {
        let mut name = Name::root();
        assert!(name.push(b"my.app") && name.push(b"HOLM"));
        assert_eq!((name.text(), name.labels()), (None, 2));
    }
}
