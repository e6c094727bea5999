//! Links with an address of their own on another link (`IFLA_MACVLAN_*`).

use netlink::{Attribute, Attributes, Requests};

use super::{conflict, unknown};
use crate::address::{link_address, show_link_address};
use crate::fail::{Fail, IMPOSSIBLE};
use crate::session::Session;
use crate::words::{self, Words, invalid, short};

const MODE: u16 = 1;
const FLAGS: u16 = 2;
const ADDRESS_MODE: u16 = 3;
const ADDRESS: u16 = 4;
const ADDRESSES: u16 = 5;
const ADDRESS_COUNT: u16 = 6;
const QUEUE: u16 = 7;
const QUEUE_USED: u16 = 8;

const MODES: [(u32, &str); 5] = [(1, "private"), (2, "vepa"), (4, "bridge"), (8, "passthru"), (16, "source")];
const PASSTHRU: u32 = 8;
const SOURCE: u32 = 16;
const NOPROMISC: u16 = 1;
const NODST: u16 = 2;

pub(super) fn show(session: &mut Session, data: Attributes<'_>) {
    let out = &mut session.out;
    let Some(mode) = data.find(MODE).and_then(Attribute::u32) else { return };
    let name = MODES.iter().find(|(number, _)| *number == mode).map_or("unknown", |(_, name)| *name);
    out.field("mode", name, format_args!("mode {name} "));
    let flags = data.find(FLAGS).and_then(Attribute::u16).unwrap_or(0);
    for (bit, word) in [(NOPROMISC, "nopromisc"), (NODST, "nodst")] {
        if flags & bit != 0 {
            out.field(word, true, format_args!("{word} "));
        }
    }
    for (kind, word) in [(QUEUE, "bcqueuelen"), (QUEUE_USED, "usedbcqueuelen")] {
        if let Some(length) = data.find(kind).and_then(Attribute::u32) {
            out.field(word, length, format_args!("{word} {length} "));
        }
    }
    let Some(count) = data.find(ADDRESS_COUNT).and_then(Attribute::i32).filter(|_| mode == SOURCE) else {
        return;
    };
    out.field("macaddr_count", count, format_args!("remotes ({count}) "));
    let Some(list) = data.find(ADDRESSES) else { return };
    out.array("macaddr_data", "");
    for address in list.nested().filter(|address| address.kind == ADDRESS && address.data.len() >= 6) {
        let text = show_link_address(&address.data[..6], 1);
        out.item(&text, format_args!("{text} "));
    }
    out.close_array("");
}

pub(super) fn read(words: &Words<'_>, requests: &mut Requests) -> Result<(), Fail> {
    let mut mode = 0;
    let mut flags = None;
    while let Some(word) = words.next() {
        if short(word, "mode") {
            let word = words.value()?;
            let found = MODES.iter().find(|(_, name)| *name == word);
            mode = found
                .ok_or_else(|| {
                    invalid("mode", word, "private, vepa, bridge, passthru or source").status(IMPOSSIBLE)
                })?
                .0;
        } else if short(word, "flag") {
            let word = words.value()?;
            let bit = match word {
                "nopromisc" => NOPROMISC,
                "nodst" => NODST,
                "null" => 0,
                _ => return Err(invalid("flag", word, "nopromisc, nodst or null").status(IMPOSSIBLE)),
            };
            flags = Some(flags.unwrap_or(0) | bit);
        } else if short(word, "macaddr") {
            read_addresses(words, requests)?;
        } else if short(word, "nopromisc") {
            flags = Some(flags.unwrap_or(0) | NOPROMISC);
        } else if short(word, "nodst") {
            flags = Some(flags.unwrap_or(0) | NODST);
        } else if short(word, "bcqueuelen") {
            let word = words.value()?;
            requests.u32(QUEUE, words::u32("bcqueuelen", word).map_err(|fail| fail.status(IMPOSSIBLE))?);
        } else {
            return Err(unknown("macvlan", word));
        }
    }
    if mode != 0 {
        requests.u32(MODE, mode);
    }
    if let Some(flags) = flags {
        if flags & NOPROMISC != 0 && mode != PASSTHRU {
            return Err(conflict("`nopromisc` goes with `mode passthru` only"));
        }
        requests.u16(FLAGS, flags);
    }
    Ok(())
}

/// `macaddr add|del ADDRESS`, `macaddr set ADDRESS…`, `macaddr flush`
fn read_addresses(words: &Words<'_>, requests: &mut Requests) -> Result<(), Fail> {
    let word = words.value()?;
    let (mode, one) = match word {
        "add" => (0, true),
        "del" => (1, true),
        "flush" => (2, false),
        "set" => (3, false),
        _ => return Err(invalid("macaddr", word, "add, del, set or flush").status(IMPOSSIBLE)),
    };
    requests.u32(ADDRESS_MODE, mode);
    let six = |word: &str| {
        link_address(word)
            .ok()
            .filter(|address| address.len() == 6)
            .ok_or_else(|| conflict(format!("`{word}` is no address of six bytes")))
    };
    if one {
        requests.attribute(ADDRESS, &six(words.value()?)?);
    } else if mode == 3 {
        let mut addresses = Vec::new();
        while let Some(address) = words.peek().and_then(|word| six(word).ok()) {
            words.next();
            addresses.push(address);
        }
        requests.nest(ADDRESSES, |list| {
            for address in &addresses {
                list.attribute(ADDRESS, address);
            }
        });
    }
    Ok(())
}
