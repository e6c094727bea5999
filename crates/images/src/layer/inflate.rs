//! From compressed bytes to plain ones, in a thread of its own, and the plain ones as input for [`super::tar`].
//!
//! The inflater is zlib-rs, whose memory safety is that of Rust; docs/design/images.md says how it compares.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

use super::{Bad, Limits};
use crate::media::Compression;

/// How much is passed on at once.
const CHUNK: usize = 256 << 10;
/// How many chunks are on their way.
const CHUNKS: usize = 6;
/// The most memory that a zstd frame may ask for: 2^27 bytes is what zstd itself takes without being asked.
const ZSTD_WINDOW_LOG: u32 = 27;

type Message = Result<Vec<u8>, Bad>;

/// Plain bytes as they arrive. `sink` sees each piece once, before it can be read.
#[derive(Debug)]
pub struct Plain<F> {
    full: Receiver<Message>,
    empty: SyncSender<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
    total: u64,
    sink: F,
    failed: Option<Bad>,
    ended: bool,
}

/// Starts to inflate `source` in a thread.
pub fn start<'scope, 'env, F>(
    scope: &'scope Scope<'scope, 'env>,
    source: impl Read + Send + 'scope,
    limits: &Limits,
    sink: F,
) -> Plain<F>
where
    F: FnMut(&[u8]) -> Result<(), Bad>,
{
    let (full, arrived) = sync_channel::<Message>(CHUNKS);
    let (back, empty) = sync_channel::<Vec<u8>>(CHUNKS + 2);
    let limits = limits.clone();
    scope.spawn(move || {
        if let Err(bad) = inflate(source, &limits, &full, &empty) {
            // The other side may be gone already, with an error of its own.
            let _ = full.send(Err(bad));
        }
    });
    Plain { full: arrived, empty: back, chunk: Vec::new(), at: 0, total: 0, sink, failed: None, ended: false }
}

fn inflate(
    source: impl Read,
    limits: &Limits,
    full: &SyncSender<Message>,
    empty: &Receiver<Vec<u8>>,
) -> Result<(), Bad> {
    let mut source = Counting { source, count: std::rc::Rc::default() };
    let read_bytes = source.count.clone();
    let mut start = [0; 4];
    let mut len = 0;
    while len < start.len() {
        match source.read(&mut start[len..]).map_err(Bad::io("read the layer"))? {
            0 => break,
            count => len += count,
        }
    }
    let compression = Compression::of_content(&start[..len]);
    let whole = io::Cursor::new(start[..len].to_vec()).chain(source);
    let mut whole = io::BufReader::with_capacity(CHUNK, whole);
    let mut plain: Box<dyn Read + '_> = match compression {
        Compression::None => Box::new(whole),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(&mut whole)),
        Compression::Zstd => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(&mut whole).map_err(Bad::io("begin to inflate"))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(Bad::io("begin to inflate"))?;
            Box::new(decoder)
        }
    };
    let mut total = 0u64;
    loop {
        let mut chunk = empty.try_recv().unwrap_or_default();
        chunk.resize(CHUNK, 0);
        let mut filled = 0;
        while filled < CHUNK {
            match plain.read(&mut chunk[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Bad::io("inflate the layer")(error)),
            }
        }
        if filled == 0 {
            return Ok(());
        }
        total += filled as u64;
        check_size(total, read_bytes.get(), limits)?;
        chunk.truncate(filled);
        if full.send(Ok(chunk)).is_err() {
            return Ok(());
        }
    }
}

fn check_size(total: u64, compressed: u64, limits: &Limits) -> Result<(), Bad> {
    if total > limits.layer_bytes {
        return Err(Bad::Limit {
            limit: format!("{} bytes in a layer", limits.layer_bytes),
            flag: "--max-layer-size",
        });
    }
    if total > super::limits::FREE_EXPANSION_BYTES && total / limits.expansion.max(1) > compressed {
        return Err(Bad::Limit {
            limit: format!("{} times its compressed size: it may be a bomb", limits.expansion),
            flag: "--max-expansion",
        });
    }
    Ok(())
}

struct Counting<R> {
    source: R,
    count: std::rc::Rc<std::cell::Cell<u64>>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.count.set(self.count.get() + count as u64);
        Ok(count)
    }
}

impl<F: FnMut(&[u8]) -> Result<(), Bad>> Plain<F> {
    /// Reads what is left, so that the sink has seen everything; yields how much there was in all.
    ///
    /// # Errors
    /// What went wrong on the way, with its real cause.
    pub fn finish(mut self) -> Result<u64, Bad> {
        while !self.ended {
            self.at = self.chunk.len();
            self.advance()?;
        }
        Ok(self.total)
    }

    /// The real cause of an error that [`io::Error`] stood for.
    pub fn cause(&mut self) -> Option<Bad> {
        self.failed.take()
    }

    fn advance(&mut self) -> Result<(), Bad> {
        let done = std::mem::take(&mut self.chunk);
        self.at = 0;
        if done.capacity() > 0 {
            let _ = self.empty.try_send(done);
        }
        match self.full.recv() {
            Err(_) => self.ended = true,
            Ok(Err(bad)) => return Err(bad),
            Ok(Ok(chunk)) => {
                (self.sink)(&chunk)?;
                self.total += chunk.len() as u64;
                self.chunk = chunk;
            }
        }
        Ok(())
    }
}

impl<F: FnMut(&[u8]) -> Result<(), Bad>> BufRead for Plain<F> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.chunk.len()
            && !self.ended
            && let Err(bad) = self.advance()
        {
            self.failed = Some(bad);
            self.ended = true;
            return Err(io::Error::other("the source failed"));
        }
        Ok(&self.chunk[self.at..])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

impl<F: FnMut(&[u8]) -> Result<(), Bad>> Read for Plain<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}
