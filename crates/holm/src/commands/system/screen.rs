//! `holm top`: all containers on the whole screen.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use engine::containers::Places;
use engine::containers::stats::Sample;
use engine::run::print;
use engine::terminal::{RawMode, size_of};
use engine::view::summary;
use report::{BoxedExplain, Explain, Hint, Kind};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

use super::boxed;
use super::stats::{rows, samples};

/// There is no terminal.
#[derive(Debug, thiserror::Error)]
#[error("the view of all containers needs a terminal")]
struct NoTerminal;

impl Explain for NoTerminal {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
    fn hint(&self) -> Option<Hint> {
        Some(Hint::new("`holm stats --no-stream` prints the same once; `holm top CONTAINER` lists processes"))
    }
}

/// By what the rows are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Processor,
    Memory,
    Name,
}

const COLUMNS: [(&str, &str, usize); 10] = [
    ("Name", "NAME", 24),
    ("CPUPerc", "CPU %", 9),
    ("MemUsage", "MEMORY / LIMIT", 24),
    ("MemPerc", "MEM %", 8),
    ("PIDs", "PIDS", 6),
    ("NetIO", "NETWORK IN / OUT", 20),
    ("BlockIO", "DISK READ / WRITTEN", 20),
    ("CPUPressure", "CPU WAIT", 9),
    ("MemPressure", "MEM WAIT", 9),
    ("IOPressure", "IO WAIT", 9),
];

/// The view, until `q` is typed.
///
/// # Errors
/// When there is no terminal, or it cannot be used.
pub(super) fn run(places: &Places) -> Result<u8, BoxedExplain> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(boxed(NoTerminal));
    }
    let raw = RawMode::enter(std::io::stdin()).map_err(boxed)?;
    // The other screen, without a cursor.
    print("\x1b[?1049h\x1b[?25l")?;
    let outcome = show(places);
    let _ = print("\x1b[?25h\x1b[?1049l");
    drop(raw);
    outcome.map(|()| 0)
}

fn show(places: &Places) -> Result<(), BoxedExplain> {
    let mut order = Order::Processor;
    let mut before: BTreeMap<String, Sample> = BTreeMap::new();
    let mut pause = Duration::from_millis(200);
    loop {
        let homes: Vec<_> = summary::list(places)
            .into_iter()
            .filter(|one| one.status.is_alive())
            .map(|one| (one.home, one.definition.name))
            .collect();
        let now = samples(places, &homes);
        let mut table = rows(&homes, &before, &now, false, false);
        sort(&mut table, order);
        before = now;
        print(&page(&table, order, size_of(std::io::stdout()).unwrap_or((24, 80))))?;
        match key(pause) {
            Some(b'q' | 3 | 27) => return Ok(()),
            Some(b'c') => order = Order::Processor,
            Some(b'm') => order = Order::Memory,
            Some(b'n') => order = Order::Name,
            _ => {}
        }
        pause = Duration::from_secs(1);
    }
}

fn key(patience: Duration) -> Option<u8> {
    let timeout = Timespec { tv_sec: patience.as_secs() as _, tv_nsec: patience.subsec_nanos() as _ };
    let stdin = std::io::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    if poll(&mut fds, Some(&timeout)).is_ok_and(|ready| ready > 0) {
        let mut byte = [0];
        return match rustix::io::read(&stdin, &mut byte) {
            Ok(1) => Some(byte[0]),
            // The terminal has gone.
            _ => Some(b'q'),
        };
    }
    None
}

fn number(row: &Value, name: &str) -> f64 {
    row[name].as_str().and_then(|text| text.trim_end_matches('%').parse().ok()).unwrap_or(0.0)
}

fn sort(rows: &mut [Value], order: Order) {
    let by = |name: &'static str| {
        move |one: &Value, other: &Value| number(other, name).total_cmp(&number(one, name))
    };
    match order {
        Order::Processor => rows.sort_by(by("CPUPerc")),
        Order::Memory => rows.sort_by(by("MemPerc")),
        Order::Name => rows.sort_by(|one, other| one["Name"].as_str().cmp(&other["Name"].as_str())),
    }
}

/// The screen's content for a terminal of that many rows and columns.
fn page(rows: &[Value], order: Order, (height, width): (u16, u16)) -> String {
    let (height, width) = (usize::from(height), usize::from(width));
    let cut = |line: &str| line.chars().take(width).collect::<String>();
    let mut text = String::from("\x1b[H");
    let sorted = match order {
        Order::Processor => "processor",
        Order::Memory => "memory",
        Order::Name => "name",
    };
    let head = format!(
        "holm: {} containers, by {sorted}    c m n: order by processor, memory, name    q: end",
        rows.len()
    );
    text += &format!("{}\x1b[K\r\n", cut(&head));
    let heading: String = COLUMNS.iter().map(|(_, name, wide)| format!("{name:<wide$}")).collect();
    text += &format!("\x1b[7m{}\x1b[K\x1b[0m\r\n", cut(&heading));
    for row in rows.iter().take(height.saturating_sub(3)) {
        let line: String = COLUMNS
            .iter()
            .map(|(field, _, wide)| {
                let cell: String = row[*field].as_str().unwrap_or_default().chars().take(wide - 1).collect();
                format!("{cell:<wide$}")
            })
            .collect();
        text += &format!("{}\x1b[K\r\n", cut(&line));
    }
    text + "\x1b[J"
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_page_fits_its_terminal() {
        let row = |name: &str, cpu: &str, memory: &str| json!({"Name": name, "CPUPerc": cpu, "MemPerc": memory, "MemUsage": "1MiB / 2MiB", "PIDs": "1"});
        let mut rows = vec![row("a", "1.0%", "9.0%"), row("b", "20.0%", "1.0%"), row("c", "3.0%", "2.0%")];
        sort(&mut rows, Order::Processor);
        let names = |rows: &[Value]| {
            rows.iter().map(|row| row["Name"].as_str().unwrap().to_owned()).collect::<String>()
        };
        assert_eq!(names(&rows), "bca");
        sort(&mut rows, Order::Memory);
        assert_eq!(names(&rows), "acb");
        let text = page(&rows, Order::Memory, (4, 30));
        assert_eq!(text.matches("\r\n").count(), 3, "one row of a container fits");
        for line in text.split("\r\n") {
            let plain = line
                .replace("\x1b[H", "")
                .replace("\x1b[K", "")
                .replace("\x1b[7m", "")
                .replace("\x1b[0m", "");
            assert!(plain.replace("\x1b[J", "").chars().count() <= 30, "{plain:?}");
        }
    }
}
