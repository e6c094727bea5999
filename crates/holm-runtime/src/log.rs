//! What `--log`, `--log-format` and `--debug` ask for.
//!
//! Engines read the log to learn why a command failed: containerd and podman take each line as a JSON object with `level`, `msg`
//! and `time`. Without `--log` messages go to standard error, in words.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use sys::SyscallError;

use crate::time::rfc3339;

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// `time="…" level=error msg="…"`
    Text,
    /// `{"level":"error","msg":"…","time":"…"}`
    Json,
}

/// Where messages go.
#[derive(Debug)]
pub(crate) struct Log {
    file: Option<File>,
    format: Format,
    debug: bool,
}

impl Log {
    /// Messages go to standard error.
    pub(crate) fn none() -> Self {
        Self { file: None, format: Format::Text, debug: false }
    }

    /// Messages go to the end of this file, if there is one.
    pub(crate) fn open(path: Option<&Path>, format: Format, debug: bool) -> Result<Self, SyscallError> {
        let open = |path: &Path| {
            let file = OpenOptions::new().append(true).create(true).open(path);
            file.map_err(|error| SyscallError::new("open", path.display().to_string(), error))
        };
        Ok(Self { file: path.map(open).transpose()?, format, debug })
    }

    /// The log that a command line asks for that cannot be parsed: whoever reads the log has to learn that, too.
    pub(crate) fn of_raw_arguments(args: &[OsString]) -> Self {
        let value = |name: &str| {
            let words = args.iter().map(|arg| arg.to_string_lossy());
            let pairs = words.zip(args.iter().skip(1).map(Some).chain([None]));
            pairs
                .filter_map(|(word, next)| match word.strip_prefix(name) {
                    Some("") => next.cloned(),
                    Some(rest) => rest.strip_prefix('=').map(OsString::from),
                    None => None,
                })
                .next()
        };
        let json = value("--log-format").is_some_and(|format| format == "json");
        let format = if json { Format::Json } else { Format::Text };
        Self::open(value("--log").as_deref().map(Path::new), format, false).unwrap_or_else(|_| Self::none())
    }

    /// An error goes to the log only; [`crate::failure::Failure::report`] tells it on standard error as well.
    pub(crate) fn error(&self, message: &str) {
        self.to_file("error", message);
    }

    /// What a person should know although the command goes on.
    pub(crate) fn warn(&self, message: &str) {
        match self.file {
            Some(_) => self.to_file("warning", message),
            None => eprintln!("warning: {message}"),
        }
    }

    /// Whether [`Log::debug`] says anything: a launch does not wait for words that nobody reads.
    pub(crate) fn is_debug(&self) -> bool {
        self.debug
    }

    /// What only somebody who looks for a reason wants to know.
    pub(crate) fn debug(&self, message: &str) {
        match self.file {
            _ if !self.debug => {}
            Some(_) => self.to_file("debug", message),
            None => eprint!("{}", line(self.format, "debug", message, &rfc3339(SystemTime::now()))),
        }
    }

    fn to_file(&self, level: &str, message: &str) {
        let Some(mut file) = self.file.as_ref() else { return };
        let line = line(self.format, level, message, &rfc3339(SystemTime::now()));
        // One write, so that lines of several processes stay whole. A log that cannot be written is no reason to fail.
        let _ = file.write_all(line.as_bytes());
    }
}

fn line(format: Format, level: &str, message: &str, time: &str) -> String {
    let message = serde_json::Value::from(message);
    match format {
        Format::Text => format!("time=\"{time}\" level={level} msg={message}\n"),
        Format::Json => format!("{{\"level\":\"{level}\",\"msg\":{message},\"time\":\"{time}\"}}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_engines_parse() {
        let text = line(Format::Json, "error", "no \"x\"\nhere", "T");
        assert_eq!(text, "{\"level\":\"error\",\"msg\":\"no \\\"x\\\"\\nhere\",\"time\":\"T\"}\n");
        assert_eq!(line(Format::Text, "warning", "a b", "T"), "time=\"T\" level=warning msg=\"a b\"\n");
    }
}
