//! Where the last lines of a file begin.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

/// The place where the last `wanted` lines begin, and how many there are from it on. A line that is not finished counts.
pub(super) fn begin(file: &mut File, wanted: u64) -> io::Result<(u64, u64)> {
    const PIECE: u64 = 64 * 1024;
    let size = file.seek(SeekFrom::End(0))?;
    if wanted == 0 {
        return Ok((size, 0));
    }
    let (mut found, mut end) = (0, size);
    let mut buffer = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(PIECE);
        file.seek(SeekFrom::Start(start))?;
        buffer.clear();
        (&*file).take(end - start).read_to_end(&mut buffer)?;
        for (at, _) in buffer.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let behind = start + at as u64 + 1;
            // The line break at the very end ends a line and begins none.
            if behind < size {
                found += 1;
                if found == wanted {
                    return Ok((behind, found));
                }
            }
        }
        end = start;
    }
    Ok((0, if size > 0 { found + 1 } else { 0 }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn last(text: &str, wanted: u64) -> (String, u64) {
        let path =
            std::env::temp_dir().join(format!("holm-tail-{}-{wanted}-{}", std::process::id(), text.len()));
        let mut file =
            File::options().create(true).truncate(true).read(true).write(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let (at, found) = begin(&mut file, wanted).unwrap();
        (text[at as usize..].to_owned(), found)
    }

    #[test]
    fn the_last_lines_are_found_from_the_end() {
        assert_eq!(last("a\nb\nc\n", 2), ("b\nc\n".to_owned(), 2));
        assert_eq!(last("a\nb\nc", 2), ("b\nc".to_owned(), 2));
        assert_eq!(last("a\nb\nc\n", 9), ("a\nb\nc\n".to_owned(), 3));
        assert_eq!(last("a\n", 0), (String::new(), 0));
        assert_eq!(last("", 3), (String::new(), 0));
        let long = format!("{}\nlast\n", "x".repeat(200_000));
        assert_eq!(last(&long, 1), ("last\n".to_owned(), 1));
        assert_eq!(last(&long, 2).1, 2);
    }
}
