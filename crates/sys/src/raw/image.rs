//! A program laid out beforehand by another process: bytes at a place in memory, and execve(2) from tables in it.

use core::ffi::CStr;

use super::{Fd, MAX_FDS, nr, receive_with_fds, syscall, text};
use crate::Errno;

/// Bytes mapped from a file, private and writable; the last one is always 0.
///
/// Strings in it are terminated. A *table* is a run of 64-bit words at an 8-byte boundary: offsets of strings, ended by
/// [`Image::END`].
#[derive(Debug)]
pub struct Image {
    bytes: &'static mut [u8],
}

impl Image {
    /// What ends a table.
    pub const END: u64 = u64::MAX;
    /// How many bytes [`Image::receive`] takes. A socket's buffer holds more (socket(7), `wmem_default`).
    pub const LONGEST: usize = 64 << 10;

    /// Maps `len` bytes of `file` from `offset` on, a multiple of the page size, for the rest of this process's life.
    ///
    /// # Errors
    /// Those of mmap(2); `ENODATA` when the bytes do not end with 0.
    pub fn map(file: Fd, offset: usize, len: usize) -> Result<Self, Errno> {
        const PROT_READ_WRITE: usize = 3;
        const MAP_PRIVATE: usize = 2;
        // SAFETY: the kernel chooses a free place; nothing else refers to it.
        let at =
            unsafe { syscall!(nr::MMAP, 0usize, len, PROT_READ_WRITE, MAP_PRIVATE, file.arg(), offset)? };
        // SAFETY: the mapping is `len` bytes long, is never unmapped, and this is the only reference to it. The file
        // is sealed against shrinking by the process that made it.
        let bytes = unsafe { core::slice::from_raw_parts_mut(at as *mut u8, len) };
        if bytes.last() == Some(&0) { Ok(Self { bytes }) } else { Err(Errno::NODATA) }
    }

    /// Takes a message of at most [`Image::LONGEST`] bytes from a socket, with its descriptors, of which it returns the number; none when
    /// nobody is at the other end.
    ///
    /// # Errors
    /// Those of mmap(2) and recvmsg(2); `ENODATA` when the bytes do not end with 0.
    pub fn receive(socket: Fd, fds: &mut [Fd; MAX_FDS]) -> Result<Option<(Self, usize)>, Errno> {
        const PROT_READ_WRITE: usize = 3;
        const MAP_PRIVATE_ANONYMOUS: usize = 0x22;
        let none = Fd::NONE.arg();
        // SAFETY: the kernel chooses a free place; nothing else refers to it.
        let at = unsafe {
            syscall!(nr::MMAP, 0usize, Self::LONGEST, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, none, 0usize)?
        };
        // SAFETY: the mapping is that long, is never unmapped, and this is the only reference to it.
        let bytes = unsafe { core::slice::from_raw_parts_mut(at as *mut u8, Self::LONGEST) };
        let (len, count) = receive_with_fds(socket, bytes, fds)?;
        match bytes.get_mut(..len) {
            Some([]) => Ok(None),
            Some(bytes) if bytes.last() == Some(&0) => Ok(Some((Self { bytes }, count))),
            _ => Err(Errno::NODATA),
        }
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes
    }

    /// The string at `offset`; none when that is outside.
    pub fn text(&self, offset: u64) -> Option<&CStr> {
        let bytes = self.bytes.get(usize::try_from(offset).ok()?..)?;
        CStr::from_bytes_until_nul(bytes).ok()
    }

    /// The word at `offset`; none when that is outside.
    pub fn word(&self, offset: u64) -> Option<u64> {
        let start = usize::try_from(offset).ok()?;
        let bytes = self.bytes.get(start..start.checked_add(8)?)?;
        Some(u64::from_ne_bytes(bytes.try_into().ok()?))
    }

