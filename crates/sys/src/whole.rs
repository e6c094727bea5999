//! Small files, read whole in one call.

use std::os::fd::AsFd;

use rustix::fs::{Mode, OFlags, openat};

/// Reads files one after the other into the same memory.
#[derive(Debug, Clone, Default)]
pub struct Reader(Vec<u8>);

/// What most files fit into with one byte left, which tells that nothing follows.
const USUAL: usize = 8 << 10;
/// No file that is read here is larger.
const MOST: usize = 16 << 20;

impl Reader {
    /// The bytes of the file `name` in `dir`; the last link of the name is not followed.
    ///
    /// # Errors
    /// Those of openat(2) and read(2); `EFBIG` for a file of more than 16 MiB.
    pub fn read(&mut self, dir: impl AsFd, name: impl rustix::path::Arg) -> Result<&[u8], rustix::io::Errno> {
        let file = openat(dir, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        self.0.resize(self.0.len().max(USUAL), 0);
        let mut len = 0;
        loop {
            match rustix::io::read(&file, &mut self.0[len..]) {
                // Only a signal or the end makes one shorter than what is free.
                Ok(more) if len + more < self.0.len() => return Ok(&self.0[..len + more]),
                Ok(more) => len += more,
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(errno),
            }
            if len >= MOST {
                return Err(rustix::io::Errno::FBIG);
            }
            self.0.resize(len * 2, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_any_length_are_read_whole() {
        let path = std::env::temp_dir().join(format!("holm-whole-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        let dir = std::fs::File::open(&path).unwrap();
        let mut reader = Reader::default();
        let mut outcomes = Vec::new();
        for len in [0, 1, USUAL - 1, USUAL, USUAL + 1, 5 * USUAL, 3] {
            let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            std::fs::write(path.join("file"), &bytes).unwrap();
            outcomes.push((len, reader.read(&dir, "file") == Ok(&bytes)));
        }
        std::os::unix::fs::symlink("file", path.join("link")).unwrap();
        let link = reader.read(&dir, "link").map(<[u8]>::len);
        let nothing = reader.read(&dir, "nothing").map(<[u8]>::len);
        std::fs::remove_dir_all(&path).unwrap();
        assert!(outcomes.iter().all(|(_, same)| *same), "{outcomes:?}");
        assert_eq!(link, Err(rustix::io::Errno::LOOP));
        assert_eq!(nothing, Err(rustix::io::Errno::NOENT));
    }
}
