//! The commands for the files of containers: their flags.

use clap::{Arg, Command};

use super::flags::{many, one, switch};

/// The commands, in the order of the help.
pub const NAMES: [&str; 5] = ["cp", "diff", "export", "commit", "import"];

/// One of them.
pub fn command(name: &str) -> Option<Command> {
    let command = match name {
        "cp" => copy(),
        "diff" => base("diff", "Tell what a container changed of its image").arg(container()).arg(one(
            "format",
            "FORMAT",
            "A template of {{.Kind}} and {{.Path}}, or json",
        )),
        "export" => base("export", "Write the whole root of a container to an archive")
            .arg(container())
            .arg(one("output", "FILE", "Where to; standard output without it").short('o')),
        "commit" => commit(),
        "import" => super::image::import().args_override_self(true),
        _ => return None,
    };
    Some(command)
}

fn base(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about).args_override_self(true).term_width(0)
}

fn container() -> Arg {
    Arg::new("container")
        .value_name("CONTAINER")
        .required(true)
        .help("Its name, its id, or the beginning of its id")
}

fn copy() -> Command {
    base("cp", "Copy files between the host and containers, or between containers")
        .arg(switch("archive", "With owners, set-user-id bits and all the rest").short('a'))
        .arg(switch("follow-link", "Follow a link that is named as the source").short('L'))
        .arg(switch("quiet", "Say nothing of what was copied").short('q'))
        .arg(
            Arg::new("source")
                .value_name("CONTAINER:PATH|PATH|-")
                .required(true)
                .help("From where; `-` is an archive on the standard input"),
        )
        .arg(
            Arg::new("destination")
                .value_name("CONTAINER:PATH|PATH|-")
                .required(true)
                .help("To where; `-` is an archive on the standard output"),
        )
        .after_help(
            "A directory that is there gets the source into it; otherwise the source gets the destination's name.\n\
             `DIR/.` is what is in a directory. Without --archive copies belong to root in a container, and to you on the host.",
        )
}

fn commit() -> Command {
    base("commit", "Make an image of what a container has become")
        .arg(one("author", "NAME", "Who made it").short('a'))
        .arg(one("message", "TEXT", "A note for the history").short('m'))
        .arg(
            many(
                "change",
                "INSTRUCTION",
                "Apply CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, VOLUME, WORKDIR or STOPSIGNAL",
            )
            .short('c'),
        )
        .arg(switch("pause", "Let the container stand still meanwhile [default: true]").short('p'))
        .arg(switch("quiet", "Print nothing but the id").short('q'))
        .arg(one("iidfile", "FILE", "Write the image's id to this file"))
        .arg(one("format", "FORMAT", "A template of {{.ID}} and {{.Digest}}, or json"))
        .arg(container())
        .arg(Arg::new("name").value_name("NAME[:TAG]").help("What to call the image"))
}
