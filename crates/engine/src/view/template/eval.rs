//! Filling a template.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Node, Operand, Pipeline, RenderFailed};

/// The longest text that a template makes.
const LONGEST: usize = 64 << 20;
/// The most turns of all loops together.
const TURNS: usize = 1 << 20;

struct Scope<'a> {
    root: &'a Value,
    variables: Vec<(String, Value)>,
    turns: usize,
    out: String,
}

fn fail<T>(what: impl Into<String>) -> Result<T, RenderFailed> {
    Err(RenderFailed(what.into()))
}

pub(super) fn render(nodes: &[Node], value: &Value) -> Result<String, RenderFailed> {
    let mut scope = Scope { root: value, variables: Vec::new(), turns: 0, out: String::new() };
    scope.all(nodes, value)?;
    Ok(scope.out)
}

impl Scope<'_> {
    fn all(&mut self, nodes: &[Node], dot: &Value) -> Result<(), RenderFailed> {
        let known = self.variables.len();
        for node in nodes {
            match node {
                Node::Text(text) => self.put(text)?,
                Node::Print(pipeline) => {
                    let value = self.pipeline(pipeline, dot)?;
                    match pipeline.variables.first() {
                        Some(name) => self.variables.push((name.clone(), value)),
                        None => self.put(&show(&value))?,
                    }
                }
                Node::If(head, then, otherwise) => {
                    let value = self.declared(head, dot)?;
                    self.all(if truth(&value) { then } else { otherwise }, dot)?;
                }
                Node::With(head, then, otherwise) => {
                    let value = self.declared(head, dot)?;
                    match truth(&value) {
                        true => self.all(then, &value)?,
                        false => self.all(otherwise, dot)?,
                    }
                }
                Node::Range(head, then, otherwise) => self.range(head, then, otherwise, dot)?,
            }
        }
        self.variables.truncate(known);
        Ok(())
    }

    fn put(&mut self, text: &str) -> Result<(), RenderFailed> {
        if self.out.len() + text.len() > LONGEST {
            return fail("the text becomes too long");
        }
        self.out.push_str(text);
        Ok(())
    }

    fn declared(&mut self, head: &Pipeline, dot: &Value) -> Result<Value, RenderFailed> {
        let value = self.pipeline(head, dot)?;
        if let Some(name) = head.variables.first() {
            self.variables.push((name.clone(), value.clone()));
        }
        Ok(value)
    }

    fn range(
        &mut self,
        head: &Pipeline,
        then: &[Node],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<(), RenderFailed> {
        let items: Vec<(Value, Value)> = match self.pipeline(head, dot)? {
            Value::Array(list) => {
                list.into_iter().enumerate().map(|(at, item)| (Value::from(at), item)).collect()
            }
            Value::Object(map) => map.into_iter().map(|(key, item)| (Value::from(key), item)).collect(),
            Value::Null => Vec::new(),
            _ => return fail("`range` takes a list or a map"),
        };
        if items.is_empty() {
            return self.all(otherwise, dot);
        }
        for (key, item) in items {
            self.turns += 1;
            if self.turns > TURNS {
                return fail("its loops take too many turns");
            }
            let known = self.variables.len();
            match &head.variables[..] {
                [value] => self.variables.push((value.clone(), item.clone())),
                [name, value] => {
                    self.variables.push((name.clone(), key));
                    self.variables.push((value.clone(), item.clone()));
                }
                _ => {}
            }
            self.all(then, &item)?;
            self.variables.truncate(known);
        }
        Ok(())
    }

    fn pipeline(&self, pipeline: &Pipeline, dot: &Value) -> Result<Value, RenderFailed> {
        let mut handed = None;
        for command in &pipeline.commands {
            handed = Some(self.command(command, handed, dot)?);
        }
        Ok(handed.unwrap_or(Value::Null))
    }

    fn command(
        &self,
        command: &[Operand],
        handed: Option<Value>,
        dot: &Value,
    ) -> Result<Value, RenderFailed> {
        let Some((first, rest)) = command.split_first() else { return Ok(Value::Null) };
        if let Operand::Function(name) = first {
            let mut arguments =
                rest.iter().map(|operand| self.operand(operand, dot)).collect::<Result<Vec<_>, _>>()?;
            arguments.extend(handed);
            return call(name, &arguments);
        }
        if !rest.is_empty() || handed.is_some() {
            return fail("only a function takes arguments");
        }
        self.operand(first, dot)
    }

    fn operand(&self, operand: &Operand, dot: &Value) -> Result<Value, RenderFailed> {
        match operand {
            Operand::Field(path) => walk(dot, path),
            Operand::Variable(name, path) if name.is_empty() => walk(self.root, path),
            Operand::Variable(name, path) => {
                match self.variables.iter().rev().find(|(known, _)| known == name) {
                    Some((_, value)) => walk(value, path),
                    None => fail(format!("there is no variable `${name}`")),
                }
            }
            Operand::Literal(value) => Ok(value.clone()),
            Operand::Function(name) => call(name, &[]),
            Operand::Group(pipeline, path) => walk(&self.pipeline(pipeline, dot)?, path),
        }
    }
}

