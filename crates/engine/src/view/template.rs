//! Templates of output, in the part of Go's language that people use with docker: `{{.Names}}`, `{{json .}}`, `{{range .Mounts}}…{{end}}`.
//!
//! [`Template::parse`] reads one, [`Template::render`] fills it with a JSON value. Everything is bounded: depth, output, and there are no
//! loops but those over a value.

use report::{Explain, Hint, Kind};
use serde_json::Value;

mod eval;
mod parse;

pub use parse::BadTemplate;

/// A template.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    nodes: Vec<Node>,
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    Text(String),
    /// Prints a value; one that declares a variable prints nothing.
    Print(Pipeline),
    /// `{{if}}`, with its `{{else}}`.
    If(Pipeline, Vec<Node>, Vec<Node>),
    /// `{{with}}`
    With(Pipeline, Vec<Node>, Vec<Node>),
    /// `{{range}}`
    Range(Pipeline, Vec<Node>, Vec<Node>),
}

/// Commands whose values are handed on, and the variables that get the last one.
#[derive(Debug, Clone, PartialEq, Default)]
struct Pipeline {
    variables: Vec<String>,
    commands: Vec<Vec<Operand>>,
}

#[derive(Debug, Clone, PartialEq)]
enum Operand {
    /// `.`, `.A.B`
    Field(Vec<String>),
    /// `$`, `$x`, `$x.A`
    Variable(String, Vec<String>),
    Literal(Value),
    Function(String),
    /// In parentheses, with fields behind.
    Group(Box<Pipeline>, Vec<String>),
}

/// A template could not be filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the format: {0}")]
pub struct RenderFailed(String);

