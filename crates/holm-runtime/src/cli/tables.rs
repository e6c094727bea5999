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

/// Accepted in front of a command, and of no consequence for it.
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
