//! Where a container's output goes.
//!
//! [`Log`] takes output in pieces of any size and hands it on in lines ([`lines`]); a line that is longer than [`LINE_MAX`] goes in
//! parts. Nothing grows with the output: memory holds one unfinished line of each stream at most.

pub mod file;
pub mod format;
pub mod journald;
pub mod lines;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use file::RotatedFile;
use format::Stamp;
use journald::Journal;
use lines::Splitter;

/// The longest line that is written in one piece, in bytes; docker's and conmon's too.
pub const LINE_MAX: usize = 16 * 1024;

/// `--log-driver`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Driver {
    /// A line of JSON for each line, as docker writes them.
    #[default]
    JsonFile,
    /// A line of text for each line, as Kubernetes reads them.
    K8sFile,
    /// systemd's journal.
    Journald,
    /// Nowhere.
    None,
    /// To the streams of whoever started the container, without anybody in between.
    Passthrough,
}

impl Driver {
    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::JsonFile => "json-file",
            Self::K8sFile => "k8s-file",
            Self::Journald => "journald",
            Self::None => "none",
            Self::Passthrough => "passthrough",
        }
    }

    /// The driver of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::JsonFile, Self::K8sFile, Self::Journald, Self::None, Self::Passthrough]
            .into_iter()
            .find(|driver| driver.name() == name)
    }

    /// Whether its lines are in files that can be read again.
    pub fn is_file(self) -> bool {
        matches!(self, Self::JsonFile | Self::K8sFile)
    }
}

/// How output is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LogSetup {
    /// The driver.
    pub driver: Driver,
    /// The file, for drivers that have one.
    pub path: PathBuf,
    /// The most bytes of a file before a new one is begun; 0 is no bound.
    pub max_bytes: u64,
    /// How many files there are at most.
    pub max_files: u32,
    /// What every line in the journal carries: names and values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<(String, String)>,
}

/// Which stream a line is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, or the terminal.
    Output,
    /// Standard error.
    Error,
}

impl Stream {
    /// `stdout` or `stderr`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Output => "stdout",
            Self::Error => "stderr",
        }
    }
}

/// A log that is being written.
#[derive(Debug)]
pub struct Log {
    sink: Sink,
    output: Splitter,
    error: Splitter,
    /// Lines of one piece of output, written together.
    batch: Vec<u8>,
    lost: u64,
}

#[derive(Debug)]
enum Sink {
    Json(RotatedFile),
    K8s(RotatedFile),
    Journal(Journal),
    Nowhere,
}

/// A batch of this size is written before more is added to it.
const BATCH: usize = 64 * 1024;

impl Log {
    /// Opens it. A file that cannot be opened is tried again with each line.
    pub fn open(setup: &LogSetup) -> Self {
        let file = || RotatedFile::new(setup.path.clone(), setup.max_bytes, setup.max_files);
        let sink = match setup.driver {
            Driver::JsonFile => Sink::Json(file()),
            Driver::K8sFile => Sink::K8s(file()),
            Driver::Journald => Sink::Journal(Journal::new(&setup.fields)),
            Driver::None | Driver::Passthrough => Sink::Nowhere,
        };
        Self { sink, output: Splitter::default(), error: Splitter::default(), batch: Vec::new(), lost: 0 }
    }

    /// Takes what the container wrote at `now_ns`.
    pub fn write(&mut self, stream: Stream, bytes: &[u8], now_ns: u64) {
        if matches!(self.sink, Sink::Nowhere) {
            return;
        }
        let splitter = match stream {
            Stream::Output => &mut self.output,
            Stream::Error => &mut self.error,
        };
        let (sink, batch, lost) = (&mut self.sink, &mut self.batch, &mut self.lost);
        let stamp = Stamp::new(stream, now_ns);
        splitter.split(bytes, |line, whole| put(sink, batch, lost, &stamp, line, whole));
        flush(sink, batch, lost);
    }

    /// Writes lines that were not finished.
    pub fn finish(&mut self, now_ns: u64) {
        for (stream, splitter) in [(Stream::Output, &mut self.output), (Stream::Error, &mut self.error)] {
            let (sink, batch, lost) = (&mut self.sink, &mut self.batch, &mut self.lost);
            let stamp = Stamp::new(stream, now_ns);
            splitter.finish(|line| put(sink, batch, lost, &stamp, line, false));
            flush(sink, batch, lost);
        }
    }

    /// How many bytes could not be written, because the disk was full for example.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

fn put(sink: &mut Sink, batch: &mut Vec<u8>, lost: &mut u64, stamp: &Stamp, line: &[u8], whole: bool) {
    match sink {
        Sink::Json(_) => stamp.json(batch, line, whole),
        Sink::K8s(_) => stamp.k8s(batch, line, whole),
        Sink::Journal(journal) => {
            if journal.send(stamp.stream, line, whole).is_err() {
                *lost += line.len() as u64;
            }
        }
        Sink::Nowhere => {}
    }
    if batch.len() >= BATCH {
        flush(sink, batch, lost);
    }
}

fn flush(sink: &mut Sink, batch: &mut Vec<u8>, lost: &mut u64) {
    if batch.is_empty() {
        return;
    }
    if let Sink::Json(file) | Sink::K8s(file) = sink
        && file.write(batch).is_err()
    {
        *lost += batch.len() as u64;
    }
    batch.clear();
    batch.shrink_to(2 * BATCH);
}
