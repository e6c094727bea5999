//! `holm cgroup top`: the groups live.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::ArgMatches;

use super::list::{Look, Row, look, name, start};
use super::screen::{Key, Screen};
use super::{count, seconds, show};
use crate::commands::failure::Failure;

/// What the groups are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Tree,
    Cpu,
    Memory,
    Processes,
    Io,
}

impl Sort {
    fn of_key(letter: char) -> Option<Self> {
        match letter {
            't' => Some(Self::Tree),
            'c' => Some(Self::Cpu),
            'm' => Some(Self::Memory),
            'p' => Some(Self::Processes),
            'i' => Some(Self::Io),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Tree => "tree",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Processes => "processes",
            Self::Io => "io",
        }
    }
}

pub(super) fn run(matches: &ArgMatches) -> Result<u8, Failure> {
    let delay = seconds(matches, "delay")?.unwrap_or(Duration::from_secs(1));
    let looks = count(matches, "count")?;
    let (host, top) = start(matches)?;
    let mut before = look(&host.layout, &top, None)?;
    let screen = if matches.get_flag("batch") { None } else { Screen::open() };
    let Some(screen) = screen.transpose()? else {
        // A pipe gets tables; one if it does not say how many.
        for index in 0..looks.unwrap_or(1) {
            std::thread::sleep(delay);
            let now = look(&host.layout, &top, Some(&before))?;
            let separator = if index > 0 { "\n" } else { "" };
            engine::run::print(&format!("{separator}{}\n", lines(&now, &before, &top, Sort::Cpu).join("\n")))?;
            before = now;
        }
        return Ok(0);
    };
    let mut view = View { sort: Sort::Cpu, first: 0, shown: Vec::new(), groups: 0 };
    let mut shown = 0;
    // The first look comes soon: nobody wants to wait for a picture.
    let mut next = Instant::now() + Duration::from_millis(100).min(delay);
    view.update(&before, &before, &top);
    view.draw(&screen);
    loop {
        match screen.wait(next.saturating_duration_since(Instant::now())) {
            Some(Key::End | Key::Letter('q')) => return Ok(0),
            Some(Key::Scroll(lines)) => view.scroll(lines),
            Some(Key::Letter(letter)) => {
                if let Some(sort) = Sort::of_key(letter) {
                    view.sort = sort;
                    view.first = 0;
                    next = Instant::now();
                }
            }
            None => {}
        }
        if Instant::now() >= next {
            let now = look(&host.layout, &top, Some(&before))?;
            view.update(&now, &before, &top);
            before = now;
            next = Instant::now() + delay;
            shown += 1;
            if looks.is_some_and(|looks| shown >= looks) {
                return Ok(0);
            }
        }
        view.draw(&screen);
    }
}

/// What is on the screen.
struct View {
    sort: Sort,
    first: usize,
    shown: Vec<String>,
    groups: usize,
}

impl View {
    fn update(&mut self, now: &Look, before: &Look, top: &Path) {
        self.shown = lines(now, before, top, self.sort);
        self.groups = now.rows.len();
        self.first = self.first.min(self.shown.len().saturating_sub(2));
    }

    fn scroll(&mut self, lines: i32) {
        let last = self.shown.len().saturating_sub(2);
        self.first = self.first.saturating_add_signed(lines as isize).min(last);
    }

    fn draw(&self, screen: &Screen) {
        let (rows, _) = screen.size();
        let mut picture = vec![format!(
            "holm cgroup top: {} groups, by {}    c cpu  m memory  p processes  i io  t tree  arrows  q quit",
            self.groups,
            self.sort.name()
        )];
        picture.extend(self.shown.first().cloned());
        let body = self.shown.iter().skip(1 + self.first);
        picture.extend(body.take(rows.saturating_sub(2)).cloned());
        screen.draw(&picture, 1);
    }
}

/// The heading and a line for each group.
fn lines(now: &Look, before: &Look, top: &Path, sort: Sort) -> Vec<String> {
    let wall_ns = now.at.duration_since(before.at).as_nanos() as u64;
    let mut rows: Vec<&Row> = now.rows.iter().collect();
    match sort {
        Sort::Tree => {}
        Sort::Cpu => rows.sort_by_key(|row| std::cmp::Reverse(row.cpu_ns)),
        Sort::Memory => rows.sort_by_key(|row| std::cmp::Reverse(row.usage.memory_bytes)),
        Sort::Processes => rows.sort_by_key(|row| std::cmp::Reverse(row.processes)),
        Sort::Io => rows.sort_by_key(|row| std::cmp::Reverse(row.read_bytes + row.written_bytes)),
    }
    let heading = format!(
        "{:>7} {:>8} {:>8} {:>6} {:>8} {:>9} {:>9}  GROUP",
        "CPU %", "MEMORY", "MAX", "PROCS", "READ/s", "WRITTEN/s", "THROTTLED"
    );
    let mut lines = vec![heading];
    lines.extend(rows.into_iter().map(|row| {
        let a_second = |bytes: u64| show::bytes((bytes as f64 * 1e9 / wall_ns.max(1) as f64) as u64);
        let path = match sort {
            Sort::Tree => name(&row.path, top),
            _ => format!("/{}", namespaces::text::printable(&row.path.to_string_lossy())),
        };
        format!(
            "{:>7} {:>8} {:>8} {:>6} {:>8} {:>9} {:>9}  {path}",
            show::percent(row.cpu_ns, wall_ns),
            show::or_dash(row.usage.memory_bytes, show::bytes),
            show::or_dash(row.usage.memory_max_bytes, show::bytes),
            row.processes,
            a_second(row.read_bytes),
            a_second(row.written_bytes),
            show::or_dash(row.usage.throttled_periods, |periods| periods.to_string()),
        )
    }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use cgroups::cgroup::Usage;

    fn row(path: &str, cpu_ns: u64, memory: u64) -> Row {
        let usage = Usage { memory_bytes: Some(memory), ..Usage::default() };
        Row { path: path.into(), processes: 1, usage, cpu_ns, read_bytes: 0, written_bytes: 0 }
    }

    #[test]
    fn the_busiest_group_comes_first_and_a_tree_keeps_its_order() {
        let at = Instant::now();
        let rows = vec![row("", 700_000_000, 5 << 20), row("a", 200_000_000, 3 << 20), row("a/b", 500_000_000, 4 << 20)];
        let before = Look { at, rows: Vec::new(), whole: true };
        let now = Look { at: at + Duration::from_secs(1), rows, whole: true };
        let groups = |sort| {
            let lines = lines(&now, &before, Path::new(""), sort);
            lines[1..].iter().map(|line| line.rsplit("  ").next().unwrap_or("").to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(groups(Sort::Cpu), ["/", "/a/b", "/a"]);
        assert_eq!(groups(Sort::Memory), ["/", "/a/b", "/a"]);
        assert_eq!(groups(Sort::Tree), ["/", "a", "b"]);
        let lines = lines(&now, &before, Path::new(""), Sort::Cpu);
        expect_test::expect![[r#"
              CPU %   MEMORY      MAX  PROCS   READ/s WRITTEN/s THROTTLED  GROUP
               70.0     5.0M        -      1        0         0         -  /"#]]
        .assert_eq(&lines[..2].join("\n"));
    }
}
