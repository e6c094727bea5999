//! The object `address`.

mod list;
mod modify;
mod show;

use netlink::flags;
use netlink::route;

pub(crate) use list::{detail_mask, list};

use crate::fail::Fail;
use crate::help::{self, Topic};
use crate::session::Session;
use crate::words::{Words, short};

pub(crate) fn run(session: &mut Session, words: &Words<'_>) -> Result<u8, Fail> {
    let Some(command) = words.next() else { return list(session, words, false) };
    match command {
        _ if short(command, "add") => {
            modify::run(session, words, route::NEWADDR, flags::CREATE | flags::EXCLUSIVE)
        }
        _ if short(command, "change") || command == "chg" => {
            modify::run(session, words, route::NEWADDR, flags::REPLACE)
        }
        _ if short(command, "replace") => {
            modify::run(session, words, route::NEWADDR, flags::CREATE | flags::REPLACE)
        }
        _ if short(command, "delete") => modify::run(session, words, route::DELADDR, 0),
        _ if short(command, "list") || short(command, "show") || short(command, "lst") => {
            list(session, words, false)
        }
        _ if short(command, "flush") => list::flush(session, words),
        _ if short(command, "help") => Ok(help::print(Topic::Address)),
        _ => Err(Fail::wrong(format!("`address` has no command `{command}`"))
            .hint("`holm ip address help` lists the commands")),
    }
}