impl Explain for RenderFailed {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
    fn hint(&self) -> Option<Hint> {
        Some(Hint::new("`--format '{{json .}}'` shows which fields there are"))
    }
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`BadTemplate`], with what is wrong.
    pub fn parse(text: &str) -> Result<Self, BadTemplate> {
        parse::parse(text).map(|nodes| Self { nodes })
    }

    /// The text for `value`.
    ///
    /// # Errors
    /// [`RenderFailed`], for a field that is not there or a function that cannot take its argument.
    pub fn render(&self, value: &Value) -> Result<String, RenderFailed> {
        eval::render(&self.nodes, value)
    }

    /// The heading of a table of this template: the names of its fields, as `headings` has them.
    pub fn heading(&self, headings: &[(&str, &str)]) -> String {
        let mut text = String::new();
        for node in &self.nodes {
            match node {
                Node::Text(plain) => text.push_str(plain),
                Node::Print(pipeline) => {
                    let field = pipeline.commands.iter().flatten().find_map(|operand| match operand {
                        Operand::Field(path) => path.last(),
                        _ => None,
                    });
                    let Some(field) = field else { continue };
                    let known = headings.iter().find(|(name, _)| name == field).map(|(_, heading)| *heading);
                    match known {
                        Some(heading) => text.push_str(heading),
                        None => text.push_str(&field.to_uppercase()),
                    }
                }
                _ => {}
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fill(template: &str) -> String {
        let value = json!({
            "Names": "web", "ID": "0123", "Ports": [80, 443], "Labels": {"a": "b", "c": "d"}, "Empty": [],
            "State": {"Running": true, "Pid": 7}, "Text": "a \"q\" <&>", "Null": null
        });
        match Template::parse(template) {
            Ok(template) => template.render(&value).unwrap_or_else(|error| format!("!! {error}")),
            Err(error) => format!("?? {error}"),
        }
    }

    #[test]
    fn templates_are_go_s() {
        let table = [
            ("{{.Names}}-{{ .ID }}", "web-0123"),
            ("{{.State.Pid}}", "7"),
            ("{{json .Ports}} {{json .Text}}", r#"[80,443] "a \"q\" \u003c\u0026\u003e""#),
            ("{{upper .Names}} {{.Names | upper | lower}} {{title .Names}}", "WEB web Web"),
            ("{{join .Ports \", \"}}", "80, 443"),
            ("{{len .Ports}} {{len .Names}}", "2 3"),
            ("{{range .Ports}}[{{.}}]{{end}}", "[80][443]"),
            ("{{range .Empty}}x{{else}}none{{end}}", "none"),
            ("{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}", "a=b;c=d;"),
            ("{{range $i, $p := .Ports}}{{if $i}},{{end}}{{$p}}{{end}}", "80,443"),
            ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
            ("{{if eq .Names \"db\"}}1{{else if eq .Names \"web\"}}2{{else}}3{{end}}", "2"),
            ("{{with .State}}{{.Pid}}{{end}}", "7"),
            ("{{index .Ports 1}} {{index .Labels \"c\"}}", "443 d"),
            (
                "{{printf \"%s=%d|%5s|%-5s|%q|%v|%%\" .ID .State.Pid .ID .ID .ID .Ports}}",
                "0123=7| 0123|0123 |\"0123\"|[80 443]|%",
            ),
            ("a {{- .ID -}} b", "a0123b"),
            ("{{/* nothing */}}x", "x"),
            ("{{\"lit\"}} {{`raw\"`}} {{5}} {{true}}", "lit raw\" 5 true"),
            ("{{$x := .ID}}{{$x}}{{$.Names}}", "0123web"),
            ("{{(index .Ports 0)}} {{not .Null}} {{and .ID .Names}} {{or .Null .ID}}", "80 true web 0123"),
            ("{{truncate .ID 2}} {{split .ID \"1\"}} {{.Null}}", "01 [0 23] <no value>"),
            ("{{lt 1 2}} {{ge 2 2}} {{ne .ID .Names}}", "true true true"),
            ("{{println .ID}}", "0123\n"),
            ("{{.Labels}}", "map[a:b c:d]"),
            ("\\t{{.ID}}", "\\t0123"),
        ];
        for (template, expected) in table {
            assert_eq!(fill(template), expected, "{template}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let table = [
            ("{{.Nothing}}", "!! the format: there is no field `Nothing`"),
            ("{{.Names.X}}", "!! the format: there is no field `X` in a text"),
            ("{{", "?? the format: `{{` is not closed"),
            ("{{.ID", "?? the format: `{{` is not closed"),
            ("{{if .ID}}x", "?? the format: `{{if}}`, `{{range}}` or `{{with}}` has no `{{end}}`"),
            ("{{end}}", "?? the format: `{{end}}` belongs to nothing"),
            ("{{nope .ID}}", "?? the format: there is no function `nope`"),
            ("{{}}", "?? the format: a command is missing"),
            ("{{.ID | }}", "?? the format: a command is missing"),
            ("{{\"abc}}", "?? the format: a text is not closed"),
            ("{{$y}}", "!! the format: there is no variable `$y`"),
            ("{{index .Ports 9}}", "!! the format: 9 is beyond the 2 elements"),
            ("{{range .ID}}x{{end}}", "!! the format: `range` takes a list or a map"),
            ("{{.ID .Names}}", "!! the format: only a function takes arguments"),
            ("{{join .Names}}", "!! the format: `join` takes a list and a text"),
        ];
        for (template, expected) in table {
            assert_eq!(fill(template), expected, "{template}");
        }
    }

    #[test]
    fn hostile_templates_are_bounded() {
        assert!(fill(&"{{if .ID}}".repeat(10_000)).starts_with("??"));
        assert!(fill(&format!("{{{{{}.ID{}}}}}", "(".repeat(10_000), ")".repeat(10_000))).starts_with("??"));
        assert!(fill("{{printf \"%999999999s\" .ID}}").starts_with("!!"));
        let nested = "{{range .Ports}}".repeat(40) + "x" + &"{{end}}".repeat(40);
        assert!(fill(&nested).starts_with('?') || fill(&nested).starts_with('!'));
    }

    #[test]
    fn a_heading_has_the_fields_names() {
        let template = Template::parse("{{.ID}}\t{{.Names}}\t{{upper .Status}}").unwrap();
        assert_eq!(template.heading(&[("ID", "CONTAINER ID")]), "CONTAINER ID\tNAMES\tSTATUS");
    }
}