fn walk(value: &Value, path: &[String]) -> Result<Value, RenderFailed> {
    let mut current = value;
    for name in path {
        current = match current {
            Value::Object(map) => match map.get(name) {
                Some(value) => value,
                // A map whose keys are data has what it has; one of fields is wrong.
                None => return fail(format!("there is no field `{name}`")),
            },
            Value::Null => return Ok(Value::Null),
            other => return fail(format!("there is no field `{name}` in {}", kind(other))),
        };
    }
    Ok(current.clone())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(on) => *on,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// As Go's `%v`.
fn show(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::Bool(on) => on.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(show).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let mut entries: Vec<String> =
                map.iter().map(|(key, value)| format!("{key}:{}", show(value))).collect();
            entries.sort();
            format!("map[{}]", entries.join(" "))
        }
    }
}

/// JSON as Go writes it: what could end a script in a page is escaped.
fn go_json(value: &Value) -> String {
    let text = value.to_string();
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            other => out.push(other),
        }
    }
    out
}

fn call(name: &str, arguments: &[Value]) -> Result<Value, RenderFailed> {
    let text = |at: usize| match arguments.get(at) {
        Some(value) => Ok(show(value)),
        None => fail(format!("`{name}` lacks an argument")),
    };
    Ok(match (name, arguments) {
        ("json", [value]) => Value::from(go_json(value)),
        ("upper", _) => Value::from(text(0)?.to_uppercase()),
        ("lower", _) => Value::from(text(0)?.to_lowercase()),
        ("title", _) => {
            let text = text(0)?;
            let mut characters = text.chars();
            let first: String = characters.next().into_iter().flat_map(char::to_uppercase).collect();
            Value::from(first + characters.as_str())
        }
        ("join", [Value::Array(list), Value::String(between)]) => {
            Value::from(list.iter().map(show).collect::<Vec<_>>().join(between))
        }
        ("join", _) => return fail("`join` takes a list and a text"),
        ("split", [value, Value::String(at)]) if !at.is_empty() => {
            Value::from(show(value).split(at.as_str()).map(str::to_owned).collect::<Vec<_>>())
        }
        ("truncate", [value, Value::Number(most)]) => {
            let most = usize::try_from(most.as_u64().unwrap_or(0)).unwrap_or(usize::MAX);
            Value::from(show(value).chars().take(most).collect::<String>())
        }
        ("len", [Value::Array(list)]) => Value::from(list.len()),
        ("len", [Value::Object(map)]) => Value::from(map.len()),
        ("len", [Value::String(text)]) => Value::from(text.len()),
        ("index", [value, keys @ ..]) => index(value, keys)?,
        ("printf", [Value::String(format), values @ ..]) => Value::from(printf(format, values)?),
        ("print", values) => Value::from(values.iter().map(show).collect::<String>()),
        ("println", values) => Value::from(values.iter().map(show).collect::<Vec<_>>().join(" ") + "\n"),
        ("pad", [value, Value::Number(before), Value::Number(after)]) => {
            let spaces =
                |count: &serde_json::Number| " ".repeat(count.as_u64().unwrap_or(0).min(1024) as usize);
            Value::from(spaces(before) + &show(value) + &spaces(after))
        }
        ("eq", [first, others @ ..]) if !others.is_empty() => {
            Value::from(others.iter().any(|other| same(first, other)))
        }
        ("ne", [first, second]) => Value::from(!same(first, second)),
        ("lt", [first, second]) => Value::from(order(first, second)? == Ordering::Less),
        ("le", [first, second]) => Value::from(order(first, second)? != Ordering::Greater),
        ("gt", [first, second]) => Value::from(order(first, second)? == Ordering::Greater),
        ("ge", [first, second]) => Value::from(order(first, second)? != Ordering::Less),
        ("and", [.., last]) => arguments.iter().find(|value| !truth(value)).unwrap_or(last).clone(),
        ("or", [.., last]) => arguments.iter().find(|value| truth(value)).unwrap_or(last).clone(),
        ("not", [value]) => Value::from(!truth(value)),
        ("html" | "js" | "table", [value]) => value.clone(),
        _ => return fail(format!("`{name}` cannot take these arguments")),
    })
}

