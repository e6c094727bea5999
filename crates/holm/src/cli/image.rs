//! The flags of `holm image` and `holm images`. What they mean is read in `commands::image`.

use clap::{Arg, ArgAction, Command};

use super::flags::{many, one, switch};

/// The definition of `holm image`.
pub fn command() -> Command {
    Command::new("image")
        .about("List, inspect, load, save, make, verify and remove images")
        .subcommand_required(true)
        .term_width(0)
        .subcommands([
            list().name("list").visible_alias("ls"),
            inspect(),
            history(),
            tree(),
            tag(),
            remove(),
            prune(),
            load(),
            save(),
            import(),
            export(),
            bootstrap(),
            verify(),
            mount(),
            unmount(),
        ])
}

/// The definition of `holm images`.
pub fn list() -> Command {
    Command::new("images")
        .about("List the images that are here")
        .args([
            switch("digests", "Show the digests of manifests"),
            switch("no-trunc", "Show digests and ids in full"),
            switch("quiet", "Print ids alone").short('q'),
            switch("dangling", "Only images without a name, or with `=false` only those with one"),
            json(),
        ])
        .arg(Arg::new("name").value_name("NAME").help("Only images of this name, with or without a tag"))
        .args_override_self(true)
}

fn json() -> Arg {
    Arg::new("json").long("json").short('j').action(ArgAction::SetTrue).help("Print JSON")
}

fn image(help: &'static str) -> Arg {
    Arg::new("image").value_name("IMAGE").required(true).help(help)
}

fn images(help: &'static str) -> Arg {
    Arg::new("image").value_name("IMAGE").num_args(1..).required(true).help(help)
}

const WHICH: &str = "A name, or the beginning of an id or digest";

/// What archives may contain.
pub(super) fn limits() -> [Arg; 5] {
    [
        one("max-layer-size", "SIZE", "Refuse layers with more content than this [default: 64g]"),
        one("max-layer-entries", "NUMBER", "Refuse layers with more entries than this [default: 1000000]"),
        one(
            "max-expansion",
            "TIMES",
            "Refuse layers that grow by more than this when they are inflated [default: 200]",
        ),
        switch(
            "absolute-names",
            "Take names that begin with `/` as relative to the root, instead of refusing them",
        ),
        one("form", "FORM", "Make layers ready as `erofs` or as `tree`, whatever the host prefers")
            .value_parser(["erofs", "tree"]),
    ]
}

fn inspect() -> Command {
    Command::new("inspect").about("Tell all that is known about images, as JSON").arg(images(WHICH))
}

fn history() -> Command {
    Command::new("history").about("Tell how an image came to be").args([
        image(WHICH),
        switch("no-trunc", "Show commands in full"),
        json(),
    ])
}

fn tree() -> Command {
    Command::new("tree")
        .about("Show images with their layers, and what they share")
        .arg(Arg::new("image").value_name("IMAGE").num_args(0..).help("Only these"))
}

fn tag() -> Command {
    Command::new("tag").about("Give an image more names").args([
        image(WHICH),
        Arg::new("name").value_name("NAME").num_args(1..).required(true).help("The new names"),
    ])
}

fn remove() -> Command {
    Command::new("remove").visible_alias("rm").about("Take names away, and images that have none left").args(
        [
            images(WHICH),
            switch("force", "Take all names away, also of an image that containers use").short('f'),
        ],
    )
}

fn prune() -> Command {
    Command::new("prune")
        .about("Remove images without a name, and what belongs to no image")
        .args([switch("all", "Remove all images that no container uses").short('a'), json()])
}

fn load() -> Command {
    Command::new("load")
        .about("Take images from an archive of docker, podman, skopeo or umoci, or from an OCI layout")
        .args([
            one("input", "FILE", "The archive or the directory; standard input without it").short('i'),
            many("tag", "NAME", "Call the image this, where there is only one").short('t'),
            one("platform", "OS/ARCH", "The machine to choose images for [default: this one]"),
            switch("quiet", "Print nothing but ids").short('q'),
        ])
        .arg(Arg::new("file").value_name("FILE").help("The same as --input"))
        .args(limits())
}

fn save() -> Command {
    Command::new("save").about("Write images to an archive or to an OCI layout").args([
        images(WHICH),
        one("output", "FILE", "Where to; standard output without it").short('o'),
        one("format", "FORMAT", "`oci-archive` (docker reads it too), `docker-archive` or `oci-dir`")
            .value_parser(["oci-archive", "docker-archive", "oci-dir"])
            .default_value("oci-archive"),
    ])
}

pub(super) fn import() -> Command {
    Command::new("import")
        .about("Make an image of a root filesystem: an archive or a directory")
        .args([
            Arg::new("source").value_name("FILE|DIR|-").required(true).help("The root filesystem"),
            Arg::new("name").value_name("NAME").help("What to call the image"),
            many(
                "change",
                "INSTRUCTION",
                "Apply CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, VOLUME, WORKDIR or STOPSIGNAL",
            )
            .short('c'),
            one("message", "TEXT", "A note for the history").short('m'),
            one("platform", "OS/ARCH", "The machine that it is for [default: this one]"),
            one(
                "timestamp",
                "SECONDS",
                "When it was made; files are not later [default: SOURCE_DATE_EPOCH, or now]",
            ),
        ])
        .args(limits())
}

fn export() -> Command {
    Command::new("export")
        .about("Write the whole tree of an image to an archive")
        .args([image(WHICH), one("output", "FILE", "Where to; standard output without it").short('o')])
}

fn bootstrap() -> Command {
    Command::new("bootstrap")
        .about("Make a base image from a distribution's packages")
        .args([
            Arg::new("suite").value_name("DISTRIBUTION:SUITE").required(true).help("For example debian:bookworm"),
            many("tag", "NAME", "What to call it [default: DISTRIBUTION:SUITE]").short('t'),
            one("variant", "VARIANT", "Which packages: minbase, essential, apt, buildd, standard …")
                .default_value("minbase"),
            many("include", "PACKAGES", "More packages, parted by commas"),
            one("mirror", "URL", "Where packages come from [default: that of the host's sources, or the distribution's]"),
            one("timestamp", "SECONDS", "No file is later than this [default: SOURCE_DATE_EPOCH, or now]"),
            one("with", "PROGRAM", "mmdebstrap or debootstrap [default: the first that is installed]")
                .value_parser(["mmdebstrap", "debootstrap"]),
        ])
        .after_help(
            "With the same SOURCE_DATE_EPOCH and the same packages at the mirror the result is the same, to the digest.\n\
             Labels of the image tell what it was made of.",
        )
}

fn verify() -> Command {
    Command::new("verify").about("Compare everything that images consist of with its digest").args([
        Arg::new("image").value_name("IMAGE").num_args(0..).help("Only these"),
        switch("repair", "Make again what can be made again, and put the rest aside for the next pull"),
        json(),
    ])
}

fn mount() -> Command {
    Command::new("mount")
        .about("Mount the tree of an image, read-only; without one list what is mounted")
        .args([
            Arg::new("image").value_name("IMAGE").help(WHICH),
            Arg::new("directory").value_name("DIRECTORY").help("Where [default: below /run/holm]"),
        ])
}

fn unmount() -> Command {
    Command::new("unmount").visible_alias("umount").about("Take such a mount away").args([
        Arg::new("place").value_name("IMAGE|DIRECTORY").num_args(0..).help("Which"),
        switch("all", "All of them").short('a'),
    ])
}
