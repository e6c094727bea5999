//! Kinds of flags.

use clap::{Arg, ArgAction};

/// A flag with a value; given twice, the last one counts.
pub(super) fn one(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).action(ArgAction::Set).help(help)
}

/// A flag with a value that may begin with a dash.
pub(super) fn signed(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    one(name, value, help).allow_hyphen_values(true)
}

/// A flag that may be given several times.
pub(super) fn many(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).action(ArgAction::Append).help(help)
}

/// A flag that is on when it stands alone; `--flag=false` switches it off, as docker's do.
pub(super) fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("BOOL")
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .hide_possible_values(true)
        .action(ArgAction::Set)
        .help(help)
}
