//! Short names: which registry `debian` is of.
//!
//! [`candidates`] decides from the configuration and from what was decided before; start there. A short name that was looked for and found once
//! stays with its registry: [`Lock`] keeps the first answer, so that nobody can take the name over by registering it at a registry that is
//! searched earlier, or by the first one being out of reach for a moment.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use report::{Explain, Hint, Kind};
use rustix::fs::{FlockOperation, flock};

use super::conf::{Conf, ShortNames};
use crate::reference::{Reference, ShortName};

/// The registries that a short name may be of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Candidates {
    /// It is this one, and why.
    One(Reference, Source),
    /// One of these, the first that has it; the answer is to be locked.
    FirstOf(Vec<Reference>),
    /// A person has to say which of these; the answer is to be locked.
    Ask(Vec<Reference>),
}

/// Why a short name is of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// An alias of the configuration.
    Alias,
    /// It was found there before.
    Locked,
    /// The only registry that is searched; the answer is to be locked.
    OnlyOne,
}

/// A short name that is of no registry, or of several.
#[derive(Debug, thiserror::Error)]
pub enum Unresolved {
    /// Nothing is searched.
    #[error("`{name}` names no registry, and none is searched")]
    NoRegistry {
        /// The name.
        name: String,
    },
    /// Several are, and there is nobody to ask.
    #[error("`{name}` could be any of {}", list.join(", "))]
    Ambiguous {
        /// The name.
        name: String,
        /// What it could be.
        list: Vec<String>,
    },
    /// With its registry it is too long.
    #[error("{0}")]
    BadName(#[from] crate::Error),
}

impl Explain for Unresolved {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
    fn hint(&self) -> Option<Hint> {
        let text = match self {
            Self::NoRegistry { name } => {
                format!("write it out, docker.io/library/{name} for example, or set unqualified-search-registries in registries.conf")
            }
            Self::Ambiguous { .. } => "write out the one that is meant; it is remembered from then on if the answer is given on a terminal".into(),
            Self::BadName(_) => return None,
        };
        Some(Hint::new(text))
    }
}

/// Which registries `name` may be of. `locked` is what [`Lock::get`] knows of it.
///
/// # Errors
/// [`Unresolved::NoRegistry`].
pub fn candidates(
    name: &ShortName,
    conf: &Conf,
    locked: Option<Reference>,
) -> Result<Candidates, Unresolved> {
    // An alias is somebody's deliberate statement about this machine, so it goes before what was found by searching.
    if let Some(target) = conf.aliases.get(name.repository.as_str()) {
        return Ok(Candidates::One(target.versioned(name), Source::Alias));
    }
    if let Some(target) = locked {
        return Ok(Candidates::One(target.versioned(name), Source::Locked));
    }
    let list = conf.search.iter().map(|host| name.at(host)).collect::<Result<Vec<_>, _>>()?;
    match (list.len(), conf.short_names) {
        (0, _) => Err(Unresolved::NoRegistry { name: name.repository.to_string() }),
        (1, _) => Ok(Candidates::One(list.into_iter().next().expect("one"), Source::OnlyOne)),
        (_, ShortNames::Disabled) => Ok(Candidates::FirstOf(list)),
        (_, ShortNames::Enforcing | ShortNames::Permissive) => Ok(Candidates::Ask(list)),
    }
}

/// What becomes of [`Candidates::Ask`] where there is nobody to ask.
///
/// # Errors
/// [`Unresolved::Ambiguous`], unless the configuration permits to try.
pub fn without_a_terminal(
    name: &ShortName,
    conf: &Conf,
    list: Vec<Reference>,
) -> Result<Candidates, Unresolved> {
    match conf.short_names {
        ShortNames::Permissive | ShortNames::Disabled => Ok(Candidates::FirstOf(list)),
        ShortNames::Enforcing => Err(Unresolved::Ambiguous {
            name: name.repository.to_string(),
            list: list.iter().map(Reference::name).collect(),
        }),
    }
}

/// The file of answers: TOML, a table `[aliases]` in the form that registries.conf has it.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
}

/// The file of answers cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the short names found so far, {}", path.display())]
pub struct LockFailed {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub cause: io::Error,
}

impl Explain for LockFailed {
    fn kind(&self) -> Kind {
        match self.cause.kind() {
            io::ErrorKind::PermissionDenied => Kind::PermissionDenied,
            io::ErrorKind::InvalidData => Kind::StateConflict,
            _ => Kind::Io,
        }
    }
    fn hint(&self) -> Option<Hint> {
        (self.cause.kind() == io::ErrorKind::InvalidData).then(|| {
            Hint::new("mend the file or remove it; a removed one forgets which registry a short name was of")
        })
    }
}

#[derive(Default, serde::Deserialize)]
struct Answers {
    #[serde(default)]
    aliases: BTreeMap<String, String>,
}

impl Lock {
    /// The answers in the file at `path`, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The repository that `name` was found to be, without tag and digest.
    ///
    /// # Errors
    /// [`LockFailed`] for a file that cannot be read or understood: it is not ignored, because it protects.
    pub fn get(&self, name: &ShortName) -> Result<Option<Reference>, LockFailed> {
        self.answers()
            .map(|mut answers| answers.remove(name.repository.as_str()))
            .map_err(|cause| self.failed(cause))
    }

