//! Digests of several growing files, computed side by side by one thread.
//!
//! Layers of an image come at the same time, each with two digests: that of the layer as it came and that of its plain content. On processors without
//! instructions for SHA, computing them takes longer than everything else; side by side ([`sys::sha256`]) they take a third of the time. The thread
//! reads from the files what others wrote to them, so nobody waits for it before the end, and what it hashes is what lies there.

use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use sys::SyscallError;
use sys::sha256::{self, BLOCK, INITIAL, LANES, State, Vectors};

use super::Digest;
use crate::Error;
use crate::layer::growing::Growing;

/// How much of a file is taken at once.
const PIECE: usize = 64 << 10;

/// The thread. Dropped, it ends with the last of its files.
#[derive(Debug)]
pub struct Together {
    arriving: Option<Sender<Stream>>,
    bell: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

/// The digest of a file that will be there.
#[derive(Debug)]
pub struct Sum(Receiver<io::Result<Digest>>);

impl Sum {
    /// Waits for it, once.
    ///
    /// # Errors
    /// The file's writer went away, or the file cannot be read.
    pub fn wait(&self) -> Result<Digest, Error> {
        let outcome = self.0.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()));
        outcome.map_err(|error| Error::call("hash what was written to the image store", "read", error))
    }
}

impl Together {
    /// Starts it; `None` where it would not be quicker than hashing each file by itself.
    pub fn start() -> Option<Self> {
        Vectors::worthwhile().and_then(Self::with)
    }

    /// Starts it with these instructions; `None` if the system has no thread or pipe for it.
    pub fn with(vectors: Vectors) -> Option<Self> {
        let (heard, bell) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        let (arriving, arrived) = channel();
        let work = move || Work { vectors, arrived, heard: Some(heard), streams: Vec::new() }.run();
        let thread = std::thread::Builder::new().spawn(work).ok()?;
        Some(Self { arriving: Some(arriving), bell: Some(bell), thread: Some(thread) })
    }

    /// Takes one more file. Yields where its writer tells how far it is good, and the digest.
    ///
    /// # Errors
    /// Those of pipe(2).
    pub fn add(&self, file: OwnedFd) -> Result<(OwnedFd, Sum), Error> {
        let (progress, tell) = pipe_with(PipeFlags::CLOEXEC).map_err(|errno| {
            Error::step("hash what comes into the image store", SyscallError::new("pipe2", "", errno))
        })?;
        let (sum, awaited) = sync_channel(1);
        let stream = Stream {
            growing: Growing::new(file, progress),
            sum,
            state: INITIAL,
            buffer: Vec::new(),
            done: 0,
            length: 0,
            padded: false,
        };
        // A thread that is gone shows when the digest is waited for; a bell that is full rings already.
        if let (Some(arriving), Some(bell)) = (&self.arriving, &self.bell) {
            let _ = arriving.send(stream);
            let _ = rustix::io::write(bell, &[0]);
        }
        Ok((tell, Sum(awaited)))
    }
}

