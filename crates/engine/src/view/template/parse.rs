//! Reading a template.

use report::{Explain, Hint, Kind};
use serde_json::Value;

use super::{Node, Operand, Pipeline};

/// A text that is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the format: {0}")]
pub struct BadTemplate(String);

impl Explain for BadTemplate {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
    fn hint(&self) -> Option<Hint> {
        Some(Hint::new(
            "for example: --format '{{.ID}} {{.Names}}', --format json, or --format 'table {{.ID}}\\t{{.Status}}'",
        ))
    }
}

/// How deep blocks and parentheses may lie in each other.
const DEEPEST: usize = 32;

/// The functions there are.
pub(super) const FUNCTIONS: [&str; 25] = [
    "json", "upper", "lower", "title", "join", "split", "truncate", "len", "index", "printf", "print",
    "println", "pad", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not", "table", "html", "js",
];

fn bad<T>(what: impl Into<String>) -> Result<T, BadTemplate> {
    Err(BadTemplate(what.into()))
}

/// A piece of the template: plain text, or what stands between braces.
enum Piece<'a> {
    Text(&'a str),
    Action(Vec<Token>),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Field(Vec<String>),
    Variable(String, Vec<String>),
    Literal(Value),
    Pipe,
    Open,
    Close(Vec<String>),
    Declare,
    Comma,
}

pub(super) fn parse(text: &str) -> Result<Vec<Node>, BadTemplate> {
    if text.len() > 1 << 20 {
        return bad("it is longer than a mebibyte");
    }
    let mut pieces = pieces(text)?.into_iter();
    let (nodes, end) = block(&mut pieces, 0)?;
    match end {
        Closed::AtTheEnd => Ok(nodes),
        Closed::ByElse(_) => bad("`{{else}}` belongs to nothing"),
        Closed::ByEnd => bad("`{{end}}` belongs to nothing"),
    }
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, BadTemplate> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut trim = false;
    while let Some(begin) = rest.find("{{") {
        let mut before = &rest[..begin];
        let mut inside = &rest[begin + 2..];
        if trim {
            before = before.trim_start();
        }
        if let Some(trimmed) = inside.strip_prefix('-').filter(|rest| rest.starts_with(char::is_whitespace)) {
            before = before.trim_end();
            inside = trimmed;
        }
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        let (tokens, after, trims) = action(inside)?;
        trim = trims;
        if let Some(tokens) = tokens {
            pieces.push(Piece::Action(tokens));
        }
        rest = after;
    }
    let last = if trim { rest.trim_start() } else { rest };
    if !last.is_empty() {
        pieces.push(Piece::Text(last));
    }
    Ok(pieces)
}