    /// Keeps the answer for `name`. The first one stays: one that another process has kept meanwhile is returned instead.
    ///
    /// # Errors
    /// [`LockFailed`]; the file is as before.
    pub fn keep(&self, name: &ShortName, found: &Reference) -> Result<Reference, LockFailed> {
        self.try_keep(name, found).map_err(|cause| self.failed(cause))
    }

    fn try_keep(&self, name: &ShortName, found: &Reference) -> io::Result<Reference> {
        let bare = found.bare();
        let directory = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory)?;
        // Writers go one after the other; readers see the old file or the new one, whole.
        let lock = File::open(directory)?;
        flock(&lock, FlockOperation::LockExclusive)?;
        let mut answers = self.answers()?;
        if let Some(before) = answers.get(name.repository.as_str()) {
            return Ok(before.clone());
        }
        answers.insert(name.repository.to_string(), bare.clone());
        let mut text = String::from(
            "# The registries that short names were found at first. They stay with them.\n[aliases]\n",
        );
        for (short, target) in &answers {
            text.push_str(&format!("\"{short}\" = \"{target}\"\n"));
        }
        let fresh = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)?;
        lock.sync_all()?;
        Ok(bare)
    }

    fn answers(&self) -> io::Result<BTreeMap<String, Reference>> {
        let mut text = String::new();
        match File::open(&self.path) {
            Ok(file) => file.take(super::conf::MAX_FILE).read_to_string(&mut text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(error),
        };
        let wrong = |problem: String| io::Error::new(io::ErrorKind::InvalidData, problem);
        let answers: Answers = toml::from_str(&text).map_err(|error| wrong(error.message().to_owned()))?;
        let pairs = answers.aliases.into_iter().map(|(short, target)| {
            Reference::parse_full(&target)
                .map(|target| (short, target))
                .map_err(|error| wrong(error.to_string()))
        });
        pairs.collect()
    }

    fn failed(&self, cause: io::Error) -> LockFailed {
        LockFailed { path: self.path.clone(), cause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::Name;

    fn short(text: &str) -> ShortName {
        match Name::parse(text).unwrap() {
            Name::Short(name) => name,
            Name::Full(_) => panic!("{text} is not short"),
        }
    }

    fn conf(text: &str) -> Conf {
        Conf::from_texts(&[("t".into(), text.to_owned())]).unwrap()
    }

    #[test]
    fn an_alias_goes_before_a_lock_and_a_lock_before_the_search() {
        let text = "unqualified-search-registries = ['a.b', 'c.d']\n[aliases]\n'x' = 'e.f/x'";
        let (conf, locked) = (conf(text), Reference::parse_full("c.d/y").unwrap());
        let found = |name, locked| candidates(&short(name), &conf, locked).unwrap();
        let one = |text, source| Candidates::One(Reference::parse_full(text).unwrap(), source);
        assert_eq!(found("x:1", Some(locked.clone())), one("e.f/x:1", Source::Alias));
        assert_eq!(found("y:1", Some(locked)), one("c.d/y:1", Source::Locked));
        let both = ["a.b/y:1", "c.d/y:1"].map(|text| Reference::parse_full(text).unwrap()).to_vec();
        assert_eq!(found("y:1", None), Candidates::Ask(both));
    }

    #[test]
    fn several_registries_are_tried_only_where_the_configuration_says_so() {
        let list = |conf: &Conf| match candidates(&short("y"), conf, None).unwrap() {
            Candidates::Ask(list) => without_a_terminal(&short("y"), conf, list),
            other => Ok(other),
        };
        let search = "unqualified-search-registries = ['a.b', 'c.d']\n";
        let error = list(&conf(search)).unwrap_err();
        assert_eq!(error.to_string(), "`y` could be any of a.b/y, c.d/y");
        for mode in ["permissive", "disabled"] {
            let conf = conf(&format!("{search}short-name-mode = '{mode}'"));
            assert!(matches!(list(&conf), Ok(Candidates::FirstOf(list)) if list.len() == 2), "{mode}");
        }
        let none = candidates(&short("y"), &conf("unqualified-search-registries = []"), None).unwrap_err();
        assert_eq!(none.to_string(), "`y` names no registry, and none is searched");
    }

    #[test]
    fn the_first_answer_stays() {
        let directory = std::env::temp_dir().join(format!("holm-short-{}", std::process::id()));
        let lock = Lock::new(directory.join("deep/short-names.toml"));
        let reference = |text| Reference::parse_full(text).unwrap();
        assert_eq!(lock.get(&short("y")).unwrap(), None);
        assert_eq!(lock.keep(&short("y:1"), &reference("a.b/y:1")).unwrap(), reference("a.b/y"));
        assert_eq!(lock.keep(&short("y:2"), &reference("c.d/y:2")).unwrap(), reference("a.b/y"));
        assert_eq!(lock.keep(&short("z"), &reference("c.d/z")).unwrap(), reference("c.d/z"));
        assert_eq!(lock.get(&short("y:3")).unwrap(), Some(reference("a.b/y")));
        fs::write(directory.join("deep/short-names.toml"), "nonsense").unwrap();
        assert!(lock.get(&short("y")).is_err(), "a damaged file protects nobody");
        fs::remove_dir_all(&directory).unwrap();
    }
}
