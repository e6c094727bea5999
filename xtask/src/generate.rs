//! `cargo xtask gen`: reference pages and manual pages, from the definition of the command line.
//!
//! [`pages`] makes them, and [`stale`] names those that differ from what lies in `docs`.

use crate::{Outcome, workspace};
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

pub(crate) fn command() -> Command {
    Command::new("gen").about("Write docs/reference and docs/man from the command line's definition").arg(
        Arg::new("check")
            .long("check")
            .action(ArgAction::SetTrue)
            .help("Write nothing; fail if a page is not up to date"),
    )
}

pub(crate) fn run(arguments: &ArgMatches) -> Outcome {
    if arguments.get_flag("check") {
        let stale = stale()?;
        stale.iter().for_each(|complaint| eprintln!("{complaint}"));
        return Ok(if stale.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    for (path, text) in pages()? {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::write(path, text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The pages that are not what they should be, a line each.
pub(crate) fn stale() -> io::Result<Vec<String>> {
    let differs = |path: &Path, text: &str| fs::read_to_string(path).map_or(true, |there| there != *text);
    let name = |path: &Path| path.strip_prefix(workspace::root()).unwrap_or(path).display().to_string();
    let pages = pages()?;
    let stale = pages.iter().filter(|(path, text)| differs(path, text));
    Ok(stale.map(|(path, _)| format!("{}: not up to date; run `cargo xtask gen`", name(path))).collect())
}

/// Every generated file with its text.
fn pages() -> io::Result<Vec<(PathBuf, String)>> {
    let docs = workspace::root().join("docs");
    let mut pages = Vec::new();
    let mut index =
        String::from("# Reference\n\nWritten by `cargo xtask gen` from the command lines' definitions.\n");
    for (program, mut whole) in
        [("holm", holm::cli::command()), ("holm-runtime", holm_runtime::cli::command())]
    {
        whole.build();
        let _ = writeln!(index);
        for command in whole.get_subcommands().filter(|command| command.get_name() != "help") {
            let name = format!("{program}-{}", command.get_name());
            let _ = writeln!(index, "* [`{program} {}`]({name}.md): {}", command.get_name(), about(command));
            pages.push((
                docs.join(format!("reference/{name}.md")),
                markdown(program, command) + &subcommands(program, command),
            ));
            for below in own_subcommands(command) {
                let name = format!("{name}-{}", below.get_name());
                pages.push((docs.join(format!("man/{name}.1")), manual(below.clone(), &name)?));
            }
            pages.push((docs.join(format!("man/{name}.1")), manual(command.clone(), &name)?));
        }
        pages.push((docs.join(format!("man/{program}.1")), manual(whole, program)?));
    }
    pages.push((docs.join("reference/README.md"), index));
    Ok(pages)
}

fn manual(command: Command, name: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    // The page's name, which clap would take for the command's own.
    let name: &'static str = String::leak(name.to_owned());
    clap_mangen::Man::new(command.name(name)).title(name.to_uppercase()).render(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn markdown(program: &str, command: &Command) -> String {
    let mut page = format!("# `{program} {}`\n\n{}.\n\n", command.get_name(), about(command));
    let usage = command.clone().render_usage().to_string();
    let _ = writeln!(page, "```text\n{usage}\n```");
    let mut heading = None;
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
        let own = argument.get_help_heading().filter(|_| !argument.is_positional());
        if heading != Some(own) {
            let title = own.unwrap_or(if argument.is_positional() { "Arguments" } else { "Flags" });
            let _ = write!(page, "\n## {title}\n\n| | |\n| --- | --- |\n");
            heading = Some(own);
        }
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(page, "| `{}` | {} |", cell(&form(argument)), cell(&help));
    }
    if let Some(after) = command.get_after_help() {
        let _ = writeln!(page, "\n## Examples and exit status\n\n```text\n{after}\n```");
    }
    page
}

/// Those that are written down; clap adds one for help.
fn own_subcommands(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|below| below.get_name() != "help")
}

/// A section for each subcommand of a command that has some.
fn subcommands(program: &str, command: &Command) -> String {
    let mut page = String::new();
    for below in own_subcommands(command) {
        let _ = writeln!(
            page,
            "\n## `{program} {} {}`\n\n{}.\n",
            command.get_name(),
            below.get_name(),
            about(below)
        );
        let _ = writeln!(page, "```text\n{}\n```\n\n| | |\n| --- | --- |", below.clone().render_usage());
        for argument in below.get_arguments().filter(|argument| !argument.is_hide_set()) {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(page, "| `{}` | {} |", cell(&form(argument)), cell(&help));
        }
        if let Some(after) = below.get_after_help() {
            let _ = writeln!(page, "\n```text\n{}\n```", after.to_string().trim_end());
        }
    }
    page
}

/// How an argument is written: `-v, --volume SRC:DST[:OPTIONS]`.
fn form(argument: &Arg) -> String {
    let values: Vec<&str> =
        argument.get_value_names().unwrap_or_default().iter().map(|name| name.as_str()).collect();
    let values = values.join(" ");
    if argument.is_positional() {
        return values;
    }
    let mut names: Vec<String> = argument.get_short().map(|short| format!("-{short}")).into_iter().collect();
    names.extend(argument.get_long().map(|long| format!("--{long}")));
    names.extend(argument.get_visible_aliases().unwrap_or_default().iter().map(|alias| format!("--{alias}")));
    let names = names.join(", ");
    match (argument.get_action().takes_values(), argument.is_require_equals_set()) {
        (false, _) => names,
        (true, true) => format!("{names}[={values}]"),
        (true, false) => format!("{names} {values}"),
    }
}

/// Text that stays within a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_shown_as_it_is_written() {
        let volume =
            Arg::new("volume").long("volume").short('v').value_name("SRC:DST").action(ArgAction::Append);
        assert_eq!(form(&volume), "-v, --volume SRC:DST");
        let switch = Arg::new("tty").long("tty").value_name("BOOL").num_args(0..=1).require_equals(true);
        assert_eq!(form(&switch), "--tty[=BOOL]");
        assert_eq!(form(&Arg::new("json").long("json").action(ArgAction::SetTrue)), "--json");
    }
}
