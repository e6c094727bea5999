//! What is shown: a block of text for each scenario, and Markdown for README.md and docs/benchmarks.md.

use super::programs::{FLOOR, OURS, Program};
use super::scenario::{Scenario, Task};
use super::stats::Series;
use crate::workspace;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

/// All results so far.
pub(super) struct Sheet<'a> {
    programs: &'a [Program],
    pub(super) rows: Vec<Row<'a>>,
}

/// One scenario's results, in the order of the programs.
pub(super) struct Row<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) cells: Vec<Result<Series, String>>,
}

impl<'a> Sheet<'a> {
    pub(super) fn new(programs: &'a [Program]) -> Self {
        Self { programs, rows: Vec::new() }
    }

    /// A row with every number, for the terminal.
    pub(super) fn text(&self, row: &Row) -> String {
        let runs = row.cells.iter().flatten().map(|series| series.values.len()).max().unwrap_or(0);
        let mut text = format!("\n{}, {} ({runs} samples)\n", row.scenario.title, row.scenario.unit());
        let width = self.programs.iter().map(|program| program.name.len()).max().unwrap_or(0);
        let _ = writeln!(
            text,
            "  {:width$}  {:>9} {:>9} {:>9} {:>8} {:>9} {:>8} {:>8}",
            "", "median", "p10", "min", "cpu ms", "peak KiB", "x floor", "x holm"
        );
        for (program, cell) in self.programs.iter().zip(&row.cells) {
            let name = &program.name;
            let _ = match cell {
                Err(reason) => writeln!(text, "  {name:width$}  - {reason}"),
                Ok(series) => writeln!(
                    text,
                    "  {name:width$}  {:>9.2} {:>9.2} {:>9.2} {:>8.2} {:>9} {:>8} {:>8}",
                    series.median(),
                    series.p10(),
                    series.quantile(0.0),
                    series.cpu_ms,
                    series.peak_kib,
                    self.ratio(row, series, FLOOR),
                    self.ratio(row, series, OURS),
                ),
            };
        }
        text
    }

    /// How many times as much as the program `base`, by medians.
    fn ratio(&self, row: &Row, series: &Series, base: &str) -> String {
        match self.cell(row, base) {
            Some(base) => format!("{:.2}", series.median() / base.median()),
            None => "-".into(),
        }
    }

    fn cell<'r>(&self, row: &'r Row, name: &str) -> Option<&'r Series> {
        let index = self.programs.iter().position(|program| program.name == name)?;
        row.cells.get(index)?.as_ref().ok()
    }

    /// The table of medians with tenth percentiles, peak memory and, where our runtime took part, ratios.
    fn markdown(&self) -> String {
        let names: Vec<&str> = self.programs.iter().map(|program| program.name.as_str()).collect();
        let mut text =
            format!("| median (p10), ms | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
        for row in &self.rows {
            let unit = if matches!(row.scenario.task, Task::SmallestLimit) { ", KiB" } else { "" };
            let cells: Vec<String> = row.cells.iter().map(|cell| shown(row.scenario.task, cell)).collect();
            let _ = writeln!(text, "| {}{unit} | {} |", row.scenario.title, cells.join(" | "));
        }
        if let Some(row) = self.rows.iter().find(|row| row.scenario.task == Task::Launch) {
            let cells: Vec<String> = row
                .cells
                .iter()
                .map(|cell| cell.as_ref().map_or("-".into(), |series| series.peak_kib.to_string()))
                .collect();
            let _ = writeln!(text, "| peak memory, KiB | {} |", cells.join(" | "));
        }
        if names.contains(&OURS) {
            text.push_str(&self.ratios());
        }
        text
    }

    fn ratios(&self) -> String {
        let others: Vec<&Program> = self.programs.iter().filter(|program| program.name != OURS).collect();
        let heads: Vec<String> = others
            .iter()
            .map(|program| match program.name.as_str() {
                FLOOR => format!("{OURS} / {FLOOR}"),
                peer => format!("{peer} / {OURS}"),
            })
            .collect();
        let mut text =
            format!("\n| ratio of medians | {} |\n|---|{}\n", heads.join(" | "), "---|".repeat(heads.len()));
        for row in self.rows.iter().filter(|row| self.cell(row, OURS).is_some()) {
            let ours = self.cell(row, OURS).map_or(f64::NAN, Series::median);
            let cells = others.iter().map(|program| match self.cell(row, &program.name) {
                None => "-".to_owned(),
                Some(series) if program.name == FLOOR => format!("{:.2}", ours / series.median()),
                Some(series) => format!("{:.2}", series.median() / ours),
            });
            let _ = writeln!(text, "| {} | {} |", row.scenario.title, cells.collect::<Vec<_>>().join(" | "));
        }
        text
    }

    fn provenance(&self) -> String {
        let versions: Vec<String> =
            self.programs.iter().map(|program| format!("{} ({})", program.name, program.version)).collect();
        provenance(&versions)
    }
}

