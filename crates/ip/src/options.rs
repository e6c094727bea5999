//! The options in front of the object, which hold for every command.

use netlink::route::{AF_BRIDGE, AF_INET, AF_INET6, AF_PACKET, AF_UNSPEC};

use crate::address;
use crate::fail::Fail;
use crate::words::{Words, number, short};

/// `-c`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Color {
    #[default]
    Never,
    Auto,
    Always,
}

/// What was asked for in front of the object.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) family: u8,
    pub(crate) statistics: u32,
    pub(crate) details: bool,
    pub(crate) human: bool,
    pub(crate) iec: bool,
    pub(crate) one_line: bool,
    pub(crate) brief: bool,
    pub(crate) json: bool,
    pub(crate) pretty: bool,
    pub(crate) numeric: bool,
    pub(crate) all: bool,
    pub(crate) color: Color,
    pub(crate) namespace: Option<String>,
    /// How often a flush may go round.
    pub(crate) loops: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            family: AF_UNSPEC,
            statistics: 0,
            details: false,
            human: false,
            iec: false,
            one_line: false,
            brief: false,
            json: false,
            pretty: false,
            numeric: false,
            all: false,
            color: Color::Never,
            namespace: None,
            loops: 10,
        }
    }
}

/// What the options come to.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// An object and a command.
    Command(Box<Options>),
    Help,
    Version,
}

/// Reads the options; the words behind them stay.
pub(crate) fn parse(words: &Words<'_>) -> Result<Wanted, Fail> {
    let mut options = Options::default();
    while let Some(word) = words.peek().filter(|word| word.starts_with('-')) {
        words.next();
        if word == "--" {
            break;
        }
        let option = word.strip_prefix("--").map_or(word, |_| &word[1..]);
        match option {
            "-4" => options.family = AF_INET,
            "-6" => options.family = AF_INET6,
            "-0" => options.family = AF_PACKET,
            "-B" => options.family = AF_BRIDGE,
            // The order is iproute2's: it decides what an abbreviation means.
            _ if short(option, "-loops") => {
                let word = words.value()?;
                options.loops = number(word).and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
            }
            _ if short(option, "-family") => {
                let word = words.value()?;
                options.family = address::family(word)
                    .filter(|family| *family != 28)
                    .ok_or_else(|| Fail::wrong(format!("there is no address family `{word}` here")))?;
            }
            _ if short(option, "-human-readable") => options.human = true,
            _ if short(option, "-iec") => options.iec = true,
            _ if short(option, "-stats") || short(option, "-statistics") => options.statistics += 1,
            _ if short(option, "-details") => options.details = true,
            _ if short(option, "-oneline") => options.one_line = true,
            "-V" | "-Version" | "-version" => return Ok(Wanted::Version),
            _ if short(option, "-brief") && option.len() > 2 => options.brief = true,
            _ if short(option, "-json") => options.json = true,
            _ if short(option, "-pretty") => options.pretty = true,
            _ if color(option).is_some() => options.color = color(option).unwrap_or_default(),
            _ if short(option, "-help") => return Ok(Wanted::Help),
            _ if short(option, "-netns") => options.namespace = Some(words.value()?.to_owned()),
            _ if short(option, "-Numeric") => options.numeric = true,
            _ if short(option, "-all") => options.all = true,
            _ => {
                return Err(Fail::wrong(format!("there is no option `{word}`"))
                    .hint("`holm ip help` lists them; options stand in front of the object"));
            }
        }
    }
    Ok(Wanted::Command(Box::new(options)))
}

/// `-c`, `-color=auto`, …
fn color(option: &str) -> Option<Color> {
    let (name, when) = option.split_once('=').unwrap_or((option, "always"));
    if !short(name, "-color") {
        return None;
    }
    match when {
        "always" => Some(Color::Always),
        "auto" => Some(Color::Auto),
        "never" => Some(Color::Never),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<(Options, usize), String> {
        let list: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let words = Words::new(&list);
        match parse(&words) {
            Ok(Wanted::Command(options)) => Ok((*options, words.left())),
            Ok(other) => Err(format!("{other:?}")),
            Err(fail) => Err(fail.to_string()),
        }
    }

    #[test]
    fn options_may_be_cut_short_and_have_one_or_two_dashes() {
        let (options, left) = read("-j -p --details -s -stat -br -n blue -4 link -d").unwrap();
        assert!(options.json && options.pretty && options.details && options.brief);
        assert_eq!(
            (options.statistics, options.namespace.as_deref(), options.family),
            (2, Some("blue"), AF_INET)
        );
        assert_eq!(left, 2);
        assert!(read("-o -a -c=never -f inet6 a").is_ok());
    }

    #[test]
    fn an_option_that_is_not_there_is_named() {
        assert_eq!(read("-x link").unwrap_err(), "there is no option `-x`");
        assert_eq!(read("-c=blue link").unwrap_err(), "there is no option `-c=blue`");
        assert_eq!(read("-n").unwrap_err(), "the command ends after `-n`, which takes a value");
        assert!(read("-h link").unwrap().0.human);
    }
}
