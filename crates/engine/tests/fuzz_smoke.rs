//! Spoilt texts for the parsers of flags and of a container's user files, the same ones every time.
//!
//! `fuzz/` drives the same parsers with libFuzzer, which looks for new paths; this is what every test run does.

use engine::flags::{self, Value, Visitor};
use engine::users::{Database, MAX_GROUPS, resolve};

/// How many spoilt copies of each example are tried.
const ROUNDS: usize = 2000;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }

    /// A copy with some characters taken out, put in or repeated.
    fn spoil(&mut self, text: &str) -> String {
        const PIECES: [&str; 20] = [
            ":",
            "=",
            ",",
            "/",
            "..",
            "-",
            "+",
            "@",
            "%",
            "\\",
            "\"",
            " ",
            "\n",
            "\0",
            "ä",
            "0",
            "-1",
            "1e9",
            "4294967295",
            "18446744073709551616",
        ];
        let mut chars: Vec<char> = text.chars().collect();
        for _ in 0..=self.below(4) {
            let at = self.below(chars.len() + 1);
            match self.below(4) {
                0 => drop(chars.splice(at..at, PIECES[self.below(PIECES.len())].chars())),
                1 => drop(chars.drain(at..(at + self.below(4)).min(chars.len()))),
                2 => chars.truncate(at),
                _ => {
                    let piece = chars[at..(at + self.below(12)).min(chars.len())].to_vec();
                    chars.splice(at..at, piece);
                }
            }
        }
        chars.into_iter().collect()
    }
}

struct SpoilEach;

impl Visitor for SpoilEach {
    fn visit<T: Value>(&mut self) {
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ T::EXAMPLE.len() as u64);
        assert!(T::parse(T::EXAMPLE).is_ok(), "{}", T::EXAMPLE);
        for _ in 0..ROUNDS {
            let _ = T::parse(&random.spoil(T::EXAMPLE));
        }
    }
}

#[test]
fn no_value_makes_a_flag_panic() {
    flags::visit_all(&mut SpoilEach);
}

#[test]
fn no_user_file_makes_a_lookup_panic() {
    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000::/srv/web:/bin/false\nbin:x:2:2::relative:\n";
    const GROUP: &str = "root:x:0:\nweb:x:1000:\nvideo:x:44:web,bin\naudio:x:29:web\n";
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for round in 0..ROUNDS {
        let database = Database { passwd: random.spoil(PASSWD), group: random.spoil(GROUP) };
        let user = flags::user::User::parse(["web", "1000", "bin:video", "0:0"][round % 4]).ok();
        let Ok(identity) = resolve(user.as_ref(), &[], &database) else { continue };
        assert!(identity.home.starts_with('/'), "{database:?}");
        assert!(identity.groups.is_sorted() && identity.groups.len() <= MAX_GROUPS, "{database:?}");
    }
}
