//! The object `route`.

mod list;
mod modify;
mod numbers;
mod show;

use netlink::flags::{APPEND, CREATE, EXCLUSIVE, REPLACE};
use netlink::route;

use crate::fail::Fail;
use crate::help::{self, Topic};
use crate::session::Session;
use crate::words::{Words, short};

pub(crate) fn run(session: &mut Session, words: &Words<'_>) -> Result<u8, Fail> {
    let Some(command) = words.next() else { return list::list(session, words) };
    match command {
        _ if short(command, "list") || short(command, "show") || short(command, "lst") => {
            list::list(session, words)
        }
        _ if short(command, "get") => list::get(session, words),
        _ if short(command, "add") => modify::run(session, words, route::NEWROUTE, CREATE | EXCLUSIVE),
        _ if short(command, "change") || command == "chg" => {
            modify::run(session, words, route::NEWROUTE, REPLACE)
        }
        _ if short(command, "replace") => modify::run(session, words, route::NEWROUTE, CREATE | REPLACE),
        _ if short(command, "prepend") => modify::run(session, words, route::NEWROUTE, CREATE),
        _ if short(command, "append") => modify::run(session, words, route::NEWROUTE, CREATE | APPEND),
        _ if short(command, "test") => modify::run(session, words, route::NEWROUTE, EXCLUSIVE),
        _ if short(command, "delete") => modify::run(session, words, route::DELROUTE, 0),
        _ if short(command, "flush") => list::flush(session, words),
        _ if short(command, "help") => Ok(help::print(Topic::Route)),
        _ => Err(Fail::wrong(format!("`route` has no command `{command}`"))
            .hint("`holm ip route help` lists the commands")),
    }
}