/// When, where and with what the numbers were made.
pub(super) fn provenance(versions: &[String]) -> String {
    let uname = rustix::system::uname();
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("")
        .trim_start_matches([' ', '\t', ':']);
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "{}, Linux {}, {count} processors ({model}); {}.\n",
        today(),
        uname.release().to_string_lossy(),
        versions.join(", ")
    )
}

fn shown(task: Task, cell: &Result<Series, String>) -> String {
    match (task, cell) {
        (_, Err(_)) => "-".into(),
        (Task::SmallestLimit, Ok(series)) => format!("{:.0}", series.median()),
        (Task::InARow(_), Ok(series)) => format!("{:.0} ({:.0})", series.median(), series.p10()),
        (Task::Launch | Task::Life(_), Ok(series)) => format!("{:.2} ({:.2})", series.median(), series.p10()),
    }
}

fn today() -> String {
    let output = Command::new("date").arg("+%F").output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

/// Puts the tables between the marks of this name in docs/benchmarks.md, and in README.md where it has them.
pub(super) fn write(sheet: &Sheet, mark: &str) -> io::Result<()> {
    write_section(&format!("{}\n{}", sheet.markdown(), sheet.provenance()), mark)
}

/// Puts a text there.
pub(super) fn write_section(section: &str, mark: &str) -> io::Result<()> {
    let page = workspace::root().join("docs/benchmarks.md");
    if !page.exists() {
        fs::create_dir_all(workspace::root().join("docs"))?;
        fs::write(
            &page,
            format!(
                "# Benchmarks\n\n`cargo xtask bench launch --write` fills this page.\n\n<!-- {mark} -->\n<!-- /{mark} -->\n"
            ),
        )?;
    }
    update(&page, section, mark)?;
    let readme = workspace::root().join("README.md");
    let has_marks = fs::read_to_string(&readme)?.contains(&format!("<!-- {mark} -->"));
    if has_marks { update(&readme, section, mark) } else { Ok(()) }
}

fn update(file: &Path, section: &str, mark: &str) -> io::Result<()> {
    let text =
        fs::read_to_string(file).map_err(|error| io::Error::other(format!("{}: {error}", file.display())))?;
    let updated = between_marks(&text, section, mark)
        .ok_or_else(|| io::Error::other(format!("{}: no section `<!-- {mark} -->`", file.display())))?;
    fs::write(file, updated)
}

/// `text` with the part between the marks replaced.
fn between_marks(text: &str, section: &str, mark: &str) -> Option<String> {
    let (before, rest) = text.split_once(&format!("<!-- {mark} -->"))?;
    let (_, after) = rest.split_once(&format!("<!-- /{mark} -->"))?;
    Some(format!("{before}<!-- {mark} -->\n{}\n<!-- /{mark} -->{after}", section.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::super::programs::Kind;
    use super::super::scenario;
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_section_is_replaced_between_its_marks_only() {
        let text = "a\n<!-- bench:launch -->\nold\n<!-- /bench:launch -->\nb\n";
        let updated = between_marks(text, "new\n", "bench:launch").unwrap();
        assert_eq!(updated, "a\n<!-- bench:launch -->\nnew\n<!-- /bench:launch -->\nb\n");
        assert_eq!(between_marks("no marks", "new", "bench:launch"), None);
    }

    #[test]
    fn ratios_read_as_how_much_slower_the_others_are() {
        let program = |name: &str| Program {
            name: name.into(),
            path: "/".into(),
            kind: Kind::Runtime,
            version: "1".into(),
        };
        let programs = [program(FLOOR), program(OURS), program("crun")];
        let series = |value: f64| Ok(Series { values: vec![value], cpu_ms: 1.0, peak_kib: 900 });
        let mut sheet = Sheet::new(&programs);
        sheet
            .rows
            .push(Row { scenario: &scenario::ALL[0], cells: vec![series(2.0), series(2.2), series(6.6)] });
        sheet.rows.push(Row {
            scenario: &scenario::ALL[2],
            cells: vec![series(2.0), series(2.2), Err("refused".into())],
        });
        expect![[r#"
            | median (p10), ms | floor | holm-runtime | crun |
            |---|---|---|---|
            | default namespaces, cgroup v1 | 2.00 (2.00) | 2.20 (2.20) | 6.60 (6.60) |
            | default namespaces, hybrid cgroups | 2.00 (2.00) | 2.20 (2.20) | - |
            | peak memory, KiB | 900 | 900 | 900 |

            | ratio of medians | holm-runtime / floor | crun / holm-runtime |
            |---|---|---|
            | default namespaces, cgroup v1 | 1.10 | 3.00 |
            | default namespaces, hybrid cgroups | 1.10 | - |
        "#]]
        .assert_eq(&sheet.markdown());
    }
}
