//! What a registry wants to know before it answers: the `WWW-Authenticate` header (RFC 9110, section 11.6.1).

/// One way to prove oneself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// `basic`, `bearer` and so on, in lower case.
    pub scheme: String,
    /// Its parameters; names in lower case.
    pub parameters: Vec<(String, String)>,
}

/// The most bytes of a header that are looked at.
const MAX_HEADER: usize = 16 << 10;
/// The most challenges in one header.
const MAX_CHALLENGES: usize = 16;

impl Challenge {
    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The challenges of one header. What cannot be understood ends the list: a challenge is only a question.
pub fn parse(header: &str) -> Vec<Challenge> {
    let mut text = Cursor(&header[..floor(header, MAX_HEADER)]);
    let mut list: Vec<Challenge> = Vec::new();
    loop {
        text.skip_commas();
        let Some(word) = text.token() else { return list };
        if text.peek() == Some('=') {
            // A parameter before any scheme has no meaning.
            return list;
        }
        if list.len() == MAX_CHALLENGES {
            return list;
        }
        let mut challenge = Challenge { scheme: word.to_ascii_lowercase(), parameters: Vec::new() };
        // What follows is a parameter as long as an `=` stands behind the next word; otherwise it is the next scheme.
        loop {
            let before = text.0;
            text.skip_commas();
            let Some(name) = text.token() else { break };
            text.skip_spaces();
            if !text.eat('=') {
                text.0 = before;
                break;
            }
            text.skip_spaces();
            let Some(value) = text.value() else {
                text.0 = "";
                break;
            };
            challenge.parameters.push((name.to_ascii_lowercase(), value));
        }
        list.push(challenge);
    }
}

/// The largest place up to `most` that is not inside of a character.
fn floor(text: &str, most: usize) -> usize {
    (0..=most.min(text.len())).rev().find(|place| text.is_char_boundary(*place)).unwrap_or(0)
}

struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<char> {
        self.0.chars().next()
    }

    fn eat(&mut self, wanted: char) -> bool {
        match self.0.strip_prefix(wanted) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn skip_spaces(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    fn skip_commas(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t', ',']);
    }

    fn token(&mut self) -> Option<&'a str> {
        let end = self.0.find(|c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)));
        let (word, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }

    fn value(&mut self) -> Option<String> {
        if !self.eat('"') {
            return self.token().map(str::to_owned);
        }
        let mut value = String::new();
        let mut characters = self.0.char_indices();
        while let Some((place, character)) = characters.next() {
            match character {
                '"' => {
                    self.0 = &self.0[place + 1..];
                    return Some(value);
                }
                '\\' => value.push(characters.next()?.1),
                other => value.push(other),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(header: &str) -> String {
        let list = parse(header);
        list.iter().map(|challenge| format!("{} {:?}\n", challenge.scheme, challenge.parameters)).collect()
    }

    #[test]
    fn what_registries_send_is_understood() {
        expect_test::expect![[r#"
            bearer [("realm", "https://auth.docker.io/token"), ("service", "registry.docker.io"), ("scope", "repository:a/b:pull,push")]
            basic [("realm", "Registry Realm")]
            basic [("realm", "a \"b\" , c")]
            bearer [("realm", "https://x/t")]
            bearer [("realm", "https://x/t"), ("service", "y")]
            basic []
            negotiate []
        "#]]
        .assert_eq(
            &[
                shown(r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#),
                shown("Basic realm=\"Registry Realm\""),
                shown(r#"Basic realm="a \"b\" , c", bearer realm="https://x/t""#),
                shown("BEARER realm = \"https://x/t\" , service=y"),
                shown("Basic"),
                shown("Negotiate"),
            ]
            .concat(),
        );
    }

    #[test]
    fn nonsense_ends_the_list_and_nothing_else() {
        for text in [
            "",
            ",,,",
            "=",
            "a=b",
            "Bearer realm=\"open",
            "Bearer realm=\"x\\",
            "\u{1}",
            "Bearer =x",
            "ä b=c",
        ] {
            let _ = parse(text);
        }
        assert_eq!(parse("Bearer realm=\"open").len(), 1);
        assert_eq!(parse(&"a ".repeat(100)).len(), MAX_CHALLENGES);
        parse(&"ä".repeat(MAX_HEADER));
    }
}
