//! `holm commit`.

use clap::ArgMatches;
use engine::containers::commit::CommitRequest;
use engine::engine::{Files as _, Local};
use engine::run::print;
use images::Reference;
use report::BoxedExplain;
use serde_json::json;
use sys::SyscallError;

use super::{boxed, tell};
use crate::cli::run::{on, texts};
use crate::commands::container::output;

pub(super) fn run(engine: &Local, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let names = texts(matches, "name").iter().map(|name| Reference::parse(name)).collect::<Result<_, _>>();
    let request = CommitRequest {
        names: names.map_err(boxed)?,
        author: texts(matches, "author").concat(),
        message: texts(matches, "message").concat(),
        changes: texts(matches, "change"),
        pause: !matches.contains_id("pause") || on(matches, "pause", "--pause")?,
    };
    let (image, remarks) = engine.commit(&texts(matches, "container").concat(), &request)?;
    if !on(matches, "quiet", "--quiet")? {
        tell(&remarks);
    }
    if let Some(path) = matches.get_one::<String>("iidfile") {
        std::fs::write(path, image.config.to_string())
            .map_err(|error| boxed(SyscallError::new("write", path.as_str(), error)))?;
    }
    let text = match matches.get_one::<String>("format").map(String::as_str) {
        None => format!("{}\n", image.config),
        format => {
            let row = json!({
                "ID": image.config.to_string(),
                "Digest": image.manifest.to_string(),
                "Names": image.names,
            });
            output::rows(format, &[row], "{{.ID}}\t{{.Digest}}", &[("ID", "IMAGE ID"), ("Digest", "DIGEST")])?
        }
    };
    print(&text)?;
    Ok(0)
}
