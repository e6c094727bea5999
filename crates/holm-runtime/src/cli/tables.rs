//! The commands' arguments by name and kind, for [`super::arguments`]: what the descriptions beside this file say at length.

use super::arguments::{Entry, Kind, Table};

const fn entry(name: &'static str, kind: Kind) -> Entry {
    Entry { name, short: None, kind, default: None }
}

const fn short(letter: char, name: &'static str, kind: Kind) -> Entry {
    Entry { name, short: Some(letter), kind, default: None }
}

const fn or(entry: Entry, default: &'static str) -> Entry {
    Entry { default: Some(default), ..entry }
}

const fn switch(name: &'static str) -> Entry {
    entry(name, Kind::Switch)
}

/// Accepted in front of a command and behind its name.
const GLOBAL: &[Entry] = &[
    entry("root", Kind::Path),
    entry("log", Kind::Path),
    or(entry("log-format", Kind::Word(&["text", "json"])), "text"),
    switch("debug"),
    switch("systemd-cgroup"),
];

/// Accepted in front of a command only; [`crate::context::Rootless`] finds its flag there.
pub(super) static FRAME: &[Entry] =
    &[entry("rootless", Kind::Word(&["true", "false", "auto"])), entry("criu", Kind::Text)];

const ID: &[Entry] = &[entry("id", Kind::Text)];

const LAUNCH: &[Entry] = &[
    short('b', "bundle", Kind::Path),
    entry("console-socket", Kind::Path),
    entry("pidfd-socket", Kind::Path),
    entry("pid-file", Kind::Path),
    switch("no-pivot"),
    switch("no-new-keyring"),
    entry("preserve-fds", Kind::Number),
];

const RUN: &[Entry] = &[short('d', "detach", Kind::Switch), switch("keep"), switch("no-subreaper")];

const EXEC: &[Entry] = &[
    entry("console-socket", Kind::Path),
    entry("cwd", Kind::Text),
    short('e', "env", Kind::Texts),
    short('t', "tty", Kind::Switch),
    short('u', "user", Kind::Text),
    short('g', "additional-gids", Kind::TextList),
    short('p', "process", Kind::Path),
    short('d', "detach", Kind::Switch),
    entry("pid-file", Kind::Path),
    entry("process-label", Kind::Text),
    entry("apparmor", Kind::Text),
    switch("no-new-privs"),
    short('c', "cap", Kind::TextList),
    entry("preserve-fds", Kind::Number),
    entry("cgroup", Kind::Texts),
    switch("ignore-paused"),
    entry("pidfd-socket", Kind::Path),
    switch("no-subreaper"),
];

const FORMAT: Entry = or(short('f', "format", Kind::Word(&["table", "json"])), "table");

const UPDATE: &[Entry] = &[
    short('r', "resources", Kind::Path),
    entry("blkio-weight", Kind::AnyText),
    entry("cpu-period", Kind::AnyText),
    entry("cpu-quota", Kind::AnyText),
    entry("cpu-burst", Kind::AnyText),
    entry("cpu-share", Kind::AnyText),
    entry("cpu-rt-period", Kind::AnyText),
    entry("cpu-rt-runtime", Kind::AnyText),
    entry("cpuset-cpus", Kind::AnyText),
    entry("cpuset-mems", Kind::AnyText),
    entry("cpu-idle", Kind::AnyText),
    entry("kernel-memory", Kind::AnyText),
    entry("kernel-memory-tcp", Kind::AnyText),
    entry("memory", Kind::AnyText),
    entry("memory-reservation", Kind::AnyText),
    entry("memory-swap", Kind::AnyText),
    entry("pids-limit", Kind::AnyText),
    entry("l3-cache-schema", Kind::AnyText),
    entry("mem-bw-schema", Kind::AnyText),
];

