//! `--format`, for lists: a template, a table of one, or JSON.

use engine::view::template::Template;
use report::BoxedExplain;
use serde_json::Value;

use super::boxed;

/// The text of `rows`. Without a format they become a table of `usual`.
pub(in crate::commands) fn rows(
    format: Option<&str>,
    rows: &[Value],
    usual: &str,
    headings: &[(&str, &str)],
) -> Result<String, BoxedExplain> {
    match format {
        Some("json") => Ok(rows.iter().map(|row| format!("{row}\n")).collect()),
        None | Some("table" | "") => table(usual, rows, headings),
        Some(text) => match text.strip_prefix("table").filter(|rest| rest.starts_with([' ', '\t'])) {
            Some(template) => table(&escapes(template.trim_start()), rows, headings),
            None => {
                let template = Template::parse(&escapes(text)).map_err(boxed)?;
                let mut out = String::new();
                for row in rows {
                    out.push_str(&template.render(row).map_err(boxed)?);
                    out.push('\n');
                }
                Ok(out)
            }
        },
    }
}

/// `\t` and `\n`, which a shell has left as they are.
fn escapes(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

fn table(template: &str, rows: &[Value], headings: &[(&str, &str)]) -> Result<String, BoxedExplain> {
    let template = Template::parse(template).map_err(boxed)?;
    let mut lines = vec![template.heading(headings)];
    for row in rows {
        lines.push(template.render(row).map_err(boxed)?);
    }
    Ok(aligned(&lines))
}

/// A table of these fields, as `get` finds them in each of `rows`: what the same template makes, without looking at one.
pub(in crate::commands) fn columns<T>(
    fields: &[&str],
    rows: impl Iterator<Item = T>,
    headings: &[(&str, &str)],
    get: impl Fn(&T, &str) -> Option<Value>,
) -> String {
    let heading = |field: &&str| {
        headings.iter().find(|(name, _)| name == field).map_or(*field, |(_, heading)| *heading).to_uppercase()
    };
    let mut lines = vec![fields.iter().map(heading).collect::<Vec<_>>().join("\t")];
    for row in rows {
        let mut line = String::with_capacity(160);
        for (at, field) in fields.iter().enumerate() {
            if at > 0 {
                line.push('\t');
            }
            match get(&row, field) {
                Some(Value::String(text)) => line.push_str(&text),
                Some(other) => line.push_str(&other.to_string()),
                None => {}
            }
        }
        lines.push(line);
    }
    aligned(&lines)
}

/// Columns that are parted by tabs, as wide as they need to be.
fn aligned(lines: &[String]) -> String {
    let cells: Vec<Vec<&str>> = lines.iter().map(|line| line.split('\t').collect()).collect();
    let columns = cells.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in &cells {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            line.push_str(cell);
            if column + 1 < row.len() {
                let pad = widths[column] - cell.chars().count() + 3;
                line.extend(std::iter::repeat_n(' ', pad));
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
