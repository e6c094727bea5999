//! `holm image` and `holm images`.

use std::path::PathBuf;

use clap::ArgMatches;
use images::layer::Form;
use images::platform::Platform;
use images::reference::Reference;
use images::store::{Image, Options, Store};
use report::{BoxedExplain, Explain, Hint, Kind};

mod bootstrap;
mod list;
mod mount;
mod show;
mod transfer;

/// Runs a subcommand.
///
/// # Errors
/// What failed.
pub fn run(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    match matches.subcommand() {
        Some(("inspect", matches)) => show::inspect(matches),
        Some(("history", matches)) => show::history(matches),
        Some(("tree", matches)) => show::tree(matches),
        Some(("tag", matches)) => list::tag(matches),
        Some(("remove", matches)) => list::remove(matches),
        Some(("prune", matches)) => list::prune(matches),
        Some(("load", matches)) => transfer::load(matches),
        Some(("save", matches)) => transfer::save(matches),
        Some(("import", matches)) => transfer::import(matches),
        Some(("export", matches)) => transfer::export(matches),
        Some(("bootstrap", matches)) => bootstrap::run(matches),
        Some(("verify", matches)) => show::verify(matches),
        Some(("mount", matches)) => mount::mount(matches),
        Some(("unmount", matches)) => mount::unmount(matches),
        Some((_, matches)) => list(matches),
        None => Ok(0),
    }
}

/// `holm images`.
///
/// # Errors
/// What failed.
pub fn list(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    list::list(matches)
}

/// `holm import`.
///
/// # Errors
/// What failed.
pub fn import(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    transfer::import(matches)
}

/// The caller's store.
fn store() -> Result<Store, BoxedExplain> {
    Store::open(Options::of_caller()).map_err(boxed)
}

/// The caller's store, with what a command line says about archives.
pub(super) fn store_with(matches: &ArgMatches) -> Result<Store, BoxedExplain> {
    let mut options = Options::of_caller();
    let number = |id: &str| {
        text(matches, id).map(|text| {
            text.parse::<u64>().ok().filter(|number| *number > 0).ok_or_else(|| {
                refuse(format!("`--{id} {}` is no number above 0", text.escape_debug()), "give a number")
            })
        })
    };
    if let Some(entries) = number("max-layer-entries").transpose()? {
        options.limits.entries = entries;
    }
    if let Some(times) = number("max-expansion").transpose()? {
        options.limits.expansion = times;
    }
    if let Some(size) = text(matches, "max-layer-size") {
        options.limits.layer_bytes = size_of(size).ok_or_else(|| {
            refuse(
                format!("`--max-layer-size {}` is no size", size.escape_debug()),
                "write it as 512m or 10g",
            )
        })?;
    }
    options.limits.absolute_names = flag(matches, "absolute-names");
    options.form = text(matches, "form").and_then(Form::of_name);
    Store::open(options).map_err(boxed)
}

fn size_of(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let lower = lower.strip_suffix('b').unwrap_or(&lower);
    let (digits, shift) = match lower.as_bytes().last()? {
        b'k' => (&lower[..lower.len() - 1], 10),
        b'm' => (&lower[..lower.len() - 1], 20),
        b'g' => (&lower[..lower.len() - 1], 30),
        b't' => (&lower[..lower.len() - 1], 40),
        _ => (lower, 0),
    };
    digits.parse::<u64>().ok().filter(|size| *size > 0)?.checked_mul(1 << shift)
}

fn text<'m>(matches: &'m ArgMatches, id: &str) -> Option<&'m str> {
    matches.try_get_one::<String>(id).ok().flatten().map(String::as_str)
}

fn texts<'m>(matches: &'m ArgMatches, id: &str) -> Vec<&'m str> {
    let values = matches.try_get_many::<String>(id).ok().flatten();
    values.into_iter().flatten().map(String::as_str).collect()
}

fn flag(matches: &ArgMatches, id: &str) -> bool {
    match matches.try_get_one::<bool>(id) {
        Ok(set) => set.copied().unwrap_or(false),
        Err(_) => text(matches, id).is_some_and(|text| text != "false"),
    }
}

fn path(matches: &ArgMatches, id: &str) -> Option<PathBuf> {
    text(matches, id).map(PathBuf::from)
}

fn platform(matches: &ArgMatches) -> Result<Platform, BoxedExplain> {
    text(matches, "platform")
        .map_or_else(|| Ok(Platform::host()), |text| Platform::parse(text).map_err(boxed))
}

fn references(names: &[&str]) -> Result<Vec<Reference>, BoxedExplain> {
    names.iter().map(|name| Reference::parse(name).map_err(boxed)).collect()
}

/// The images that a command line names; all of them if it names none.
fn named(store: &Store, matches: &ArgMatches) -> Result<Vec<Image>, BoxedExplain> {
    let names = texts(matches, "image");
    if names.is_empty() {
        return store.images().map_err(boxed);
    }
    names.iter().map(|name| store.find(name).map_err(boxed)).collect()
}

/// What people read in place of a name's full form.
fn familiar(name: &str) -> String {
    Reference::parse(name).map_or_else(|_| name.to_owned(), |reference| reference.familiar())
}

/// Bytes for people, in powers of ten as docker has them.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (count as f64, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    match unit {
        0 => format!("{count} B"),
        _ if value < 9.95 => format!("{value:.1} {}", UNITS[unit]),
        _ => format!("{value:.0} {}", UNITS[unit]),
    }
}

fn boxed(error: impl Explain + Send + Sync + 'static) -> BoxedExplain {
    Box::new(error)
}

/// A request that cannot be carried out as it is.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
struct Refused {
    problem: String,
    advice: String,
    kind: Kind,
}

impl Explain for Refused {
    fn kind(&self) -> Kind {
        self.kind
    }
    fn hint(&self) -> Option<Hint> {
        Some(Hint::new(self.advice.clone()))
    }
}

fn refuse(problem: impl Into<String>, advice: impl Into<String>) -> BoxedExplain {
    Box::new(Refused { problem: problem.into(), advice: advice.into(), kind: Kind::InvalidInput })
}

fn unsupported(problem: impl Into<String>, advice: impl Into<String>) -> BoxedExplain {
    Box::new(Refused { problem: problem.into(), advice: advice.into(), kind: Kind::Unsupported })
}

fn print(text: &str) -> Result<(), BoxedExplain> {
    engine::run::print(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written_in_the_units_of_people() {
        assert_eq!(size_of("10g"), Some(10 << 30));
        assert_eq!(size_of("512MB"), Some(512 << 20));
        for text in ["", "g", "-1", "1.5g", "0"] {
            assert_eq!(size_of(text), None, "{text}");
        }
        assert_eq!([bytes(5), bytes(1500), bytes(124_000_000)], ["5 B", "1.5 kB", "124 MB"]);
    }
}
