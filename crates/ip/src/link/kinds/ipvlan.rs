//! Links with the address of another link (`IFLA_IPVLAN_*`).

use netlink::{Attribute, Attributes, Requests};

use super::unknown;
use crate::fail::{Fail, IMPOSSIBLE};
use crate::session::Session;
use crate::words::{Words, invalid, short};

const MODE: u16 = 1;
const FLAGS: u16 = 2;
const MODES: [&str; 3] = ["l2", "l3", "l3s"];
const PRIVATE: u16 = 1;
const VEPA: u16 = 2;

pub(super) fn show(session: &mut Session, data: Attributes<'_>) {
    let out = &mut session.out;
    if let Some(mode) = data.find(MODE).and_then(Attribute::u16) {
        let name = MODES.get(usize::from(mode)).copied().unwrap_or("unknown");
        out.field("mode", name, format_args!(" mode {name} "));
    }
    if let Some(flags) = data.find(FLAGS).and_then(Attribute::u16) {
        let name = match (flags & PRIVATE != 0, flags & VEPA != 0) {
            (true, _) => "private",
            (_, true) => "vepa",
            _ => "bridge",
        };
        out.field(name, true, format_args!("{name} "));
    }
}

pub(super) fn read(words: &Words<'_>, requests: &mut Requests) -> Result<(), Fail> {
    let mut flags = 0;
    let mut flagged = false;
    while let Some(word) = words.next() {
        if short(word, "mode") {
            let word = words.value()?;
            let mode = MODES.iter().position(|name| *name == word);
            let mode = mode.ok_or_else(|| invalid("mode", word, "l2, l3 or l3s").status(IMPOSSIBLE))?;
            requests.u16(MODE, mode as u16);
        } else if short(word, "private") && !flagged {
            (flags, flagged) = (flags | PRIVATE, true);
        } else if short(word, "vepa") && !flagged {
            (flags, flagged) = (flags | VEPA, true);
        } else if short(word, "bridge") && !flagged {
            flagged = true;
        } else {
            return Err(unknown("ipvlan", word));
        }
    }
    requests.u16(FLAGS, flags);
    Ok(())
}
