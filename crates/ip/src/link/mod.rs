//! The object `link`.

mod kinds;
mod modify;
pub(crate) mod show;
mod stats;

use netlink::route::{self, AF_PACKET};
use netlink::{Dump, Requests, flags};

use crate::addr;
use crate::fail::Fail;
use crate::help::{self, Topic};
use crate::session::Session;
use crate::words::{Words, short};

pub(crate) fn run(session: &mut Session, words: &Words<'_>) -> Result<u8, Fail> {
    let Some(command) = words.next() else { return list(session, words) };
    match command {
        _ if short(command, "add") => {
            modify::run(session, words, route::NEWLINK, flags::CREATE | flags::EXCLUSIVE)
        }
        _ if short(command, "set") || short(command, "change") => {
            modify::run(session, words, route::NEWLINK, 0)
        }
        _ if short(command, "replace") => {
            modify::run(session, words, route::NEWLINK, flags::CREATE | flags::REPLACE)
        }
        _ if short(command, "delete") => modify::run(session, words, route::DELLINK, 0),
        _ if short(command, "show") || short(command, "lst") || short(command, "list") => {
            list(session, words)
        }
        _ if short(command, "property") => modify::property(session, words),
        _ if short(command, "help") => Ok(help::print(Topic::Link)),
        _ => Err(Fail::wrong(format!("`link` has no command `{command}`"))
            .hint("`holm ip link help` lists the commands")),
    }
}

fn list(session: &mut Session, words: &Words<'_>) -> Result<u8, Fail> {
    session.options.family = AF_PACKET;
    addr::list(session, words, true)
}

/// The link with this number, asked for as `link show` does; the answer is shown.
pub(crate) fn show_one(session: &mut Session, filter: &show::Filter, name: &str) -> Result<(), Fail> {
    let mut request = Requests::one(route::GETLINK, 0, &route::LinkHeader::default().bytes());
    request.text(if name.len() < 16 { route::ifla::IFNAME } else { route::ifla::ALT_IFNAME }, name);
    request.u32(route::ifla::EXT_MASK, addr::detail_mask(session));
    let answer = session.socket.ask(&mut request, Dump::of_one);
    let found = answer.map_err(|error| Fail::kernel(format!("cannot show link `{name}`"), error))?;
    if let Some(message) = found.messages().next() {
        session.out.object(None);
        session.remember(&message);
        show::show(session, &message, filter);
        session.out.object_end();
    }
    Ok(())
}
