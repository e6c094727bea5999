//! What a command line says, and the quick way to it.
//!
//! To describe all flags to the command-line parser and have it find the few that are there takes it longer than the kernel takes for
//! most commands. So a plain command line is read here, by a table of names and kinds; whatever is not plain (a mistake, `--help`, a value
//! that may begin with a hyphen …) is left to the parser, whose word is the last one: [`parse`] says nothing then. The description of
//! the flags is the parser's; tests compare the table and what both make of command lines.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ArgMatches;
use clap::parser::ValueSource;

/// What a flag or a positional argument takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing, or `=true` or `=false`.
    Switch,
    Text,
    /// Text that may begin with a hyphen.
    AnyText,
    /// One of these words.
    Word(&'static [&'static str]),
    Path,
    Number,
    /// May be given several times.
    Texts,
    /// The same, with several behind one flag, separated by commas.
    TextList,
    /// All words from the first one on.
    Rest,
    /// The same as text, which may begin with a hyphen.
    AnyRest,
}

/// A flag or a positional argument.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) short: Option<char>,
    pub(crate) kind: Kind,
    /// What it is when it is not given.
    pub(crate) default: Option<&'static str>,
}

/// The arguments of one command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) flags: &'static [&'static [Entry]],
    pub(crate) positional: &'static [Entry],
    /// How many positional arguments there have to be.
    pub(crate) required: usize,
}

/// The arguments of a command, the global ones among them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments(Vec<Argument>);

#[derive(Debug, PartialEq, Eq)]
struct Argument {
    name: &'static str,
    given: bool,
    values: Values,
}

/// The values of an argument.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Values {
    Switch(bool),
    Texts(Vec<String>),
    Paths(Vec<PathBuf>),
    Words(Vec<OsString>),
    Numbers(Vec<u16>),
}

/// A type that arguments are kept in.
pub(crate) trait Kept: Sized {
    /// The values of this type.
    fn of(values: &Values) -> &[Self];
}

macro_rules! kept {
    ($($variant:ident: $type:ty,)*) => {
        $(impl Kept for $type {
            fn of(values: &Values) -> &[Self] {
                if let Values::$variant(values) = values { values } else { &[] }
            }
        })*
    };
}

kept! {
    Texts: String,
    Paths: PathBuf,
    Words: OsString,
    Numbers: u16,
}

impl Arguments {
    /// Whether a switch is on.
    pub(crate) fn get_flag(&self, name: &str) -> bool {
        matches!(self.find(name), Some(Argument { values: Values::Switch(true), .. }))
    }

    /// The value of an argument, or what it is when it is not given.
    pub(crate) fn get_one<T: Kept>(&self, name: &str) -> Option<&T> {
        T::of(&self.find(name)?.values).first()
    }

    /// All values of an argument; none when there are none.
    pub(crate) fn get_many<T: Kept>(&self, name: &str) -> Option<std::slice::Iter<'_, T>> {
        let values = T::of(&self.find(name)?.values);
        (!values.is_empty()).then(|| values.iter())
    }

    /// Whether the command line has it.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        self.find(name).is_some_and(|argument| argument.given)
    }

    fn find(&self, name: &str) -> Option<&Argument> {
        self.0.iter().find(|argument| argument.name == name)
    }

    /// What the command-line parser found, in the terms of the table.
    pub(crate) fn of_matches(table: &Table, matches: &ArgMatches) -> Self {
        let texts = |name| matches.get_many::<String>(name).into_iter().flatten().cloned().collect();
        Self(
            table
                .entries()
                .map(|entry| Argument {
                    name: entry.name,
                    given: matches.value_source(entry.name) == Some(ValueSource::CommandLine),
                    values: match entry.kind {
                        Kind::Switch => Values::Switch(matches.get_flag(entry.name)),
                        Kind::Path => Values::Paths(
                            matches.get_many::<PathBuf>(entry.name).into_iter().flatten().cloned().collect(),
                        ),
                        Kind::Number => Values::Numbers(
                            matches.get_many::<u16>(entry.name).into_iter().flatten().copied().collect(),
                        ),
                        Kind::Rest => Values::Words(
                            matches.get_many::<OsString>(entry.name).into_iter().flatten().cloned().collect(),
                        ),
                        _ => Values::Texts(texts(entry.name)),
                    },
                })
                .collect(),
        )
    }
}

impl Table {
    pub(crate) fn entries(&self) -> impl Iterator<Item = &'static Entry> {
        self.flags.iter().copied().flatten().chain(self.positional)
    }

    fn flag(&self, is_it: impl Fn(&Entry) -> bool) -> Option<&'static Entry> {
        self.flags.iter().copied().flatten().find(|entry| is_it(entry))
    }
}

