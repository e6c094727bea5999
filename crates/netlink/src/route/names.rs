//! What a refusal says about a request: its attributes by name.

use super::numbers::{self, ifa, ifla, info, nda, netnsa, rta};

/// How long the protocol's own header is in a message of this kind.
pub const fn header_len(message: u16) -> usize {
    // Four kinds of message share a header: new, deleted, asked for, changed.
    match message & !3 {
        numbers::NEWLINK | numbers::NEWLINKPROP => 16,
        numbers::NEWADDR => 8,
        numbers::NEWROUTE | numbers::NEWNEIGH => 12,
        _ => 4,
    }
}

/// The names of the attributes with the kinds in `path`, from the outside in; a kind without a name is its number.
///
/// ```
/// use netlink::route::{NEWLINK, attribute_name};
/// assert_eq!(attribute_name(NEWLINK, &[18, 1]), "IFLA_LINKINFO/IFLA_INFO_KIND");
/// ```
pub fn attribute_name(message: u16, path: &[u16]) -> String {
    let names: Vec<String> = path
        .iter()
        .enumerate()
        .map(|(depth, kind)| {
            let name = match (message & !3, depth) {
                (numbers::NEWLINK | numbers::NEWLINKPROP, 0) => ifla::name(*kind),
                (numbers::NEWLINK, 1) if path[0] == ifla::LINKINFO => info::name(*kind),
                (numbers::NEWADDR, 0) => ifa::name(*kind),
                (numbers::NEWROUTE, 0) => rta::name(*kind),
                (numbers::NEWNEIGH, 0) => nda::name(*kind),
                (numbers::NEWNSID, 0) => netnsa::name(*kind),
                _ => None,
            };
            name.map_or_else(|| kind.to_string(), str::to_owned)
        })
        .collect();
    names.join("/")
}
