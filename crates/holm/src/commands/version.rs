//! `holm version`.

use std::process::ExitCode;

use clap::ArgMatches;
use engine::run::print;
use engine::view::template::Template;
use report::BoxedExplain;
use serde_json::json;

/// Prints the version alone.
pub fn plain() -> ExitCode {
    crate::print(concat!("holm ", env!("CARGO_PKG_VERSION"), "\n"));
    ExitCode::SUCCESS
}

/// Prints the version, in the form that was asked for.
///
/// # Errors
/// A template that is none.
pub fn run(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let version = env!("CARGO_PKG_VERSION");
    // There is no server; scripts that were written for docker ask for its version.
    let part = json!({
        "Version": version,
        "Os": "linux",
        "Arch": std::env::consts::ARCH,
        "KernelVersion": std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
    });
    let value = json!({ "Client": part, "Server": part, "Version": version });
    let text = match matches.get_one::<String>("format").map(String::as_str) {
        None => format!("holm {version}"),
        Some("json") => value.to_string(),
        Some(text) => {
            let template = Template::parse(text).map_err(|error| -> BoxedExplain { Box::new(error) })?;
            template.render(&value).map_err(|error| -> BoxedExplain { Box::new(error) })?
        }
    };
    print(&format!("{text}\n"))?;
    Ok(0)
}