/// The tokens up to the closing braces, what follows them, and whether white space there is cut off. A comment has no tokens.
fn action(text: &str) -> Result<(Option<Vec<Token>>, &str, bool), BadTemplate> {
    if let Some(comment) = text.trim_start().strip_prefix("/*") {
        let Some(end) = comment.find("*/") else { return bad("a comment is not closed") };
        let after = comment[end + 2..].trim_start();
        if let Some(after) = after.strip_prefix("-}}") {
            return Ok((None, after, true));
        }
        return match after.strip_prefix("}}") {
            Some(after) => Ok((None, after, false)),
            None => bad("a comment stands alone between braces"),
        };
    }
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        let spaced = rest.starts_with(char::is_whitespace);
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix("}}") {
            return Ok((Some(tokens), after, false));
        }
        if spaced && let Some(after) = rest.strip_prefix("-}}") {
            return Ok((Some(tokens), after, true));
        }
        let Some(first) = rest.chars().next() else { return bad("`{{` is not closed") };
        match first {
            '|' => push(&mut tokens, &mut rest, Token::Pipe, 1),
            '(' => push(&mut tokens, &mut rest, Token::Open, 1),
            ',' => push(&mut tokens, &mut rest, Token::Comma, 1),
            ')' => {
                rest = &rest[1..];
                let (path, after) = fields(rest);
                rest = after;
                tokens.push(Token::Close(path));
            }
            ':' if rest.starts_with(":=") => push(&mut tokens, &mut rest, Token::Declare, 2),
            '=' => push(&mut tokens, &mut rest, Token::Declare, 1),
            '"' | '`' => {
                let (value, after) = quoted(rest)?;
                tokens.push(Token::Literal(Value::String(value)));
                rest = after;
            }
            '.' => {
                let (path, after) = fields(rest);
                rest = if path.is_empty() { &rest[1..] } else { after };
                tokens.push(Token::Field(path));
            }
            '$' => {
                let len = word_len(&rest[1..]);
                let name = rest[1..=len].to_owned();
                let (path, after) = fields(&rest[1 + len..]);
                rest = after;
                tokens.push(Token::Variable(name, path));
            }
            '0'..='9' | '-' => {
                let len =
                    rest[1..].find(|c: char| !c.is_ascii_digit() && c != '.').map_or(rest.len(), |at| at + 1);
                let number: Value = match serde_json::from_str(&rest[..len]) {
                    Ok(number) => number,
                    Err(_) => return bad(format!("`{}` is no number", rest[..len].escape_debug())),
                };
                tokens.push(Token::Literal(number));
                rest = &rest[len..];
            }
            _ => {
                let len = word_len(rest);
                if len == 0 {
                    return bad(format!("`{}` cannot stand there", first.escape_debug()));
                }
                tokens.push(match &rest[..len] {
                    "true" => Token::Literal(Value::Bool(true)),
                    "false" => Token::Literal(Value::Bool(false)),
                    "nil" => Token::Literal(Value::Null),
                    word => Token::Word(word.to_owned()),
                });
                rest = &rest[len..];
            }
        }
    }
}

fn push(tokens: &mut Vec<Token>, rest: &mut &str, token: Token, len: usize) {
    tokens.push(token);
    *rest = &rest[len..];
}

fn word_len(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
}

/// `.A.B` at the beginning of a text.
fn fields(text: &str) -> (Vec<String>, &str) {
    let (mut path, mut rest) = (Vec::new(), text);
    while let Some(after) = rest.strip_prefix('.') {
        let len = word_len(after);
        if len == 0 {
            break;
        }
        path.push(after[..len].to_owned());
        rest = &after[len..];
    }
    (path, rest)
}

fn quoted(text: &str) -> Result<(String, &str), BadTemplate> {
    if let Some(raw) = text.strip_prefix('`') {
        return match raw.find('`') {
            Some(end) => Ok((raw[..end].to_owned(), &raw[end + 1..])),
            None => bad("a text is not closed"),
        };
    }
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, character)) = chars.next() {
        match character {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, other)) => value.push(other),
                None => break,
            },
            other => value.push(other),
        }
    }
    bad("a text is not closed")
}

/// What a block ends with.
enum Closed {
    AtTheEnd,
    ByEnd,
    /// With the tokens behind it: `else if`.
    ByElse(Vec<Token>),
}

fn block<'a>(
    pieces: &mut impl Iterator<Item = Piece<'a>>,
    depth: usize,
) -> Result<(Vec<Node>, Closed), BadTemplate> {
    if depth > DEEPEST {
        return bad(format!("more than {DEEPEST} blocks lie in each other"));
    }
    let mut nodes = Vec::new();
    while let Some(piece) = pieces.next() {
        let tokens = match piece {
            Piece::Text(text) => {
                nodes.push(Node::Text(text.to_owned()));
                continue;
            }
            Piece::Action(tokens) => tokens,
        };
        let keyword = match tokens.first() {
            Some(Token::Word(word)) => word.as_str(),
            _ => "",
        };
        match keyword {
            "end" => return Ok((nodes, Closed::ByEnd)),
            "else" => return Ok((nodes, Closed::ByElse(tokens[1..].to_vec()))),
            "if" | "with" | "range" => nodes.push(branch(&tokens, pieces, depth)?),
            _ => nodes.push(Node::Print(pipeline(&tokens)?)),
        }
    }
    Ok((nodes, Closed::AtTheEnd))
}

