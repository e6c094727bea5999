//! The flags of `holm pull`, `push`, `login` and `logout`.

use clap::{Arg, ArgAction, ArgMatches, Command};
use engine::flags::parse_bool;
use engine::request::Conflict;
use report::BoxedExplain;

use super::flags::{one, switch};

/// What every command that talks to a registry understands.
pub(super) fn connection() -> [Arg; 4] {
    [
        switch(
            "tls-verify",
            "Whether registries have to speak TLS and prove who they are [default: as registries.conf says]",
        ),
        one("authfile", "FILE", "The file of credentials [default: that of podman, then docker's]"),
        one("cert-dir", "DIR", "A directory with *.crt, and *.cert with *.key, for the registry"),
        one("creds", "USER[:PASSWORD]", "Credentials for the registry of the name, this time"),
    ]
}

/// How it is told what happens.
pub(super) fn progress() -> [Arg; 2] {
    [
        one("progress", "FORM", "auto (default), bars, plain, json or none")
            .value_parser(["auto", "bars", "plain", "json", "none"]),
        switch("quiet", "Print nothing but the result").short('q'),
    ]
}

const PULL_EXAMPLES: &str = "\
Examples:
  holm pull debian:bookworm
      an image of the registry that short names are looked for in
  holm pull registry.example.org:5000/team/app@sha256:…
      exactly this one
  holm pull --platform linux/arm64 debian
      for another machine
  holm pull --progress json debian
      one JSON object a line for programs";

/// `holm pull`
pub(super) fn pull() -> Command {
    Command::new("pull")
        .about("Fetch images from their registries")
        .after_help(PULL_EXAMPLES)
        .args_override_self(true)
        .term_width(0)
        .args([
            one("platform", "OS/ARCH[/VARIANT]", "The machine that the image is for [default: this one]"),
            one("jobs", "NUMBER", "How many layers are fetched at the same time [default: 4]"),
        ])
        .args(super::image::limits())
        .args(progress())
        .args(connection())
        .arg(Arg::new("name").value_name("NAME").required(true).num_args(1..).help("The images"))
}

/// `holm push`
pub(super) fn push() -> Command {
    Command::new("push")
        .about("Bring an image to a registry")
        .after_help("Example:\n  holm push app:1 registry.example.org/team/app:1")
        .args_override_self(true)
        .term_width(0)
        .args([
            switch("all", "Of an image for several machines, those for all of them with their index"),
            one("jobs", "NUMBER", "How many layers are sent at the same time [default: 4]"),
        ])
        .args(progress())
        .args(connection())
        .arg(Arg::new("name").value_name("NAME").required(true).help("The image"))
        .arg(
            Arg::new("destination").value_name("DESTINATION").help("What it is called there [default: NAME]"),
        )
}

/// `holm login`
pub(super) fn login() -> Command {
    let [verify, authfile, certificates, _] = connection();
    Command::new("login")
        .about("Keep credentials for a registry, once it has accepted them")
        .after_help(
            "Example:\n  holm login --username me --password-stdin registry.example.org <password.txt",
        )
        .args_override_self(true)
        .term_width(0)
        .args([
            one("username", "USER", "The user; asked for if missing").short('u'),
            one(
                "password",
                "PASSWORD",
                "The password; other users of this machine may see it in the list of processes",
            )
            .short('p'),
            Arg::new("password-stdin")
                .long("password-stdin")
                .action(ArgAction::SetTrue)
                .help("Read the password from the standard input"),
            one(
                "token-realm",
                "HOST",
                "Let the registry send these credentials to a token server of another domain",
            ),
            Arg::new("get-login")
                .long("get-login")
                .action(ArgAction::SetTrue)
                .help("Print the user that is logged in, and do nothing else"),
            verify,
            authfile,
            certificates,
        ])
        .arg(registry())
}

/// `holm logout`
pub(super) fn logout() -> Command {
    let [_, authfile, _, _] = connection();
    Command::new("logout")
        .about("Forget the credentials for a registry")
        .args_override_self(true)
        .term_width(0)
        .args([
            Arg::new("all")
                .long("all")
                .short('a')
                .action(ArgAction::SetTrue)
                .help("Those for all registries"),
            authfile,
        ])
        .arg(registry())
}

fn registry() -> Arg {
    Arg::new("registry")
        .value_name("REGISTRY")
        .help("HOST[:PORT] [default: the first registry that short names are looked for in]")
}

/// `--tls-verify`, if it is given.
///
/// # Errors
/// A value that is neither true nor false.
pub fn tls_verify(matches: &ArgMatches) -> Result<Option<bool>, BoxedExplain> {
    boolean(matches, "tls-verify")
}

/// A switch, if it is given.
///
/// # Errors
/// A value that is neither true nor false.
pub fn boolean(matches: &ArgMatches, name: &str) -> Result<Option<bool>, BoxedExplain> {
    let Some(text) = matches.get_one::<String>(name) else { return Ok(None) };
    match parse_bool(text) {
        Ok(value) => Ok(Some(value)),
        Err(problem) => Err(Box::new(Conflict {
            problem: format!("--{name} `{text}`: {problem}"),
            advice: "leave the value out, or give true or false",
        })),
    }
}
