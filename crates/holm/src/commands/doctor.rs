//! `holm doctor`.

use clap::ArgMatches;
use report::BoxedExplain;

/// Prints what this host offers.
///
/// # Errors
/// When standard output cannot be written to.
pub fn run(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let findings = engine::doctor::findings(&engine::doctor::HostReport::probe());
    let text = match matches.get_flag("json") {
        true => engine::doctor::to_json(&findings),
        false => engine::doctor::to_table(&findings),
    };
    engine::run::print(&text)?;
    Ok(0)
}
