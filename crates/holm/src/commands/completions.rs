//! `holm completions`.

use clap::ArgMatches;
use clap_complete::{Shell, generate};
use report::BoxedExplain;

/// Prints the completions for a shell.
///
/// # Errors
/// When standard output cannot be written to.
pub fn run(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let shell = match matches.get_one::<String>("shell").map(String::as_str) {
        Some("elvish") => Shell::Elvish,
        Some("fish") => Shell::Fish,
        Some("powershell") => Shell::PowerShell,
        Some("zsh") => Shell::Zsh,
        _ => Shell::Bash,
    };
    let mut text = Vec::new();
    generate(shell, &mut crate::cli::command(), "holm", &mut text);
    engine::run::print(&String::from_utf8_lossy(&text))?;
    Ok(0)
}
