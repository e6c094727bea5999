//! Credential helpers: programs `docker-credential-NAME` that keep secrets elsewhere, as docker defines them.
//!
//! A helper gets one word as its argument and one document on its standard input. What it prints is not shown, because it may hold a secret.

use std::io::{self, Read as _, Write as _};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::{Credential, CredentialError, Secret, helper_key};
use crate::reference::Host;

/// The longest that a helper may take; some ask a person for a passphrase.
const PATIENCE: Duration = Duration::from_secs(60);
/// The most that a helper may print.
const MAX_ANSWER: u64 = 1 << 20;
/// How helpers say that they have nothing.
const NOT_FOUND: [&str; 2] = ["credentials not found", "no credentials server URL"];
/// The user name that stands for a token.
const TOKEN_USER: &str = "<token>";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// What the helper has for `host`.
pub(super) fn get(name: &str, host: &Host) -> Result<Option<Credential>, CredentialError> {
    let failed = |problem: String| CredentialError::Helper { name: name.to_owned(), action: "get", problem };
    let output = match run(name, "get", helper_key(host).as_bytes()) {
        Ok(output) => output,
        Err(Failure::Refused(words)) if NOT_FOUND.iter().any(|known| words.contains(known)) => {
            return Ok(None);
        }
        Err(failure) => return Err(failed(failure.words())),
    };
    let answer: Answer = serde_json::from_slice(&output)
        .map_err(|_| failed("its answer is not what a helper says".to_owned()))?;
    Ok(match (answer.username.as_str(), answer.secret) {
        (_, secret) if secret.is_empty() => None,
        (TOKEN_USER, secret) => Some(Credential::Identity(Secret::new(secret))),
        (user, secret) => Some(Credential::Password { user: user.to_owned(), password: Secret::new(secret) }),
    })
}

/// Gives the helper a credential to keep.
pub(super) fn store(name: &str, host: &Host, credential: &Credential) -> Result<(), CredentialError> {
    let (user, secret) = match credential {
        Credential::Password { user, password } => (user.as_str(), password),
        Credential::Identity(token) | Credential::Registry(token) => (TOKEN_USER, token),
    };
    let document =
        serde_json::json!({ "ServerURL": helper_key(host), "Username": user, "Secret": secret.reveal() })
            .to_string();
    match run(name, "store", document.as_bytes()) {
        Ok(_) => Ok(()),
        Err(failure) => {
            Err(CredentialError::Helper { name: name.to_owned(), action: "store", problem: failure.words() })
        }
    }
}

/// Makes the helper forget; whether it had something.
pub(super) fn erase(name: &str, host: &Host) -> Result<bool, CredentialError> {
    match run(name, "erase", helper_key(host).as_bytes()) {
        Ok(_) => Ok(true),
        Err(Failure::Refused(words)) if NOT_FOUND.iter().any(|known| words.contains(known)) => Ok(false),
        Err(failure) => {
            Err(CredentialError::Helper { name: name.to_owned(), action: "erase", problem: failure.words() })
        }
    }
}

enum Failure {
    /// It could not be started, or talked to.
    Io(io::Error),
    /// It said no.
    Refused(String),
    /// It did not end.
    Slow,
    /// It has a name that no helper has.
    BadName,
}

impl Failure {
    fn words(self) -> String {
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                "there is no such program".to_owned()
            }
            Self::Io(error) => error.to_string(),
            Self::Refused(words) if words.is_empty() => "it failed without a word".to_owned(),
            Self::Refused(words) => words,
            Self::Slow => format!("it did not end within {} s", PATIENCE.as_secs()),
            Self::BadName => "a helper's name has letters, digits, `_`, `.` and `-` only".to_owned(),
        }
    }
}

fn run(name: &str, action: &str, input: &[u8]) -> Result<Vec<u8>, Failure> {
    // It becomes part of a program's name: without a slash it can only be one of PATH.
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) {
        return Err(Failure::BadName);
    }
    let mut child = Command::new(format!("docker-credential-{name}"))
        .arg(action)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(Failure::Io)?;
    let mut stdin = child.stdin.take().expect("it was asked for");
    let stdout = child.stdout.take().expect("it was asked for");
    let input = input.to_vec();
    // A helper that reads nothing, or writes more than a pipe holds, must not stop us.
    let writer = thread::spawn(move || stdin.write_all(&input));
    let reader = thread::spawn(move || {
        let mut output = Vec::new();
        stdout.take(MAX_ANSWER).read_to_end(&mut output).map(|_| output)
    });
    let until = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait().map_err(Failure::Io)? {
            Some(status) => break status,
            None if Instant::now() >= until => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(Failure::Slow);
            }
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    // A helper that does not read its input breaks the pipe, which is its own affair.
    let _ = writer.join();
    let output = reader.join().map_err(|_| Failure::Refused(String::new()))?.map_err(Failure::Io)?;
    if status.success() {
        return Ok(output);
    }
    // Helpers report failures on standard output; the first line is enough, and a bound keeps a secret's worth of text away.
    let words = String::from_utf8_lossy(&output);
    Err(Failure::Refused(words.lines().next().unwrap_or_default().chars().take(120).collect()))
}
