//! What the flags of a command mean.
//!
//! Every flag that takes a value has a type here, one small module for each subject, and the only way to
//! make such a type from text is its [`Value::parse`]. [`parse_flag`] adds the flag's name, so that an error
//! says what was given, what is wrong with it, what is expected, and shows an example. Nothing here looks at
//! the host; whether flags fit together is decided in [`crate::request`].

use std::borrow::Cow;

use report::{Explain, Hint, Kind};

pub mod capability;
pub mod cpu;
pub mod destination;
pub mod detach_keys;
pub mod device;
pub mod duration;
pub mod env;
pub mod io;
pub mod keeping;
pub mod label;
pub mod mount;
pub mod name;
pub mod named;
pub mod namespace;
pub mod network;
pub mod number;
pub mod security_opt;
pub mod signal;
pub mod size;
pub mod storage_opt;
pub mod sysctl;
pub mod time_offset;
pub mod tmpfs;
pub mod ulimit;
pub mod user;
pub mod userns;
pub mod volume;

/// What is wrong with a value, in words that follow it: "is not a number".
pub type Problem = Cow<'static, str>;

/// The value of a flag: a type that only its parser makes.
pub trait Value: Sized {
    /// The form, as the help shows it: `SOURCE:DESTINATION[:OPTIONS]`.
    const FORM: &'static str;
    /// A value that is right.
    const EXAMPLE: &'static str;

    /// Reads one value.
    ///
    /// # Errors
    /// What is wrong, without the value and without the flag's name.
    fn parse(text: &str) -> Result<Self, Problem>;
}

/// A flag whose value cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{flag} `{given}`: {problem}")]
pub struct BadFlag {
    /// The flag, with its dashes.
    pub flag: &'static str,
    /// The value as it was given.
    pub given: String,
    /// What is wrong with it.
    pub problem: Problem,
    /// The form that is expected.
    pub form: &'static str,
    /// A value that is right.
    pub example: &'static str,
}

impl Explain for BadFlag {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
    fn hint(&self) -> Option<Hint> {
        Some(Hint::new(format!("expected {}, for example: {} {}", self.form, self.flag, self.example)))
    }
}

/// Reads the value of `flag`.
///
/// ```
/// use engine::flags::{parse_flag, size::Bytes};
/// assert_eq!(parse_flag::<Bytes>("--memory", "64m").unwrap().get(), 64 << 20);
/// let error = parse_flag::<Bytes>("--memory", "64q").unwrap_err();
/// assert_eq!(error.to_string(), "--memory `64q`: `q` is not a unit");
/// ```
///
/// # Errors
/// [`BadFlag`], with everything a person needs to get it right.
pub fn parse_flag<T: Value>(flag: &'static str, text: &str) -> Result<T, BadFlag> {
    T::parse(text).map_err(|problem| BadFlag {
        flag,
        given: text.to_owned(),
        problem,
        form: T::FORM,
        example: T::EXAMPLE,
    })
}

/// Reads the values of a flag that may be given several times.
///
/// # Errors
/// As [`parse_flag`], for the first value that is wrong.
pub fn parse_all<T: Value>(flag: &'static str, texts: &[String]) -> Result<Vec<T>, BadFlag> {
    texts.iter().map(|text| parse_flag(flag, text)).collect()
}

/// `KEY=VALUE` or only `KEY`, split at the first `=`.
pub(crate) fn key_value(text: &str) -> (&str, Option<&str>) {
    match text.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (text, None),
    }
}

/// The words people use for yes and no (Go's `strconv.ParseBool`, which docker reads them with).
///
/// # Errors
/// For any other word.
pub fn parse_bool(text: &str) -> Result<bool, Problem> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("`{text}` is neither true nor false").into()),
    }
}

/// A count in decimal digits and nothing else: `u64::from_str` would also take a leading `+`.
pub(crate) fn parse_count(text: &str) -> Result<u64, Problem> {
    if text.is_empty() {
        return Err("a number is missing".into());
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{text}` is not a number").into());
    }
    text.parse().map_err(|_| format!("`{text}` is too large").into())
}

/// Something to do with every type of a flag's value.
pub trait Visitor {
    /// Does it with one.
    fn visit<T: Value>(&mut self);
}

/// Shows every type of a flag's value to `visitor`: for what has to hold for all of them.
pub fn visit_all(visitor: &mut impl Visitor) {
    visitor.visit::<capability::Capabilities>();
    visitor.visit::<cpu::CpuSet>();
    visitor.visit::<cpu::Cpus>();
    visitor.visit::<destination::Destination>();
    visitor.visit::<detach_keys::DetachKeys>();
    visitor.visit::<device::Device>();
    visitor.visit::<duration::Moment>();
    visitor.visit::<duration::Span>();
    visitor.visit::<env::EnvEntry>();
    visitor.visit::<keeping::LogOption>();
    visitor.visit::<monitor::Driver>();
    visitor.visit::<monitor::OnFailure>();
    visitor.visit::<monitor::Policy>();
    visitor.visit::<io::BytesPerSecond>();
    visitor.visit::<io::DeviceWeight>();
    visitor.visit::<io::OperationsPerSecond>();
    visitor.visit::<label::Label>();
    visitor.visit::<mount::Mount>();
    visitor.visit::<name::ContainerName>();
    visitor.visit::<name::Hostname>();
    visitor.visit::<named::MountRef>();
    visitor.visit::<named::Subpath>();
    visitor.visit::<named::VolumeName>();
    visitor.visit::<named::VolumesFrom>();
    visitor.visit::<namespace::Ipc>();
    visitor.visit::<namespace::Source>();
    visitor.visit::<network::Network>();
    visitor.visit::<network::AddHost>();
    visitor.visit::<network::Alias>();
    visitor.visit::<network::DnsOption>();
    visitor.visit::<network::SearchDomain>();
    visitor.visit::<network::Unpublish>();
    visitor.visit::<network::NetRate>();
    visitor.visit::<::network::Expose>();
    visitor.visit::<::network::MacAddress>();
    visitor.visit::<::network::Publish>();
    visitor.visit::<std::net::IpAddr>();
    visitor.visit::<number::OomScoreAdj>();
    visitor.visit::<number::PidsLimit>();
    visitor.visit::<security_opt::SecurityOpt>();
    visitor.visit::<spec::Signal>();
    visitor.visit::<size::Bytes>();
    visitor.visit::<size::Limit>();
    visitor.visit::<sysctl::Sysctl>();
    visitor.visit::<time_offset::TimeOffset>();
    visitor.visit::<tmpfs::Tmpfs>();
    visitor.visit::<ulimit::Ulimit>();
    visitor.visit::<user::Group>();
    visitor.visit::<user::User>();
    visitor.visit::<userns::UserNamespace>();
    visitor.visit::<volume::Volume>();
}

#[cfg(test)]
pub(crate) mod testing {
    //! One line for each value: what it becomes, or why it is refused.

    use std::fmt::{Debug, Write as _};

    use super::Value;

    /// The table of `texts` read as `T`.
    pub(crate) fn table<T: Value + Debug>(texts: &[&str]) -> String {
        let mut lines = String::new();
        for text in texts.iter().chain(&[T::EXAMPLE]) {
            let _ = match T::parse(text) {
                Ok(value) => writeln!(lines, "{text} => {value:?}"),
                Err(problem) => writeln!(lines, "{text} !! {problem}"),
            };
        }
        lines
    }
}
