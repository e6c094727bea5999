//! Files that are read while somebody writes them.
//!
//! How far a file is good comes through a pipe, as numbers of eight bytes that are written and read whole (pipe(7), `PIPE_BUF`): the writer has a
//! [`Teller`], the reader a [`Growing`]. Whoever writes never waits for who reads, and memory is not where the content waits.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// What is told last: all of it has come.
const ALL: u64 = u64::MAX;
/// How often the reader is told that there is more.
const TELL_EVERY: u64 = 128 << 10;

/// The writer's end. Dropped before [`Teller::tell_all`], it makes the reader fail.
#[derive(Debug)]
pub struct Teller {
    pipe: File,
    told: u64,
}

impl Teller {
    /// Nothing is good yet.
    pub fn new(pipe: OwnedFd) -> Self {
        Self { pipe: pipe.into(), told: 0 }
    }

    /// The file is good up to here: told if it is worth it.
    pub fn tell(&mut self, good: u64) {
        if good - self.told >= TELL_EVERY {
            self.say(good);
        }
    }

    /// All of it has come.
    pub fn tell_all(&mut self) {
        self.say(ALL);
    }

    fn say(&mut self, good: u64) {
        self.told = good;
        // A reader that is gone says why elsewhere.
        let _ = self.pipe.write_all(&good.to_ne_bytes());
    }
}

/// The reader's end: a file as far as it is good. Reading waits for more.
#[derive(Debug)]
pub struct Growing {
    file: File,
    progress: File,
    at: u64,
    good: u64,
    ended: bool,
}

impl Growing {
    /// `file` from its start, of which `progress` tells.
    pub fn new(file: OwnedFd, progress: OwnedFd) -> Self {
        Self { file: file.into(), progress: progress.into(), at: 0, good: 0, ended: false }
    }

    /// What becomes readable when there is news.
    pub fn news(&self) -> BorrowedFd<'_> {
        self.progress.as_fd()
    }

    /// Whether all of it has come.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// How many bytes can be read without waiting.
    pub fn at_hand(&self) -> u64 {
        self.good - self.at
    }

    /// Waits for news.
    ///
    /// # Errors
    /// The writer is gone, or those of read(2).
    pub fn listen(&mut self) -> io::Result<()> {
        let mut news = [0; 512];
        let count = self.progress.read(&mut news)?;
        let Some(last) = news[..count - count % 8].rchunks_exact(8).next() else {
            return Err(io::Error::other("the layer did not arrive"));
        };
        match u64::from_ne_bytes(last.try_into().unwrap_or_default()) {
            ALL => {
                self.ended = true;
                self.good = self.file.seek(SeekFrom::End(0))?.max(self.at);
            }
            good => self.good = good.max(self.good),
        }
        Ok(())
    }
}

impl Read for Growing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at_hand() == 0 && !self.ended {
            self.listen()?;
        }
        let len = usize::try_from(self.at_hand()).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..len], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
