//! Columns of text.

/// How a column is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Lines with columns as wide as their widest cell, two spaces apart; the last one is not padded.
pub fn table(columns: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([columns[column].0.len()]).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    let mut line = |cells: &[String]| {
        let mut out = String::new();
        for (index, cell) in cells.iter().enumerate() {
            let pad = " ".repeat(widths[index].saturating_sub(cell.chars().count()));
            match columns[index].1 {
                Align::Left => out.extend([cell.as_str(), &pad]),
                Align::Right => out.extend([&pad, cell.as_str()]),
            }
            out.push_str("  ");
        }
        text.push_str(out.trim_end());
        text.push('\n');
    };
    line(&columns.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>());
    rows.iter().for_each(|row| line(row));
    text
}

/// JSON, indented, with a line break at its end.
pub fn json(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_need_to_be() {
        let rows = [vec!["1".to_owned(), "init".to_owned()], vec!["4711".to_owned(), "x".to_owned()]];
        assert_eq!(
            table(&[("PID", Align::Right), ("COMMAND", Align::Left)], &rows),
            " PID  COMMAND\n   1  init\n4711  x\n"
        );
    }
}
