//! `cargo xtask tidy`: what review relies on and no compiler checks.
//!
//! Edges between crates go down ([`FLOORS`]); every source file says what it is for, stays readable in length and
//! leaves nothing half done; the README keeps its marked sections. Start reading at [`complaints`].

use crate::{Outcome, workspace};
use clap::{ArgMatches, Command};
use serde_json::Value;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Each package's floor. A package may use those on lower floors only.
const FLOORS: &[(&str, u8)] = &[
    ("holm-report", 0),
    ("holm-sys", 1),
    ("holm-spec", 1),
    ("holm-init", 2),
    ("holm-cgroups", 2),
    ("holm-namespaces", 2),
    ("holm-seccomp", 2),
    ("holm-systemd", 2),
    ("holm-images", 2),
    ("holm-netlink", 2),
    ("holm-dns", 2),
    ("holm-core", 3),
    ("holm-network", 3),
    ("holm-build", 3),
    ("holm-ip", 3),
    ("holm-monitor", 4),
    ("holm-engine", 5),
    ("holm-docker-api", 6),
    ("holm-cri", 6),
    ("holm-web", 6),
    ("holm", 7),
    ("holm-runtime", 7),
];

/// Tests may use it from any floor; nothing that ships may.
const TESTKIT: &str = "holm-testkit";
/// The repository's tools may use anything; nothing may use them.
const TOOLS: &str = "xtask";

const MAX_LINES: usize = 900;

/// Marks of unfinished work. Written in halves, so that this file passes its own check.
const UNFINISHED: &[&str] = &[concat!("todo", "!("), concat!("unimplemented", "!("), concat!("dbg", "!(")];

/// Sections of README.md that commands of this program fill.
const README_SECTIONS: &[&str] = &["bench:launch"];

pub(crate) fn command() -> Command {
    Command::new("tidy").about("Check crate edges, file headers, file lengths and marked sections")
}

