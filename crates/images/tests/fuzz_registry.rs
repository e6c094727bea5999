//! Spoilt names, challenges and configurations, the same ones every time. `fuzz/` drives the same readers with libFuzzer.

use images::reference::{Name, Reference};
use images::registry::http::Origin;
use images::registry::{Conf, challenge, token};

const ROUNDS: usize = 20_000;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }

    /// One of `texts` with a few characters changed, doubled, or gone.
    fn spoilt(&mut self, texts: &[&str]) -> String {
        let mut characters: Vec<char> = texts[self.below(texts.len())].chars().collect();
        for _ in 0..=self.below(4) {
            let at = self.below(characters.len());
            match self.below(4) {
                _ if characters.is_empty() => break,
                0 => {
                    characters[at] =
                        ['/', ':', '@', '.', '"', '\\', '=', ',', '\0', 'Z', '[', 'ä'][self.below(12)]
                }
                1 => characters.truncate(at),
                2 => drop(characters.remove(at)),
                _ => characters.insert(at, characters[at]),
            }
        }
        characters.into_iter().collect()
    }
}

#[test]
fn a_spoilt_name_is_refused_or_printed_as_it_is_read() {
    let mut random = Random(0x6e61_6d65);
    let digest = format!("a.b/c:d@sha256:{}", "0f".repeat(32));
    let texts = [
        "debian:bookworm",
        "registry.example.org:5000/team/app:1.2",
        "[::1]:5000/a__b/c--d",
        "docker.io/x",
        &digest,
    ];
    for _ in 0..ROUNDS {
        let text = random.spoilt(&texts);
        let Ok(name) = Name::parse(&text) else { continue };
        assert_eq!(Name::parse(&name.to_string()).ok(), Some(name.clone()), "{text:?}");
        if let Name::Full(reference) = name {
            assert!(
                !reference.registry().contains('/') && !reference.repository().contains(".."),
                "{text:?}"
            );
        }
    }
}

#[test]
fn a_spoilt_challenge_gives_no_stranger_the_password() {
    let mut random = Random(0x6368_616c);
    let texts = [
        r#"Bearer realm="https://auth.example.org/token",service="registry.example.org",scope="repository:a/b:pull""#,
        r#"Basic realm="x", Bearer realm="https://example.org.evil.net/token""#,
        r#"bearer realm="https://u@auth.example.org:443/""#,
    ];
    let registry = Origin { secure: true, host: "registry.example.org".to_owned(), port: 443 };
    for _ in 0..ROUNDS {
        let text = random.spoilt(&texts);
        for one in challenge::parse(&text) {
            let Ok(realm) = token::realm_for(&one, &registry, &[]) else { continue };
            let host = realm.uri.host().unwrap_or_default().to_ascii_lowercase();
            assert!(!realm.trusted || host == "example.org" || host.ends_with(".example.org"), "{text:?}");
            assert_eq!(realm.uri.scheme_str(), Some("https"), "{text:?}");
        }
    }
}

#[test]
fn a_spoilt_configuration_is_refused_or_answers() {
    let mut random = Random(0x636f_6e66);
    let texts = [
        "unqualified-search-registries = [\"docker.io\"]\nshort-name-mode = \"permissive\"\n[aliases]\n\"x\" = \"a.b/x\"\n",
        "[[registry]]\nprefix = \"*.example.org\"\nblocked = true\n[[registry]]\nlocation = \"a.b:5000/team\"\n[[registry.mirror]]\nlocation = \"c.d\"\n",
    ];
    let names = ["a.b:5000/team/app:1", "x.example.org/y", "docker.io/library/z"]
        .map(|name| Reference::parse(name).unwrap());
    for _ in 0..ROUNDS / 4 {
        let text = random.spoilt(&texts);
        let Ok(conf) = Conf::from_texts(&[("t".into(), text.clone())]) else { continue };
        for name in &names {
            if let Ok(list) = conf.endpoints(name, None) {
                assert!(!list.is_empty() && !list[list.len() - 1].mirror, "{text:?}");
            }
        }
    }
}