/// `if`, `with` and `range`, up to their end.
fn branch<'a>(
    tokens: &[Token],
    pieces: &mut impl Iterator<Item = Piece<'a>>,
    depth: usize,
) -> Result<Node, BadTemplate> {
    let head = pipeline(&tokens[1..])?;
    let (then, end) = block(pieces, depth + 1)?;
    let otherwise = match end {
        Closed::ByEnd => Vec::new(),
        Closed::ByElse(rest) if rest.is_empty() => match block(pieces, depth + 1)? {
            (nodes, Closed::ByEnd) => nodes,
            _ => return bad("`{{if}}`, `{{range}}` or `{{with}}` has no `{{end}}`"),
        },
        Closed::ByElse(rest) => {
            if depth > DEEPEST {
                return bad(format!("more than {DEEPEST} blocks lie in each other"));
            }
            vec![branch(&rest, pieces, depth + 1)?]
        }
        Closed::AtTheEnd => return bad("`{{if}}`, `{{range}}` or `{{with}}` has no `{{end}}`"),
    };
    match &tokens[0] {
        Token::Word(word) if word == "if" => Ok(Node::If(head, then, otherwise)),
        Token::Word(word) if word == "with" => Ok(Node::With(head, then, otherwise)),
        Token::Word(word) if word == "range" => Ok(Node::Range(head, then, otherwise)),
        _ => bad("only `if` or `with` can follow `else`"),
    }
}

fn pipeline(tokens: &[Token]) -> Result<Pipeline, BadTemplate> {
    let (variables, tokens) = match tokens.iter().position(|token| *token == Token::Declare) {
        Some(at) => (declared(&tokens[..at])?, &tokens[at + 1..]),
        None => (Vec::new(), tokens),
    };
    let mut rest = tokens;
    let commands = commands(&mut rest, 0)?;
    if !rest.is_empty() {
        return bad("`)` has no `(`");
    }
    Ok(Pipeline { variables, commands })
}

fn declared(tokens: &[Token]) -> Result<Vec<String>, BadTemplate> {
    let names: Vec<&Token> = tokens.iter().filter(|token| **token != Token::Comma).collect();
    let name = |token: &&Token| match token {
        Token::Variable(name, path) if path.is_empty() && !name.is_empty() => Ok(name.clone()),
        _ => bad("only a variable can stand before `:=`"),
    };
    match names.len() {
        1 | 2 => names.iter().map(name).collect(),
        _ => bad("one or two variables can stand before `:=`"),
    }
}

/// Commands up to a closing parenthesis or the end.
fn commands(rest: &mut &[Token], depth: usize) -> Result<Vec<Vec<Operand>>, BadTemplate> {
    if depth > DEEPEST {
        return bad(format!("more than {DEEPEST} parentheses lie in each other"));
    }
    let mut commands = Vec::new();
    let mut command = Vec::new();
    while let Some((token, after)) = rest.split_first() {
        if matches!(token, Token::Close(_)) {
            break;
        }
        *rest = after;
        match token {
            Token::Pipe => {
                if command.is_empty() {
                    return bad("a command is missing");
                }
                commands.push(std::mem::take(&mut command));
            }
            Token::Open => {
                let inner = self::commands(rest, depth + 1)?;
                let Some((Token::Close(path), after)) = rest.split_first() else {
                    return bad("`(` is not closed");
                };
                *rest = after;
                let pipeline = Pipeline { variables: Vec::new(), commands: inner };
                command.push(Operand::Group(Box::new(pipeline), path.clone()));
            }
            Token::Word(word) if FUNCTIONS.contains(&word.as_str()) => {
                command.push(Operand::Function(word.clone()));
            }
            Token::Word(word) => return bad(format!("there is no function `{}`", word.escape_debug())),
            Token::Field(path) => command.push(Operand::Field(path.clone())),
            Token::Variable(name, path) => command.push(Operand::Variable(name.clone(), path.clone())),
            Token::Literal(value) => command.push(Operand::Literal(value.clone())),
            Token::Declare | Token::Comma | Token::Close(_) => return bad("`:=` or `,` cannot stand there"),
        }
    }
    if command.is_empty() {
        return bad("a command is missing");
    }
    commands.push(command);
    Ok(commands)
}
