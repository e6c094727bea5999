//! `holm ip`: links, addresses, routes and network namespaces, in iproute2's grammar and layout.
//!
//! [`run`] takes a command line to its exit status; start reading at `dispatch`. Each object has a module that reads
//! its words and another that shows it. Everything goes over netlink (and, for tun and tap, an ioctl); no program is
//! executed but the one that `netns exec` names. What is read and shown is iproute2's by its documented grammar and
//! observed output; [`help`] holds the texts.

#![forbid(unsafe_code)]

mod addr;
mod address;
mod fail;
mod flush;
pub mod help;
mod link;
mod names;
mod neigh;
pub mod netns;
mod options;
mod out;
mod route;
mod session;
mod tuntap;
mod words;

use std::ffi::OsString;
use std::io::Write as _;

pub use fail::Fail;

use help::Topic;
use options::{Options, Wanted};
use session::Session;
use words::{Words, short};

/// Runs a command line, without the program's name, and returns the exit status: 0, 1 for what cannot be asked for,
/// 2 for what the kernel refused, 255 for a wrong command line; for `netns exec` that of the program.
pub fn run(args: &[OsString]) -> u8 {
    let outcome = texts(args).and_then(|list| command(&list, args));
    match outcome {
        Ok(status) => status,
        Err(fail) => {
            let _ = std::io::stderr().write_all(fail.render().as_bytes());
            fail.status
        }
    }
}

/// The arguments as texts. A program's own arguments may be anything; they are taken from the original.
fn texts(args: &[OsString]) -> Result<Vec<String>, Fail> {
    let exec =
        args.iter().position(|arg| arg.to_str().is_some_and(|arg| short(arg, "exec") && arg.len() > 1));
    let text = |(index, arg): (usize, &OsString)| match arg.to_str() {
        Some(text) => Ok(text.to_owned()),
        None if exec.is_some_and(|exec| index > exec) => Ok(arg.to_string_lossy().into_owned()),
        None => Err(Fail::wrong(format!("the argument {} is no UTF-8 text", arg.display()))),
    };
    args.iter().enumerate().map(text).collect()
}

fn command(list: &[String], args: &[OsString]) -> Result<u8, Fail> {
    let words = Words::new(list);
    let options = match options::parse(&words)? {
        Wanted::Command(options) => *options,
        Wanted::Help => return Ok(help::print(Topic::Ip)),
        Wanted::Version => {
            let _ = writeln!(std::io::stdout(), concat!("holm ip ", env!("CARGO_PKG_VERSION")));
            return Ok(0);
        }
    };
    if let Some(name) = &options.namespace {
        // These are shown from /sys, which has to be that of the namespace.
        match words.peek().is_some_and(|object| short(object, "tap") || short(object, "tuntap")) {
            true => netns::enter(name)?,
            false => netns::join(name)?,
        }
    }
    let Some(object) = words.next() else {
        return Err(Fail::wrong("no object is named").hint("`holm ip help` lists objects and commands"));
    };
    dispatch(options, object, &words, args)
}

fn dispatch(options: Options, object: &str, words: &Words<'_>, args: &[OsString]) -> Result<u8, Fail> {
    // The order is iproute2's: it decides what an abbreviation means. Without a function: what does not exist here.
    let objects: [(&str, Option<Object>); 12] = [
        ("address", Some(addr::run)),
        ("addrlabel", None),
        ("maddress", None),
        ("route", Some(route::run)),
        ("rule", None),
        ("neighbor", Some(neigh::run)),
        ("neighbour", Some(neigh::run)),
        ("ntable", None),
        ("link", Some(link::run)),
        ("tunnel", None),
        ("tuntap", Some(tuntap::run)),
        ("tap", Some(tuntap::run)),
    ];
    if let Some((name, run)) = objects.iter().find(|(name, _)| short(object, name)) {
        let Some(run) = run else {
            return Err(Fail::impossible(format!("the object `{name}` is not supported"))
                .hint("`holm ip help` lists objects and commands"));
        };
        if words.peek() == Some("help") {
            return Ok(help::print(Topic::of(name)));
        }
        let mut session = Session::open(options)?;
        let outcome = run(&mut session, words);
        session.out.flush();
        return outcome;
    }
    if short(object, "netns") && object.len() > 1 {
        let behind = args.len() - words.left();
        return netns::run(options, words, &args[behind..]);
    }
    if short(object, "help") {
        return Ok(help::print(words.peek().map_or(Topic::Ip, Topic::of)));
    }
    Err(Fail::impossible(format!("there is no object `{object}`"))
        .hint("`holm ip help` lists objects and commands"))
}

type Object = fn(&mut Session, &Words<'_>) -> Result<u8, Fail>;
