//! The processes of a container, as its cgroup and procfs show them.

use report::BoxedExplain;

use super::home::{Home, Places};
use super::stop::living;
use crate::host::boxed;
use crate::users;

/// What can be told of a process.
pub const COLUMNS: [&str; 14] = [
    "pid", "ppid", "user", "uid", "pcpu", "etime", "stime", "time", "tty", "state", "rss", "vsz", "comm",
    "args",
];

/// A process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Process {
    /// Its number on the host.
    pub pid: u32,
    ppid: u32,
    uid: u32,
    user: String,
    tty: u64,
    state: String,
    /// Processor time in ticks.
    ticks: u64,
    /// How long it has been there, in ticks.
    age: u64,
    started_s: u64,
    rss_kib: u64,
    vsz_kib: u64,
    comm: String,
    args: String,
}

/// Clock ticks in a second, for every architecture of ours (sysconf(3), `_SC_CLK_TCK`).
const TICKS: u64 = 100;

/// Every process of a container, by number.
///
/// # Errors
/// When it does not run.
pub fn processes(places: &Places, home: &Home) -> Result<Vec<Process>, BoxedExplain> {
    let (state, container, _) = living(places, home, "list the processes of")?;
    let cgroup = container.cgroup().map_err(boxed)?;
    let mut pids = if cgroup.is_nowhere() {
        descendants(state.pid.unsigned_abs())
    } else {
        cgroup.processes_anywhere().map_err(boxed)?
    };
    pids.sort_unstable();
    pids.dedup();
    let names = users::Database { passwd: crate::host::read("/etc/passwd"), group: String::new() };
    let uptime = crate::host::read("/proc/uptime");
    let uptime: f64 = uptime.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0.0);
    let now_s = monitor::time::now_ns() / 1_000_000_000;
    Ok(pids.into_iter().filter_map(|pid| look(pid, (uptime * TICKS as f64) as u64, now_s, &names)).collect())
}

/// A process and those that it and they have started.
fn descendants(first: u32) -> Vec<u32> {
    let mut all = vec![first];
    let mut next = 0;
    while next < all.len() && all.len() < 65_536 {
        let pid = all[next];
        for entry in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(entry.path().join("children")).unwrap_or_default();
            all.extend(children.split_ascii_whitespace().filter_map(|text| text.parse::<u32>().ok()));
        }
        next += 1;
    }
    all
}

fn look(pid: u32, uptime: u64, now_s: u64, names: &users::Database) -> Option<Process> {
    let file = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).ok();
    let stat = String::from_utf8_lossy(&file("stat")?).into_owned();
    // The name is in parentheses and may have any in it.
    let (before, after) = stat.rsplit_once(')')?;
    let comm = before.split_once('(')?.1;
    let fields: Vec<&str> = after.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let status = String::from_utf8_lossy(&file("status").unwrap_or_default()).into_owned();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let uid = uid.and_then(|line| line.split_ascii_whitespace().nth(1)?.parse().ok()).unwrap_or(0);
    let cmdline = file("cmdline").unwrap_or_default();
    let words: Vec<String> = cmdline
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| printable(&String::from_utf8_lossy(word)))
        .collect();
    let comm = printable(comm);
    let age = uptime.saturating_sub(number(19));
    Some(Process {
        pid,
        ppid: number(1) as u32,
        uid,
        user: name_of(uid, names),
        tty: number(4),
        state: fields.first().map_or(String::new(), |state| (*state).to_owned()),
        ticks: number(11) + number(12),
        age,
        started_s: now_s.saturating_sub(age / TICKS),
        rss_kib: number(21) * (rustix::param::page_size() as u64 / 1024),
        vsz_kib: number(20) / 1024,
        args: if words.is_empty() { format!("[{comm}]") } else { words.join(" ") },
        comm,
    })
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn name_of(uid: u32, names: &users::Database) -> String {
    let mut lines = names.passwd.lines().map(|line| line.split(':'));
    let name = lines.find_map(|mut fields| {
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| uid.to_string())
}

impl Process {
    /// One of [`COLUMNS`] as text; empty for what is none.
    pub fn column(&self, name: &str) -> String {
        match name {
            "pid" => self.pid.to_string(),
            "ppid" => self.ppid.to_string(),
            "user" => self.user.clone(),
            "uid" => self.uid.to_string(),
            "pcpu" => match self.age {
                0 => "0.0".to_owned(),
                age => format!("{:.1}", 100.0 * self.ticks as f64 / age as f64),
            },
            "etime" => clock(self.age / TICKS),
            "stime" => {
                let text = monitor::time::rfc3339(self.started_s * 1_000_000_000);
                text[11..16].to_owned()
            }
            "time" => clock(self.ticks / TICKS),
            "tty" => match (self.tty >> 8 & 0xfff, self.tty & 0xff) {
                (0, 0) => "?".to_owned(),
                (136..=143, minor) => format!("pts/{minor}"),
                (4, minor) => format!("tty{minor}"),
                _ => "?".to_owned(),
            },
            "state" => self.state.clone(),
            "rss" => self.rss_kib.to_string(),
            "vsz" => self.vsz_kib.to_string(),
            "comm" => self.comm.clone(),
            "args" => self.args.clone(),
            _ => String::new(),
        }
    }
}

fn clock(seconds: u64) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
