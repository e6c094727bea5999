//! A file that is set aside when it has its size: `log`, `log.1` before it, `log.2` before that.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The file that is written to.
#[derive(Debug)]
pub struct RotatedFile {
    path: PathBuf,
    max_bytes: u64,
    max_files: u32,
    file: Option<File>,
    size: u64,
}

/// The name of the file that was set aside so many times; 0 is the one that is written.
pub fn rotated(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

impl RotatedFile {
    /// A file of at most `max_bytes` (0 is no bound), with at most `max_files` of them. It is opened with the first line.
    pub fn new(path: PathBuf, max_bytes: u64, max_files: u32) -> Self {
        Self { path, max_bytes, max_files: max_files.max(1), file: None, size: 0 }
    }

    /// Appends `lines`, whole ones, after setting the file aside if it would grow too large.
    ///
    /// # Errors
    /// Those of the calls. What was not written is lost; the next lines are tried again.
    pub fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut rest = lines;
        while !rest.is_empty() {
            let mut file = self.opened()?;
            let room = match self.max_bytes {
                0 => u64::MAX,
                most => most.saturating_sub(self.size),
            };
            let now = match usize::try_from(room) {
                Ok(room) if room < rest.len() => whole_lines(rest, room),
                _ => rest.len(),
            };
            // A line that is longer than a file may be has one of its own.
            let now =
                if now == 0 && self.size == 0 { whole_lines(rest, 0).max(first_line(rest)) } else { now };
            if now == 0 {
                drop(file);
                self.rotate()?;
                continue;
            }
            file.write_all(&rest[..now])?;
            self.file = Some(file);
            self.size += now as u64;
            rest = &rest[now..];
        }
        Ok(())
    }

    fn opened(&mut self) -> io::Result<File> {
        if let Some(file) = self.file.take() {
            return Ok(file);
        }
        let file = File::options().append(true).create(true).mode(0o600).open(&self.path)?;
        self.size = file.metadata()?.len();
        Ok(file)
    }

    fn rotate(&mut self) -> io::Result<()> {
        if self.max_files == 1 {
            // There is no other file to keep it in.
            self.size = 0;
            return File::options().write(true).truncate(true).open(&self.path).map(drop);
        }
        for number in (0..self.max_files - 1).rev() {
            match std::fs::rename(rotated(&self.path, number), rotated(&self.path, number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.size = 0;
        Ok(())
    }
}

/// How many bytes of whole lines fit into `room`.
fn whole_lines(lines: &[u8], room: usize) -> usize {
    memchr::memrchr(b'\n', &lines[..room]).map_or(0, |end| end + 1)
}

fn first_line(lines: &[u8]) -> usize {
    memchr::memchr(b'\n', lines).map_or(lines.len(), |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("holm-log-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn files_are_bounded_in_size_and_number_and_hold_the_newest_lines() {
        let scratch = Scratch::new("bounded");
        let path = scratch.0.join("log");
        let mut file = RotatedFile::new(path.clone(), 100, 3);
        for number in 0..100 {
            file.write(format!("line {number:04}\n").as_bytes()).unwrap();
        }
        let text = |number| std::fs::read_to_string(rotated(&path, number)).unwrap();
        assert_eq!(text(0).lines().last(), Some("line 0099"));
        assert_eq!(text(1).lines().next(), Some("line 0080"));
        assert_eq!(text(1).lines().count(), 10);
        assert_eq!(text(2).lines().last(), Some("line 0079"));
        assert!(!rotated(&path, 3).exists());
    }

    #[test]
    fn many_lines_at_once_are_spread_over_files_at_line_ends() {
        let scratch = Scratch::new("spread");
        let path = scratch.0.join("log");
        let mut file = RotatedFile::new(path.clone(), 64, 8);
        let lines: String = (0..40).map(|number| format!("{number:09}\n")).collect();
        file.write(lines.as_bytes()).unwrap();
        let all: String =
            (0..8).rev().filter_map(|n| std::fs::read_to_string(rotated(&path, n)).ok()).collect();
        assert_eq!(all, lines);
    }

    #[test]
    fn a_line_longer_than_a_file_is_written() {
        let scratch = Scratch::new("long");
        let path = scratch.0.join("log");
        let mut file = RotatedFile::new(path.clone(), 10, 2);
        file.write(b"short\nthis line is longer than a file\nend\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "end\n");
        assert_eq!(std::fs::read_to_string(rotated(&path, 1)).unwrap(), "this line is longer than a file\n");
    }

    #[test]
    fn a_single_file_begins_anew() {
        let scratch = Scratch::new("single");
        let path = scratch.0.join("log");
        let mut file = RotatedFile::new(path.clone(), 12, 1);
        for number in 0..5 {
            file.write(format!("{number:05}\n").as_bytes()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "00004\n");
    }
}