    /// Writes a word at `offset`; nothing when that is outside.
    pub fn set_word(&mut self, offset: u64, word: u64) -> Option<()> {
        let start = usize::try_from(offset).ok()?;
        self.bytes.get_mut(start..start.checked_add(8)?)?.copy_from_slice(&word.to_ne_bytes());
        Some(())
    }

    /// Executes the first of the programs in the table `candidates` that can be, with the tables `arguments` and `environment`.
    ///
    /// Returns only when none could be executed: like execvp(3), `EACCES` when one of several was there but could not be
    /// executed, otherwise the last error.
    pub fn exec(&mut self, candidates: u64, arguments: u64, environment: u64) -> Errno {
        let tables = (self.resolve(arguments), self.resolve(environment));
        let (Some(arguments), Some(environment)) = tables else { return Errno::FAULT };
        let mut outcome = Errno::NOENT;
        let mut denied = false;
        let mut at = candidates;
        while let Some(offset) = self.word(at) {
            let Some(path) = self.text(offset) else { break };
            // SAFETY: both are addresses of tables of addresses, made by `resolve` in memory that stays in place.
            match unsafe { syscall!(nr::EXECVE, text(path), arguments, environment) } {
                Err(errno @ (Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG)) => {
                    outcome = errno
                }
                Err(Errno::ACCES) => denied = true,
                Err(errno) => return errno,
                Ok(_) => {}
            }
            at += 8;
        }
        if denied { Errno::ACCES } else { outcome }
    }

    /// Whether one of the files in the table `candidates` is there for [`Image::exec`], with the error that this would end in. What
    /// only execve(2) can tell, such as a missing interpreter, is not asked for; a kernel before 5.8 is not asked at all.
    pub fn find(&self, candidates: u64) -> Result<(), Errno> {
        let mut outcome = Errno::NOENT;
        let mut denied = false;
        let mut at = candidates;
        while let Some(path) = self.word(at).and_then(|offset| self.text(offset)) {
            match super::may_execute(path) {
                Ok(()) if is_directory(path) => denied = true,
                Ok(()) | Err(Errno::NOSYS) => return Ok(()),
                Err(Errno::ACCES) => denied = true,
                Err(errno) => outcome = errno,
            }
            at += 8;
        }
        Err(if denied { Errno::ACCES } else { outcome })
    }

    /// Executes the program that `file` is (execveat(2), `AT_EMPTY_PATH`), with the tables `arguments` and `environment`.
    /// Returns only when it fails.
    pub fn exec_file(&mut self, file: Fd, arguments: u64, environment: u64) -> Errno {
        let tables = (self.resolve(arguments), self.resolve(environment));
        let (Some(arguments), Some(environment)) = tables else { return Errno::FAULT };
        let empty = text(c"");
        // SAFETY: as in `exec`.
        match unsafe {
            syscall!(nr::EXECVEAT, file.arg(), empty, arguments, environment, super::AT_EMPTY_PATH)
        } {
            Err(errno) => errno,
            Ok(_) => Errno::NOEXEC,
        }
    }

    /// Turns a table's offsets into addresses, in place, and returns the table's address; none when it is not a table.
    fn resolve(&mut self, table: u64) -> Option<usize> {
        let base = self.bytes.as_ptr() as u64;
        if !table.is_multiple_of(8) {
            return None;
        }
        let mut at = table;
        loop {
            let offset = self.word(at)?;
            let address = if offset == Self::END {
                0
            } else {
                self.text(offset)?;
                base + offset
            };
            let start = usize::try_from(at).ok()?;
            self.bytes.get_mut(start..start + 8)?.copy_from_slice(&address.to_ne_bytes());
            if address == 0 {
                return Some(base as usize + usize::try_from(table).ok()?);
            }
            at += 8;
        }
    }
}
fn is_directory(path: &CStr) -> bool {
    let opened = super::openat(Fd::CWD, path, super::O_PATH | super::O_DIRECTORY | super::O_CLOEXEC, 0);
    opened.is_ok_and(|fd| super::close(fd).is_ok())
}