impl Drop for Together {
    fn drop(&mut self) {
        self.arriving = None;
        self.bell = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A file.
#[derive(Debug)]
struct Stream {
    growing: Growing,
    sum: SyncSender<io::Result<Digest>>,
    state: State,
    /// What was read and is not hashed yet begins at `done`.
    buffer: Vec<u8>,
    done: usize,
    /// How much was read.
    length: u64,
    padded: bool,
}

impl Stream {
    fn is_ready(&self) -> bool {
        self.growing.has_ended() || self.growing.at_hand() >= PIECE as u64
    }

    /// Reads a piece, which is whole blocks; the last one is made so.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.resize(PIECE, 0);
        self.done = 0;
        let mut filled = 0;
        while filled < PIECE && (self.growing.at_hand() > 0 || !self.growing.has_ended()) {
            match self.growing.read(&mut self.buffer[filled..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
        }
        self.buffer.truncate(filled);
        self.length += filled as u64;
        if filled < PIECE {
            pad(&mut self.buffer, self.length);
            self.padded = true;
        }
        Ok(())
    }

    /// Says that there will be no digest; `false`, for who asks whether to go on with it.
    fn fail(&self, error: io::Error) -> bool {
        let _ = self.sum.send(Err(error));
        false
    }

    fn blocks(&self) -> usize {
        (self.buffer.len() - self.done) / BLOCK
    }
}

/// Makes the last blocks of a stream of `length` bytes in all: `rest` is what is left (FIPS 180-4, section 5.1.1).
fn pad(rest: &mut Vec<u8>, length: u64) {
    rest.push(0x80);
    let whole = (rest.len() + 8).next_multiple_of(BLOCK);
    rest.resize(whole - 8, 0);
    rest.extend_from_slice(&length.wrapping_mul(8).to_be_bytes());
}

fn digest(state: &State) -> Digest {
    let mut bytes = [0; 32];
    for (place, word) in bytes.chunks_exact_mut(4).zip(state) {
        place.copy_from_slice(&word.to_be_bytes());
    }
    Digest::from_sha256(bytes)
}

struct Work {
    vectors: Vectors,
    arrived: Receiver<Stream>,
    /// Rings when another one arrives; `None` when none will.
    heard: Option<OwnedFd>,
    streams: Vec<Stream>,
}

impl Work {
    fn run(mut self) {
        while self.heard.is_some() || !self.streams.is_empty() {
            if self.listen().is_err() {
                // Whoever waits for a digest learns that there is none.
                return;
            }
            // All have their turn.
            let count = self.streams.len();
            self.streams.rotate_left(count.min(1));
            let mut ready: Vec<Stream> =
                self.streams.extract_if(.., |stream| stream.is_ready()).take(LANES).collect();
            ready.retain_mut(|stream| match stream.fill() {
                Ok(()) => true,
                Err(error) => stream.fail(error),
            });
            self.take(&mut ready);
            for stream in ready {
                if stream.padded {
                    let _ = stream.sum.send(Ok(digest(&stream.state)));
                } else {
                    self.streams.push(stream);
                }
            }
        }
    }

    /// Hears of new files and of progress; waits for it if there is nothing else to do.
    fn listen(&mut self) -> rustix::io::Result<()> {
        let growing = |stream: &&Stream| !stream.growing.has_ended();
        let mut fds: Vec<PollFd<'_>> = self
            .heard
            .iter()
            .map(AsFd::as_fd)
            .chain(self.streams.iter().filter(growing).map(|stream| stream.growing.news()))
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        let at_once = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        let busy = self.streams.iter().any(Stream::is_ready);
        match poll(&mut fds, busy.then_some(&at_once)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        let told: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let (bell, told) = told.split_at(self.heard.iter().count());
        let mut told = told.iter();
        self.streams.retain_mut(|stream| {
            if stream.growing.has_ended() || told.next() != Some(&true) {
                return true;
            }
            match stream.growing.listen() {
                Ok(()) => true,
                Err(error) => stream.fail(error),
            }
        });
        if bell == [true] {
            let mut rings = [0; 64];
            let _ = self.heard.as_ref().map(|heard| rustix::io::read(heard, &mut rings));
            loop {
                match self.arrived.try_recv() {
                    Ok(stream) => self.streams.push(stream),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        self.heard = None;
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Hashes what is at hand.
    fn take(&self, ready: &mut [Stream]) {
        loop {
            let mut some: Vec<&mut Stream> = ready.iter_mut().filter(|stream| stream.blocks() > 0).collect();
            let Some(blocks) = some.iter().map(|stream| stream.blocks()).min() else { return };
            let mut streams: Vec<sha256::Stream<'_>> = some
                .iter_mut()
                .map(|stream| sha256::Stream {
                    state: &mut stream.state,
                    input: &stream.buffer[stream.done..],
                })
                .collect();
            self.vectors.take(&mut streams, blocks);
            some.iter_mut().for_each(|stream| stream.done += blocks * BLOCK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::growing::Teller;
    use std::fs::File;
    use std::io::Write as _;

    fn content(length: usize, seed: usize) -> Vec<u8> {
        (0..length).map(|at| (at * 31 + seed * 17 + at / 251) as u8).collect()
    }

    fn file() -> File {
        rustix::fs::memfd_create("content", rustix::fs::MemfdFlags::CLOEXEC).unwrap().into()
    }

    /// Twelve files, more than there are lanes, which grow by turns and end at different times.
    #[test]
    fn files_that_grow_side_by_side_have_their_digests() {
        for vectors in Vectors::all() {
            let together = Together::with(vectors).unwrap();
            let contents: Vec<Vec<u8>> = (0..12)
                .map(|number| {
                    content([0, 1, 63, 64, 65_535, 65_536, 300_000][number % 7] + number / 7, number)
                })
                .collect();
            let mut writing: Vec<(File, Teller, Sum)> = contents
                .iter()
                .map(|_| {
                    let file = file();
                    let (tell, sum) = together.add(file.try_clone().unwrap().into()).unwrap();
                    (file, Teller::new(tell), sum)
                })
                .collect();
            for start in (0..300_001).step_by(50_000) {
                for ((file, teller, _), content) in writing.iter_mut().zip(&contents) {
                    let end = content.len().min(start + 50_000);
                    if start < end {
                        file.write_all(&content[start..end]).unwrap();
                        teller.tell(end as u64);
                    }
                }
            }
            for ((_, mut teller, sum), content) in writing.into_iter().zip(&contents) {
                teller.tell_all();
                assert_eq!(sum.wait().unwrap(), Digest::of(content), "{vectors:?}, {} bytes", content.len());
            }
        }
    }

    #[test]
    fn a_file_whose_writer_goes_away_has_no_digest_and_the_others_have() {
        let Some(together) = Vectors::all().first().copied().and_then(Together::with) else { return };
        let (mut whole, broken) = (file(), file());
        let (tell, sum) = together.add(whole.try_clone().unwrap().into()).unwrap();
        let (told, none) = together.add(broken.into()).unwrap();
        drop(told);
        assert!(none.wait().is_err());
        whole.write_all(b"content").unwrap();
        Teller::new(tell).tell_all();
        assert_eq!(sum.wait().unwrap(), Digest::of(b"content"));
    }
}
