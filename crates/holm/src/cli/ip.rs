//! `holm ip` for help pages and completions. It is not parsed from here: its grammar is that of the crate `ip`, whose
//! texts these are.

use clap::{Arg, ArgAction, Command};

/// Options and objects, with every page of the grammar behind them.
pub(super) fn command() -> Command {
    let mut command = Command::new("ip")
        .about("Links, addresses, routes and network namespaces, in iproute2's grammar")
        .disable_help_flag(true)
        .arg(
            Arg::new("object")
                .value_name("OBJECT")
                .value_parser(["netns", "link", "address", "route", "neighbour", "tuntap", "help"])
                .help("What to work with; it can be cut short, as in `holm ip a`"),
        )
        .arg(
            Arg::new("words")
                .value_name("WORDS")
                .num_args(0..)
                .action(ArgAction::Append)
                .help("A command and its words; `holm ip OBJECT help` tells which"),
        );
    let mut text = String::from("Options, in front of the object:\n");
    for (names, help) in ip::help::OPTIONS {
        text.push_str(&format!("  {names:<32}{help}\n"));
    }
    for topic in ip::help::TOPICS {
        text.push('\n');
        text.push_str(topic.text());
    }
    text.push_str("\nExit status: 0, 1 for what cannot be asked for, 2 for what the kernel refused, 255 for a wrong command line;\n");
    text.push_str("for `netns exec` that of the program.");
    command = command.after_help(text);
    command
}
