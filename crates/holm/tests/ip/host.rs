//! A host of a test's own: network and mount namespaces with a `/run` of their own, in which programs are run.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};

/// Which program takes the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Iproute,
    Holm,
}

/// The namespaces of this thread, which end with it.
pub(crate) struct Host(());

impl Host {
    /// Moves this thread to new namespaces, or says why not.
    pub(crate) fn new(test: &str) -> Option<Self> {
        const CLONE_NEWNS: u64 = 0x0002_0000;
        const CLONE_NEWNET: u64 = 0x4000_0000;
        // Busybox has an `ip` as well, with another grammar.
        let version = Command::new("ip").arg("-V").output().map(|output| text(&output.stdout));
        if !version.is_ok_and(|version| version.contains("iproute2")) {
            eprintln!("SKIPPED {test}: there is no iproute2 to compare with");
            return None;
        }
        if let Err(errno) = sys::raw::unshare(CLONE_NEWNS | CLONE_NEWNET) {
            eprintln!("SKIPPED {test}: no namespaces of its own: {errno}");
            return None;
        }
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        mount("none", "/run", "tmpfs", MountFlags::empty(), None).unwrap();
        Some(Self(()))
    }

    /// The command of a line: words with blanks between them, and backslashes before blanks that belong to a word.
    pub(crate) fn command(&self, tool: Tool, line: &str) -> Command {
        let mut command = match tool {
            Tool::Iproute => Command::new("ip"),
            Tool::Holm => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_holm"));
                command.arg("ip");
                command
            }
        };
        command.args(words(line)).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, tool: Tool, line: &str) -> Output {
        self.command(tool, line).output().unwrap()
    }

    /// As [`Host::run`], for what has to succeed.
    pub(crate) fn must(&self, tool: Tool, line: &str) -> Output {
        let output = self.run(tool, line);
        assert!(output.status.success(), "{tool:?} {line}: {}", text(&output.stderr));
        output
    }

    /// Gives iproute2 many lines at once; all have to succeed.
    pub(crate) fn batch(&self, lines: &str) {
        let mut command = self.command(Tool::Iproute, "-batch -");
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{lines}");
    }

    /// What the kernel holds here and in the namespaces that the options lead to, without what is random.
    pub(crate) fn state(&self, namespaces: &[&str]) -> Vec<String> {
        const LOOKS: [&str; 5] =
            ["-d link", "-d addr", "-d route show table all", "neigh show nud all", "neigh show proxy"];
        let mut lines = Vec::new();
        for namespace in namespaces {
            for look in LOOKS {
                let output = self.run(Tool::Iproute, &format!("{namespace}{look}"));
                lines.push(format!("{namespace}{look}"));
                let mut found: Vec<String> = text(&output.stdout).lines().filter_map(stable).collect();
                if look.starts_with("neigh") {
                    found.sort();
                }
                lines.extend(found);
            }
        }
        let mounts = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let names = mounts.lines().filter(|line| line.contains("/run/netns"));
        lines.extend(names.map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            format!("{} shared: {}", fields[4], line.contains("shared:"))
        }));
        lines
    }
}

pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let last = words.last_mut().unwrap();
        match (character, quoted) {
            ('\\', None) => last.extend(characters.next()),
            ('\'' | '"', None) => quoted = Some(character),
            (quote, Some(open)) if quote == open => quoted = None,
            (' ', None) => words.push(String::new()),
            (other, _) => last.push(other),
        }
    }
    words
}

/// A line without addresses of links that are random, seconds that count down, and states that change by themselves.
fn stable(line: &str) -> Option<String> {
    let mut line = replace_after(line, "_timer", |rest| {
        rest.find(|next: char| !matches!(next, ' ' | '.' | '0'..='9')).unwrap_or(rest.len())
    });
    if ["anycast ", "multicast ", "ff02:"].iter().any(|start| line.starts_with(start)) {
        return None;
    }
    if line.contains("fe80::") || line.starts_with("local fe80") {
        return None;
    }
    for state in ["STALE", "DELAY", "REACHABLE", "PROBE", "FAILED", "INCOMPLETE"] {
        line = line.replace(state, "S");
    }
    let words: Vec<&str> = line
        .split(' ')
        .map(|word| match word {
            _ if word.matches(':').count() == 5
                && !word.starts_with("02:00:00:")
                && !word.starts_with("02:aa:bb:") =>
            {
                "MAC"
            }
            _ if word.starts_with("8000.") || word.starts_with("8001.") || word.starts_with("0064.") => {
                "BRIDGE"
            }
            _ if word.ends_with("sec") => "SECONDS",
            other => other,
        })
        .collect();
    Some(words.join(" "))
}

/// Takes out what stands behind each `word`, as far as `len` says.
pub(crate) fn replace_after(text: &str, word: &str, len: impl Fn(&str) -> usize) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(place) = rest.find(word) {
        let (before, behind) = rest.split_at(place + word.len());
        result.push_str(before);
        rest = &behind[len(behind)..];
    }
    result + rest
}

/// The kernel looks for duplicates of new IPv6 addresses for a while, and sends packets meanwhile.
pub(crate) fn wait_for_duplicates() {
    std::thread::sleep(Duration::from_millis(2500));
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether a program is there.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').any(|directory| Path::new(directory).join(program).exists())
}