const fn of_id(name: &'static str, flags: &'static [&'static [Entry]]) -> Table {
    Table { name, flags, positional: ID, required: 1 }
}

/// All commands.
pub(super) static TABLES: &[Table] = &[
    of_id("create", &[GLOBAL, LAUNCH]),
    of_id("run", &[GLOBAL, LAUNCH, RUN]),
    of_id("start", &[GLOBAL]),
    of_id("state", &[GLOBAL]),
    of_id("pause", &[GLOBAL]),
    of_id("resume", &[GLOBAL]),
    of_id("delete", &[GLOBAL, &[short('f', "force", Kind::Switch)]]),
    of_id("update", &[GLOBAL, UPDATE]),
    of_id("events", &[GLOBAL, &[or(entry("interval", Kind::Text), "5s"), switch("stats")]]),
    Table {
        name: "kill",
        flags: &[GLOBAL, &[short('a', "all", Kind::Switch)]],
        positional: &[entry("id", Kind::Text), or(entry("signal", Kind::Text), "SIGTERM")],
        required: 1,
    },
    Table {
        name: "mounts",
        flags: &[GLOBAL],
        positional: &[
            entry("action", Kind::Word(&["add", "remove"])),
            entry("id", Kind::Text),
            entry("file", Kind::Path),
        ],
        required: 3,
    },
    Table {
        name: "exec",
        flags: &[GLOBAL, EXEC],
        positional: &[entry("id", Kind::Text), entry("args", Kind::Rest)],
        required: 1,
    },
    Table {
        name: "list",
        flags: &[GLOBAL, &[FORMAT, short('q', "quiet", Kind::Switch)]],
        positional: &[],
        required: 0,
    },
    Table {
        name: "ps",
        flags: &[GLOBAL, &[FORMAT]],
        positional: &[entry("id", Kind::Text), entry("args", Kind::AnyRest)],
        required: 1,
    },
    Table {
        name: "spec",
        flags: &[GLOBAL, &[short('b', "bundle", Kind::Path), switch("rootless")]],
        positional: &[],
        required: 0,
    },
    Table { name: "features", flags: &[GLOBAL], positional: &[], required: 0 },
];

#[cfg(test)]
mod tests {
    use clap::ArgAction;

    use super::super::arguments::{Arguments, parse};
    use super::super::{NAMES, command, frame, subcommand};
    use super::*;
    use std::ffi::OsString;

    fn is_same(entry: &Entry, arg: &clap::Arg) -> bool {
        let default = arg.get_default_values().first().map(|value| value.to_string_lossy().into_owned());
        let words: Vec<String> =
            arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
        let many = matches!(arg.get_action(), ArgAction::Append);
        let rest = arg.is_trailing_var_arg_set();
        let hyphen = arg.is_allow_hyphen_values_set();
        let parser = format!("{:?}", arg.get_value_parser());
        let kind = match entry.kind {
            Kind::Switch => parser.contains("bool") && default.as_deref() == Some("false"),
            Kind::Text => parser.contains("string") && !many && !rest,
            Kind::AnyText => parser.contains("string") && hyphen && !rest,
            Kind::Word(expected) => words == expected,
            Kind::Path => parser.contains("path"),
            Kind::Number => parser.contains("u16"),
            Kind::Texts => parser.contains("string") && many && arg.get_value_delimiter().is_none(),
            Kind::TextList => parser.contains("string") && many && arg.get_value_delimiter() == Some(','),
            Kind::Rest => parser.contains("os_string") && rest && !hyphen,
            Kind::AnyRest => parser.contains("string") && rest && hyphen,
        };
        let hides_default = matches!(entry.kind, Kind::Switch);
        kind && entry.short == arg.get_short() && (hides_default || default.as_deref() == entry.default)
    }

    #[test]
    fn the_tables_say_what_the_descriptions_say() {
        assert_eq!(TABLES.len(), NAMES.len());
        for table in TABLES {
            let described = subcommand(table.name).unwrap();
            let frame = frame();
            let global = frame.get_arguments().filter(|arg| arg.is_global_set());
            let mut all: Vec<&clap::Arg> = described.get_arguments().chain(global).collect();
            for entry in table.entries() {
                let at = all.iter().position(|arg| arg.get_id() == entry.name);
                let at = at.unwrap_or_else(|| panic!("{}: {}", table.name, entry.name));
                let arg = all.swap_remove(at);
                assert!(is_same(entry, arg), "{}: {entry:?}\n{arg:?}", table.name);
                assert!(arg.get_long().is_none_or(|long| long == entry.name), "{arg:?}");
                let is_flag = table.flags.iter().copied().flatten().any(|flag| flag.name == entry.name);
                assert_eq!(is_flag, !arg.is_positional(), "{}: {entry:?}", table.name);
            }
            assert!(all.is_empty(), "{}: {all:?}", table.name);
            let required = described.get_arguments().filter(|arg| arg.is_required_set()).count();
            assert_eq!(table.required, required, "{}", table.name);
        }
        for entry in FRAME {
            let frame = frame();
            let arg = frame.get_arguments().find(|arg| arg.get_id() == entry.name).unwrap();
            assert!(!arg.is_global_set() && arg.get_short().is_none(), "{arg:?}");
        }
    }

    /// What the parser finds; none where it finds something wrong.
    fn parsed(args: &[OsString]) -> Option<(String, Arguments)> {
        let matches = command().no_binary_name(true).try_get_matches_from(args).ok()?;
        let (name, arguments) = matches.subcommand()?;
        Some((name.to_owned(), Arguments::of_matches(super::super::table(name)?, arguments)))
    }

    fn quickly(args: &[OsString]) -> Option<(String, Arguments)> {
        let name = super::super::command_name(args)?;
        let table = super::super::table(&name)?;
        Some((table.name.to_owned(), parse(args, FRAME, table)?))
    }

    #[test]
    fn what_is_read_quickly_is_what_the_parser_reads() {
        let mut quick = 0;
        for line in [
            "--root /r --log /l --log-format json run --bundle /b web",
            "--root=/r run -b/b --pid-file /p web --detach",
            "--rootless auto --criu /c state web",
            "exec -t --user 1:2 -e A=B --env C=D -g 1,2 -g 3 web sh -c ls",
            "exec web -t sh --help",
            "kill web KILL",
            "kill --all web",
            "kill web -9",
            "delete --force=false web",
            "delete -f web",
            "list -q -f json",
            "ls --quiet",
            "update --pids-limit -1 --memory 1g web",
            "update -r - web",
            "update web --cpu-share 5",
            "events --stats --interval 1s web",
            "ps web -ef",
            "ps web",
            "spec --rootless -b /b",
            "mounts add web /m.json",
            "features",
        ] {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let Some(found) = quickly(&args) else { continue };
            assert_eq!(Some(found), parsed(&args), "{line}");
            quick += 1;
        }
        assert!(quick >= 15, "{quick}");
    }

    /// Words from everywhere in any order: most such lines are wrong, and none is read quickly that the parser reads otherwise.
    #[test]
    fn no_line_is_read_quickly_and_wrong() {
        let mut words: Vec<String> = [
            "web", "-", "--", "", "a", "-x", "true", "/p", "5", "70000", "--help", "-h", "-v", "=", "-td",
            "a,b", "a,,b",
        ]
        .map(String::from)
        .to_vec();
        for table in TABLES {
            words.extend([table.name.to_owned(), table.name.to_owned()]);
            for entry in table.entries() {
                words.push(format!("--{}", entry.name));
                words.push(format!("--{}=true", entry.name));
                words.extend(entry.short.map(|letter| format!("-{letter}")));
                words.extend(entry.short.map(|letter| format!("-{letter}x")));
            }
        }
        words.sort();
        words.dedup();
        let mut state = 88_172_645_463_325_252_u64;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let mut quick = 0;
        for _ in 0..20_000 {
            let table = &TABLES[next(TABLES.len())];
            let own: Vec<&Entry> = table.entries().collect();
            let mut line: Vec<String> = Vec::new();
            let before = next(3);
            for place in 0..1 + before + next(5) {
                let word = match next(6) {
                    0 => words[next(words.len())].clone(),
                    1 => format!("--{}", own[next(own.len())].name),
                    2 => match own[next(own.len())].short {
                        Some(letter) => format!("-{letter}"),
                        None => "web".to_owned(),
                    },
                    3 => format!("--{}=1", own[next(own.len())].name),
                    _ => ["web", "/p", "5", "json", "table", "true"][next(6)].to_owned(),
                };
                line.push(if place == before { table.name.to_owned() } else { word });
            }
            let args: Vec<OsString> = line.iter().map(OsString::from).collect();
            if let Some(found) = quickly(&args) {
                assert_eq!(Some(found), parsed(&args), "{line:?}");
                quick += 1;
            }
        }
        assert!(quick > 1_000, "{quick}");
    }
}
