//! The flags of `holm network`. What they mean is read in `commands::network`.

use clap::{Arg, ArgAction, Command};

use super::flags::{many, one};

const EXAMPLES: &str = "\
Examples:
  holm network create blue                                     a bridge with a subnet that is free
  holm run --rootfs / --network blue -p 8080:80 -- ./serve     a container on it, with a port published
  holm network create --internal --ipv6 back                   without a way out, with IPv6
  holm network create -d macvlan --interface-name eth0 --subnet 192.168.1.0/24 --ip-range 192.168.1.192/27 lan
  holm network connect back web                                a running container joins one more
  holm network prune --check                                   what is left of containers that were killed";

/// The definition.
pub fn command() -> Command {
    Command::new("network")
        .about("Make, list, inspect and remove networks, and let containers join them")
        .subcommand_required(true)
        .term_width(0)
        .subcommands([create(), list(), inspect(), remove(), connect(), disconnect(), prune()])
        .after_help(EXAMPLES)
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn name(help: &'static str) -> Arg {
    Arg::new("name").value_name("NETWORK").required(true).help(help)
}

fn create() -> Command {
    Command::new("create")
        .about("Make a network; its links are made when the first container joins it")
        .args([
            name("Its name"),
            one("driver", "DRIVER", "bridge (default) or macvlan").short('d'),
            many(
                "subnet",
                "PREFIX",
                "Its addresses, one prefix of each family [default: one of IPv4 that is free]",
            ),
            many("gateway", "ADDRESS", "The router's address [default: the first of the subnet]"),
            many("ip-range", "PREFIX", "Choose containers' addresses from this part of the subnet"),
            flag("ipv6", "Add a subnet of IPv6"),
            flag("internal", "Give it no way out"),
            flag("disable-dns", "Let containers not find each other by name"),
            many("dns", "ADDRESS", "Ask this server for names of other zones, in place of the host's"),
            one("mtu", "BYTES", "The longest packet [default: that of the host's way out]"),
            one("interface-name", "NAME", "The name of the bridge, or the link that macvlan sits on"),
            many("label", "KEY=VALUE", "Attach a label"),
            many(
                "opt",
                "KEY=VALUE",
                "Set an option of the driver: mode=bridge|private|vepa|passthru of macvlan",
            )
            .short('o'),
            flag("ignore", "Do nothing if there is a network of this name"),
        ])
        .args_override_self(true)
}

fn json() -> Arg {
    Arg::new("json").long("json").short('j').action(ArgAction::SetTrue).help("Print JSON")
}

fn list() -> Command {
    Command::new("list").visible_alias("ls").about("List the networks").args([
        json(),
        Arg::new("quiet").long("quiet").short('q').action(ArgAction::SetTrue).help("Print only names"),
        many("filter", "KEY=VALUE", "Only those with this name (a part of it), driver or label").short('f'),
    ])
}

fn inspect() -> Command {
    Command::new("inspect")
        .about("Tell all that is known about networks, as JSON, with the containers in them")
        .arg(name("Its name, or the beginning of its id").num_args(1..))
}

fn remove() -> Command {
    Command::new("remove").visible_alias("rm").about("Remove networks, with their links and rules").args([
        name("Its name, or the beginning of its id").num_args(1..),
        flag("force", "Take the containers in it out of it first").short('f'),
    ])
}

fn container() -> Arg {
    Arg::new("container")
        .value_name("CONTAINER")
        .required(true)
        .help("The container's name, or the beginning of its id")
}

fn connect() -> Command {
    Command::new("connect")
        .about("Let a running container join one more network")
        .args([
            name("The network"),
            container(),
            one("ip", "ADDRESS", "The address of IPv4"),
            one("ip6", "ADDRESS", "The address of IPv6"),
            one("mac-address", "ADDRESS", "The hardware address"),
            many("alias", "NAME", "Let others find the container by another name"),
            one("interface-name", "NAME", "The link's name in the container"),
        ])
        .args_override_self(true)
}

fn disconnect() -> Command {
    Command::new("disconnect")
        .about("Take a running container out of a network")
        .args([name("The network"), container()])
}

fn prune() -> Command {
    Command::new("prune")
        .about("Remove the networks that no container is in, and what killed containers left")
        .args([
            flag("check", "Only report what is left of containers that are no more"),
            flag("mend", "With --check: take it away, and write rules anew that are not as they should be"),
        ])
}
