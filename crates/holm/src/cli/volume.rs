//! The flags of `holm volume`. What they mean is read in `commands::volume`.

use clap::{Arg, Command};

use super::flags::{many, one, switch};

const EXAMPLES: &str = "\
Examples:
  holm volume create data                                  a volume
  holm run --rootfs / -v data:/data -- sh                  in a container; one that is not there is made
  holm volume create -o size=1g small                      of at most a gigabyte
  holm volume create -o type=tmpfs -o o=size=64m fast      in memory
  holm volume create -o o=bind -o device=/srv/www www      a directory of the host under a name
  holm volume list --filter dangling=true                  those that no container uses
  holm volume prune --all                                  remove these";

/// The definition.
pub fn command() -> Command {
    Command::new("volume")
        .about("Make, list, inspect and remove volumes: directories that outlive containers")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .term_width(0)
        .subcommands([create(), list(), inspect(), remove(), prune()])
        .after_help(EXAMPLES)
}

fn base(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about).args_override_self(true)
}

fn names() -> Arg {
    Arg::new("name").value_name("VOLUME").required(true).num_args(1..).help("Their names")
}

fn create() -> Command {
    base("create", "Make a volume; one that is there already is left as it is").args([
        Arg::new("name").value_name("VOLUME").help("Its name; one is made up without it"),
        one("driver", "DRIVER", "Only local").short('d'),
        many("label", "KEY=VALUE", "Attach a label").short('l'),
        many(
            "opt",
            "KEY=VALUE",
            "What it is made of: size=SIZE; type=tmpfs with o=size=SIZE,mode=MODE,…; o=bind with device=DIRECTORY",
        )
        .short('o'),
    ])
}

fn list() -> Command {
    base("list", "List volumes").visible_alias("ls").args([
        many(
            "filter",
            "KEY=VALUE",
            "Only those that fulfil this: dangling=BOOL, driver, label, name (a part of it)",
        )
        .short('f'),
        one("format", "FORMAT", "A template such as '{{.Name}} {{.Mountpoint}}', table TEMPLATE, or json"),
        switch("quiet", "Only names").short('q'),
        switch("size", "With the size of what is in them").short('s'),
    ])
}

fn inspect() -> Command {
    base("inspect", "Print everything about volumes")
        .args([names(), one("format", "FORMAT", "A template, or json").short('f')])
}

fn remove() -> Command {
    base("remove", "Remove volumes that no container uses, with what is in them")
        .visible_alias("rm")
        .args([names(), switch("force", "One that is not there is no failure").short('f')])
}

fn prune() -> Command {
    base("prune", "Remove volumes without a name that no container uses, with what is in them").args([
        switch("all", "Also those with a name").short('a'),
        switch("force", "Accepted for habit's sake: nobody is asked").short('f'),
        many("filter", "KEY=VALUE", "Only what fulfils this: label=…, label!=…, until=TIME"),
    ])
}