pub(crate) fn run(_: &ArgMatches) -> Outcome {
    let found = complaints()?;
    for complaint in &found {
        eprintln!("tidy: {complaint}");
    }
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Everything that is out of order, a line each.
pub(crate) fn complaints() -> Result<Vec<String>, Box<dyn Error>> {
    let packages = workspace::packages()?;
    let mut found = edges(&packages);
    for package in &packages {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
        for file in sources(manifest.parent().expect("a manifest lies in a directory"))? {
            let text = fs::read_to_string(&file)?;
            let name = file.strip_prefix(workspace::root()).unwrap_or(&file).display().to_string();
            found.extend(source(&name, &text));
        }
    }
    let readme = workspace::root().join("README.md");
    if readme.exists() {
        found.extend(sections(&fs::read_to_string(readme)?));
    }
    found.extend(clauses(&packages)?);
    Ok(found)
}

/// The page whose tables name the test of every clause of the specification.
const CLAUSES: &str = "docs/reference/oci-spec.md";

/// Tests that the page of clauses names and nobody wrote.
fn clauses(packages: &[Value]) -> std::io::Result<Vec<String>> {
    let page = fs::read_to_string(workspace::root().join(CLAUSES))?;
    let mut tests = String::new();
    for package in packages {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
        for file in sources(manifest.parent().expect("a manifest lies in a directory"))? {
            tests.push_str(&fs::read_to_string(file)?);
        }
    }
    let missing =
        tests_named(&page).into_iter().filter(|name| !tests.contains(&format!("#[test]\nfn {name}()")));
    let missing = missing.filter(|name| !tests.contains(&format!("#[test]\n    fn {name}()")));
    Ok(missing.map(|name| format!("{CLAUSES}: there is no test `{name}`")).collect())
}

/// The names in the last column of the page's tables.
fn tests_named(page: &str) -> Vec<&str> {
    let rows = page.lines().filter(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| row.trim_end_matches('|').rsplit('|').next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

/// The edges that do not go down.
fn edges(packages: &[Value]) -> Vec<String> {
    let mut found = Vec::new();
    let ours: Vec<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    for package in packages {
        let from = package["name"].as_str().unwrap_or_default();
        if from != TESTKIT && from != TOOLS && floor(from).is_none() {
            found.push(format!("{from} has no floor: add it to FLOORS in xtask/src/tidy.rs and to STYLE.md"));
        }
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let to = dependency["name"].as_str().unwrap_or_default();
            if ours.contains(&to) {
                found.extend(edge(from, to, dependency["kind"] == "dev"));
            }
        }
    }
    found
}

fn edge(from: &str, to: &str, for_tests: bool) -> Option<String> {
    match (from, to) {
        (TOOLS, _) => None,
        (_, TOOLS) => Some(format!("{from} uses {TOOLS}, which only serves this repository")),
        (_, TESTKIT) if for_tests => None,
        (_, TESTKIT) => Some(format!("{from} uses {TESTKIT} outside dev-dependencies")),
        (TESTKIT, _) => None,
        _ => {
            let (below, above) = (floor(to)?, floor(from)?);
            (below >= above)
                .then(|| format!("{from} (floor {above}) uses {to} (floor {below}): edges only go down"))
        }
    }
}

fn floor(package: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == package).map(|(_, floor)| *floor)
}

/// The Rust files of a package.
fn sources(package: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut directories: Vec<PathBuf> =
        ["src", "tests", "benches", "examples"].map(|name| package.join(name)).into();
    while let Some(directory) = directories.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// What is wrong with one source file.
fn source(name: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !text.starts_with("//!") {
        found.push(format!("{name}:1: a file opens by saying what it is for (`//! …`)"));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        found.push(format!("{name}: {lines} lines; above {MAX_LINES} it is several files"));
    }
    for (number, line) in text.lines().enumerate() {
        for mark in UNFINISHED.iter().filter(|mark| line.contains(**mark)) {
            found.push(format!("{name}:{}: `{mark}…)` is unfinished work", number + 1));
        }
    }
    found
}

/// Marked sections that README.md lacks.
fn sections(readme: &str) -> Vec<String> {
    let missing = README_SECTIONS.iter().filter(|name| {
        !(readme.contains(&format!("<!-- {name} -->")) && readme.contains(&format!("<!-- /{name} -->")))
    });
    missing
        .map(|name| format!("README.md: no section between `<!-- {name} -->` and `<!-- /{name} -->`"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_named_in_the_last_column() {
        let page = "text `no`\n\n| clause | since | tests |\n| --- | --- | --- |\n| `no` | 5.4 | `one` `two` |\n| x | | |\n";
        assert_eq!(tests_named(page), ["one", "two"]);
    }

    #[test]
    fn edges_go_down_only() {
        assert_eq!(edge("holm-core", "holm-sys", false), None);
        let up = edge("holm-sys", "holm-core", false).unwrap();
        assert_eq!(up, "holm-sys (floor 1) uses holm-core (floor 3): edges only go down");
        let sideways = edge("holm-init", "holm-cgroups", true).unwrap();
        assert_eq!(sideways, "holm-init (floor 2) uses holm-cgroups (floor 2): edges only go down");
    }

    #[test]
    fn the_testkit_serves_tests_only() {
        assert_eq!(edge("holm-report", TESTKIT, true), None);
        assert_eq!(
            edge("holm-engine", TESTKIT, false).unwrap(),
            "holm-engine uses holm-testkit outside dev-dependencies"
        );
    }

    #[test]
    fn a_file_without_a_header_or_with_unfinished_work_is_named() {
        let mark = UNFINISHED[0];
        let text = format!("fn main() {{\n    {mark})\n}}\n");
        let found = source("src/main.rs", &text);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("src/main.rs:1: "), "{found:?}");
        assert!(found[1].starts_with("src/main.rs:2: "), "{found:?}");
    }

    #[test]
    fn a_section_needs_both_its_marks() {
        assert!(sections("<!-- bench:launch -->\n<!-- /bench:launch -->").is_empty());
        assert_eq!(sections("<!-- bench:launch -->").len(), 1);
    }
}
