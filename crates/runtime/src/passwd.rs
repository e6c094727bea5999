//! The home directory of a user, by the container's own /etc/passwd.

use std::fs::File;
use std::io::Read;
use std::os::fd::BorrowedFd;
use std::path::Path;

use sys::below::Links;
use sys::{raw, resolve};

/// More than any list of users that somebody wrote by hand: the file is the container's, which may make it endless.
const MOST_BYTES: u64 = 1 << 20;

/// The home directory of `uid` in the container with this root; `/` where the file does not say, as other runtimes have it.
pub fn home(root: BorrowedFd<'_>, uid: u32) -> String {
    read(root).and_then(|text| find(&text, uid)).unwrap_or_else(|| "/".to_owned())
}

fn read(root: BorrowedFd<'_>) -> Option<Vec<u8>> {
    // Without waiting for the writer of a pipe.
    let flags = raw::O_NONBLOCK | raw::O_NOCTTY | raw::O_CLOEXEC;
    let file = resolve::open_below(root, Path::new("etc/passwd"), flags, Links::InRoot).ok()?;
    let file = File::from(file);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut text).ok()?;
    Some(text)
}

/// The sixth field of the first line whose third is the id (passwd(5)). One that could not be a value of the environment is none.
fn find(text: &[u8], uid: u32) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let homes = text.lines().filter_map(|line| {
        let mut fields = line.split(':').skip(2);
        let (id, home) = (fields.next()?, fields.nth(2)?);
        (id.parse() == Ok(uid)).then(|| home.trim().to_owned())
    });
    homes.into_iter().next().filter(|home| home.starts_with('/') && !home.contains(['\0', '\u{fffd}']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_the_sixth_field_of_the_users_line() {
        let text = b"root:x:0:0:root:/root:/bin/sh\n\n#\nweb:x:33:33::/var/www\nweb2:x:33:33::/second:/bin/sh\nbad:x:7:7::relative:/x\n";
        assert_eq!(find(text, 0).as_deref(), Some("/root"));
        assert_eq!(find(text, 33).as_deref(), Some("/var/www"));
        for uid in [7, 1000] {
            assert_eq!(find(text, uid), None, "{uid}");
        }
    }

    #[test]
    fn a_list_of_users_that_is_none_is_no_failure() {
        use std::os::fd::AsFd;
        let dir = std::env::temp_dir().join(format!("holm-passwd-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("etc")).unwrap();
        let root = File::open(&dir).unwrap();
        assert_eq!(home(root.as_fd(), 0), "/");
        std::fs::write(dir.join("real"), "root:x:0:0::/home/r:\n").unwrap();
        // A link is followed in the root of the container, not of the host.
        std::os::unix::fs::symlink("/real", dir.join("etc/passwd")).unwrap();
        assert_eq!(home(root.as_fd(), 0), "/home/r");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