/// The arguments of a plain command line, words without the program's name. `before` has what may stand in front of the command and is
/// said nothing about behind.
pub(crate) fn parse(args: &[OsString], before: &'static [Entry], table: &Table) -> Option<Arguments> {
    let mut found = Found { arguments: Vec::with_capacity(24) };
    let mut words = args.iter();
    let mut named = false;
    let mut positions = table.positional.iter();
    while let Some(word) = words.next() {
        let word = word.to_str()?;
        if let Some(name) = word.strip_prefix("--") {
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (name, None),
            };
            let is_it = |entry: &Entry| entry.name == name;
            let of_frame = before.iter().find(|entry| !named && is_it(entry));
            let entry = of_frame.or_else(|| {
                let entry = table.flag(is_it)?;
                // Before the command's name only the global flags have a meaning.
                (named || table.flags.first()?.iter().any(is_it)).then_some(entry)
            })?;
            found.flag(entry, value, &mut words, of_frame.is_none())?;
        } else if let Some(letters) = word.strip_prefix('-') {
            let mut letters = letters.chars();
            let letter = letters.next()?;
            let entry = table.flag(|entry| named && entry.short == Some(letter))?;
            let rest = letters.as_str();
            match (entry.kind, rest) {
                (Kind::Switch, "") | (_, "") => found.flag(entry, None, &mut words, true)?,
                (Kind::Switch, _) => return None,
                (_, value) if value.starts_with('=') => return None,
                (_, value) => found.flag(entry, Some(value), &mut words, true)?,
            }
        } else if !named {
            (word == table.name).then_some(())?;
            named = true;
        } else {
            let entry = positions.next()?;
            match entry.kind {
                Kind::Rest => {
                    let mut all = vec![OsString::from(word)];
                    all.extend(words.by_ref().cloned());
                    found.add(entry, Values::Words(all));
                }
                Kind::AnyRest => return None,
                _ => found.add(entry, value_of(entry.kind, word)?),
            }
        }
    }
    let missing = positions.len() > table.positional.len() - table.required;
    (named && !missing).then(|| found.finish(table))
}

struct Found {
    arguments: Vec<Argument>,
}

impl Found {
    fn flag<'a>(
        &mut self,
        entry: &'static Entry,
        value: Option<&str>,
        words: &mut impl Iterator<Item = &'a OsString>,
        kept: bool,
    ) -> Option<()> {
        let value = match (value, entry.kind) {
            (None, Kind::Switch) => "true",
            (Some(value), _) => value,
            (None, _) => words.next()?.to_str()?,
        };
        if value.starts_with('-') && entry.kind != Kind::AnyText {
            return None;
        }
        let values = value_of(entry.kind, value)?;
        let before = self.arguments.iter_mut().find(|argument| argument.name == entry.name);
        match (before, values) {
            (None, values) if kept => self.add(entry, values),
            (None, _) => {}
            (Some(Argument { values: Values::Texts(old), .. }), Values::Texts(new))
                if matches!(entry.kind, Kind::Texts | Kind::TextList) =>
            {
                old.extend(new);
            }
            _ => return None,
        }
        Some(())
    }

    fn add(&mut self, entry: &Entry, values: Values) {
        self.arguments.push(Argument { name: entry.name, given: true, values });
    }

    /// In the order of the table, with what is not given.
    fn finish(mut self, table: &Table) -> Arguments {
        let all = table.entries().map(|entry| {
            let given = self.arguments.iter().position(|argument| argument.name == entry.name);
            given.map(|index| self.arguments.swap_remove(index)).unwrap_or_else(|| Argument {
                name: entry.name,
                given: false,
                values: match (entry.kind, entry.default) {
                    (Kind::Switch, _) => Values::Switch(false),
                    (Kind::Path, _) => Values::Paths(Vec::new()),
                    (Kind::Number, _) => Values::Numbers(Vec::new()),
                    (Kind::Rest, _) => Values::Words(Vec::new()),
                    (_, default) => Values::Texts(default.into_iter().map(str::to_owned).collect()),
                },
            })
        });
        Arguments(all.collect())
    }
}

fn value_of(kind: Kind, text: &str) -> Option<Values> {
    Some(match kind {
        Kind::Switch => Values::Switch(match text {
            "true" => true,
            "false" => false,
            _ => return None,
        }),
        Kind::Text | Kind::AnyText | Kind::Texts => Values::Texts(vec![text.to_owned()]),
        Kind::Word(words) => {
            words.contains(&text).then_some(())?;
            Values::Texts(vec![text.to_owned()])
        }
        Kind::TextList if text.split(',').any(str::is_empty) => return None,
        Kind::TextList => Values::Texts(text.split(',').map(str::to_owned).collect()),
        Kind::Path if text.is_empty() => return None,
        Kind::Path => Values::Paths(vec![PathBuf::from(text)]),
        Kind::Number => Values::Numbers(vec![text.parse().ok()?]),
        Kind::Rest | Kind::AnyRest => return None,
    })
}
