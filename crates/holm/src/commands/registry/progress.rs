//! How transfers look: bars on a terminal, lines elsewhere, JSON for programs.
//!
//! Bars and lines go to the standard error; JSON goes to the standard output, one object a line, so that a program reads nothing else there.

use std::collections::HashMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};

use images::Digest;
use images::registry::progress::{Event, Watcher};
use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

/// The form of progress that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A bar for each layer.
    Bars,
    /// A line for each layer.
    Plain,
    /// JSON.
    Json,
    /// Nothing.
    None,
}

impl Form {
    /// The form for `--progress` and `--quiet`.
    pub fn of(text: Option<&str>, quiet: bool) -> Self {
        match text {
            Some("json") => Self::Json,
            _ if quiet => Self::None,
            Some("bars") => Self::Bars,
            Some("plain") => Self::Plain,
            Some("none") => Self::None,
            _ if std::io::stderr().is_terminal() => Self::Bars,
            _ => Self::Plain,
        }
    }
}

/// What shows a transfer.
pub struct Shown {
    form: Form,
    /// `fetched` or `sent`.
    done: &'static str,
    bars: MultiProgress,
    layers: Mutex<HashMap<Digest, Layer>>,
}

struct Layer {
    size: u64,
    bar: Option<ProgressBar>,
}

impl Shown {
    /// Shows what is fetched.
    pub fn fetching(form: Form) -> Self {
        Self::new(form, "fetched")
    }

    /// Shows what is sent.
    pub fn sending(form: Form) -> Self {
        Self::new(form, "sent")
    }

    fn new(form: Form, done: &'static str) -> Self {
        let target = match form {
            Form::Bars => ProgressDrawTarget::stderr_with_hz(10),
            _ => ProgressDrawTarget::hidden(),
        };
        Self { form, done, bars: MultiProgress::with_draw_target(target), layers: Mutex::default() }
    }

    /// One JSON object, if that is the form.
    pub fn object(&self, value: &serde_json::Value) {
        if self.form == Form::Json {
            // A reader that has gone is no failure of the transfer.
            let mut out = std::io::stdout().lock();
            let _ = writeln!(out, "{value}");
            let _ = out.flush();
        }
    }

    fn line(&self, text: &str) {
        if self.form == Form::Plain {
            eprintln!("holm: {text}");
        }
    }

    fn size(&self, digest: &Digest) -> u64 {
        self.layers.lock().unwrap_or_else(PoisonError::into_inner).get(digest).map_or(0, |layer| layer.size)
    }

    fn with_bar(&self, digest: &Digest, change: impl FnOnce(&ProgressBar)) {
        if let Some(bar) = self
            .layers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(digest)
            .and_then(|layer| layer.bar.as_ref())
        {
            change(bar);
        }
    }

    fn found(&self, digest: &Digest, list: &[(Digest, u64)]) {
        let total: u64 = list.iter().map(|(_, size)| size).sum();
        let layers: Vec<_> =
            list.iter().map(|(digest, size)| json!({ "digest": digest, "size": size })).collect();
        self.object(&json!({ "event": "found", "digest": digest, "layers": layers }));
        let word = if list.len() == 1 { "layer" } else { "layers" };
        self.line(&format!("{digest}: {} {word}, {}", list.len(), HumanBytes(total)));
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        for (digest, size) in list {
            layers.entry(*digest).or_insert_with(|| Layer {
                size: *size,
                bar: (self.form == Form::Bars).then(|| {
                    let bar = self.bars.add(ProgressBar::new(*size).with_style(waiting()));
                    bar.set_prefix(digest.short());
                    bar.set_message("waits");
                    bar.tick();
                    bar
                }),
            });
        }
    }

    fn end(&self, digest: &Digest, event: &str, words: &str) {
        self.object(&json!({ "event": event, "digest": digest }));
        self.line(&format!("{} {words}", digest.short()));
        self.with_bar(digest, |bar| {
            bar.set_style(waiting());
            bar.finish_with_message(words.to_owned());
        });
    }
}

impl Watcher for Shown {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Asking { name } => {
                self.object(&json!({ "event": "asking", "name": name.to_string() }));
                self.line(&name.to_string());
                if self.form == Form::Bars {
                    let _ = self.bars.println(name.to_string());
                }
            }
            Event::Found { digest, layers } => self.found(&digest, &layers),
            Event::There { digest } => self.end(&digest, "there", "is there already"),
            Event::Started { digest } => {
                self.object(&json!({ "event": "started", "digest": digest }));
                self.with_bar(&digest, |bar| bar.set_style(moving()));
            }
            Event::Moved { digest, bytes } => {
                self.object(&json!({ "event": "moved", "digest": digest, "bytes": bytes }));
                self.with_bar(&digest, |bar| bar.set_position(bytes));
            }
            Event::Resumed { digest, at } => {
                self.object(&json!({ "event": "resumed", "digest": digest, "at": at }));
                self.line(&format!(
                    "{}: the connection broke after {}; it goes on",
                    digest.short(),
                    HumanBytes(at)
                ));
            }
            Event::Arrived { digest } => {
                self.object(&json!({ "event": "arrived", "digest": digest }));
                self.with_bar(&digest, |bar| {
                    bar.set_style(waiting());
                    bar.set_message("is made ready");
                });
            }
            Event::Done { digest } => {
                let words = format!("{}, {}", self.done, HumanBytes(self.size(&digest)));
                self.end(&digest, "done", &words);
            }
        }
    }
}

fn moving() -> ProgressStyle {
    let style = ProgressStyle::with_template(
        "{prefix} {bar:30} {bytes:>10} of {total_bytes:<10} {bytes_per_sec:>12} {eta:>4}",
    );
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

fn waiting() -> ProgressStyle {
    ProgressStyle::with_template("{prefix} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar())
}