fn same(first: &Value, second: &Value) -> bool {
    match (first.as_f64(), second.as_f64()) {
        (Some(first), Some(second)) => first == second,
        _ => first == second,
    }
}

fn order(first: &Value, second: &Value) -> Result<Ordering, RenderFailed> {
    match (first, second) {
        (Value::String(first), Value::String(second)) => Ok(first.cmp(second)),
        _ => match first.as_f64().zip(second.as_f64()).and_then(|(first, second)| first.partial_cmp(&second))
        {
            Some(order) => Ok(order),
            None => fail("only two numbers or two texts have an order"),
        },
    }
}

fn index(value: &Value, keys: &[Value]) -> Result<Value, RenderFailed> {
    let mut current = value;
    for key in keys {
        current = match (current, key) {
            (Value::Array(list), Value::Number(at)) => {
                let at = at.as_u64().and_then(|at| usize::try_from(at).ok()).unwrap_or(usize::MAX);
                match list.get(at) {
                    Some(value) => value,
                    None => return fail(format!("{key} is beyond the {} elements", list.len())),
                }
            }
            (Value::Object(map), Value::String(name)) => match map.get(name) {
                Some(value) => value,
                // As Go has it: the zero value, which for docker's maps of text is an empty one.
                None => return Ok(Value::from("")),
            },
            (Value::Null, _) => return Ok(Value::Null),
            (other, _) => {
                return fail(format!("`index` cannot look into {} with {}", kind(other), kind(key)));
            }
        };
    }
    Ok(current.clone())
}

/// `%s %v %d %q %x %t %%`, with a width.
fn printf(format: &str, values: &[Value]) -> Result<String, RenderFailed> {
    let mut out = String::new();
    let mut values = values.iter();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let flags =
            rest.find(|c: char| !matches!(c, '-' | '0'..='9' | '.' | '+' | '#')).unwrap_or(rest.len());
        let (spec, after) = rest.split_at(flags);
        let mut characters = after.chars();
        let Some(verb) = characters.next() else { return fail("`%` stands at the end of a format") };
        rest = characters.as_str();
        if verb == '%' {
            out.push('%');
            continue;
        }
        let Some(value) = values.next() else { return fail(format!("`printf` lacks a value for `%{verb}`")) };
        let text = match verb {
            's' | 'v' | 'd' | 't' => show(value),
            'q' => Value::from(show(value)).to_string(),
            'x' => match value.as_u64() {
                Some(number) => format!("{number:x}"),
                None => show(value).bytes().map(|byte| format!("{byte:02x}")).collect(),
            },
            other => return fail(format!("`printf` has no `%{}`", other.escape_debug())),
        };
        let left = spec.starts_with('-');
        let width = spec.trim_start_matches('-').split('.').next().unwrap_or_default();
        let width: usize = if width.is_empty() { 0 } else { width.parse().unwrap_or(usize::MAX) };
        if width > 1024 {
            return fail("a width of more than 1024");
        }
        let padding = " ".repeat(width.saturating_sub(text.chars().count()));
        if left {
            out.push_str(&text);
            out.push_str(&padding);
        } else {
            out.push_str(&padding);
            out.push_str(&text);
        }
    }
    out.push_str(rest);
    Ok(out)
}
