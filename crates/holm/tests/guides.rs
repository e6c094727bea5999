//! The guides tell the truth: each `console` block of a page is typed into a shell, and what comes out is compared with what
//! the page shows.
//!
//! A line that begins with `# ` is typed; the lines up to the next one are its output, standard error included. `…` in a line
//! stands for anything in it. The shell runs in mount, uts and ipc namespaces of its own with an empty `/run`, so that a page
//! that fails leaves nothing behind but groups, which are removed by their names.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::fs::FlockOperation;

mod copied;

#[test]
fn the_guide_to_namespaces_is_true() {
    check(
        "namespaces.md",
        include_str!("../../../docs/guide/namespaces.md"),
        &["ip -V", "ipcmk -V", "jq -V", "pgrep -V"],
        &["ns-example"],
    );
}

#[test]
fn the_guide_to_groups_is_true() {
    check(
        "cgroups.md",
        include_str!("../../../docs/guide/cgroups.md"),
        &["jq -V", "pgrep -V", "setpriv -V"],
        &["demo", "team"],
    );
}

/// A command of a page and what it shows.
#[derive(Debug, PartialEq, Eq)]
struct Typed {
    line: usize,
    command: String,
    shows: Vec<String>,
}

fn check(page: &str, text: &str, programs: &[&str], groups: &'static [&'static str]) {
    // BusyBox has some of them as well, with fewer flags and without a version of their own.
    let missing = |program: &&&str| {
        let asked =
            Command::new("sh").args(["-c", program]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        !asked.is_ok_and(|status| status.success())
    };
    if let Some(missing) = programs.iter().find(missing) {
        return eprintln!("SKIPPED {page}: `{missing}` does not work here");
    }
    // The names of a page's groups are the same for everybody on this machine.
    let lock = std::fs::File::create(std::env::temp_dir().join("holm-guides.lock"));
    let _alone =
        lock.and_then(|file| Ok(rustix::fs::flock(&file, FlockOperation::LockExclusive).map(|()| file)?));
    let _leave = Leave(groups);
    let Some(mut shell) = Shell::start() else {
        return eprintln!("SKIPPED {page}: this caller cannot make namespaces");
    };
    for Typed { line, command, shows } in typed(text) {
        let got = shell.type_in(&command);
        let same = got.len() == shows.len() && got.iter().zip(&shows).all(|(got, shown)| matches(got, shown));
        assert!(
            same,
            "{page}, line {line}\n# {command}\nthe page shows:\n{}\nit is:\n{}",
            shows.join("\n"),
            got.join("\n")
        );
    }
}

fn typed(page: &str) -> Vec<Typed> {
    let mut all: Vec<Typed> = Vec::new();
    let mut inside = false;
    for (index, line) in page.lines().enumerate() {
        match line {
            "```console" => inside = true,
            "```" => inside = false,
            _ if !inside => {}
            _ => match (line.strip_prefix("# "), all.last_mut()) {
                (Some(command), _) => {
                    all.push(Typed { line: index + 1, command: command.to_owned(), shows: Vec::new() });
                }
                (None, Some(last)) => last.shows.push(line.to_owned()),
                (None, None) => panic!("line {}: output without a command", index + 1),
            },
        }
    }
    all
}

/// Whether `got` is what the page shows, where `…` stands for anything. Blanks at the end do not count.
fn matches(got: &str, shown: &str) -> bool {
    let (got, shown) = (got.trim_end(), shown.trim_end());
    let mut parts = shown.split('…').map(|part| part.trim_end_matches(' '));
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = got.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
    for part in between {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// A shell with a directory in its path that holds the program under test.
struct Shell {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    directory: PathBuf,
}

const MARK: &str = "--- typed ---";

impl Shell {
    fn start() -> Option<Self> {
        let number = std::process::id();
        let thread = format!("{:?}", std::thread::current().id());
        let thread: String = thread.chars().filter(char::is_ascii_digit).collect();
        // Readable for the ordinary user whom a page plays.
        let directory = PathBuf::from(format!("/tmp/holm-guide-{number}-{thread}"));
        std::fs::create_dir_all(&directory).unwrap();
        copied::copy_holm(&directory.join("holm"));
        let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap_or_default());
        let script = "mount -t tmpfs none /run && exec 2>&1 && exec bash --norc --noprofile";
        let mut child = Command::new("unshare")
            .args([
                "--mount",
                "--uts",
                "--ipc",
                "--pid",
                "--fork",
                "--mount-proc",
                "--kill-child",
                "sh",
                "-c",
                script,
            ])
            .env("PATH", path)
            .env("LC_ALL", "C.UTF-8")
            .env_remove("HOLM_ROOT")
            .env_remove("HOLM_RUNROOT")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let output = BufReader::new(child.stdout.take()?);
        let mut shell = Self { child, output, directory };
        (shell.type_in("echo ready") == ["ready"]).then_some(shell)
    }

    fn type_in(&mut self, command: &str) -> Vec<String> {
        let input = self.child.stdin.as_mut().unwrap();
        if writeln!(input, "{command}\necho '{MARK}'").and_then(|()| input.flush()).is_err() {
            return vec!["the shell has ended".to_owned()];
        }
        let mut lines = Vec::new();
        let mut line = String::new();
        loop {
            line.clear();
            match self.output.read_line(&mut line) {
                Ok(length) if length > 0 => {}
                _ => return vec!["the shell has ended".to_owned()],
            }
            // Output need not end with a line break.
            if let Some(rest) = line.trim_end().strip_suffix(MARK) {
                lines.extend((!rest.is_empty()).then(|| rest.to_owned()));
                return lines;
            }
            lines.push(line.trim_end_matches('\n').to_owned());
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // With its first process the pid namespace ends, and all that a page has started in the background.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Groups that a page has made.
struct Leave(&'static [&'static str]);

impl Drop for Leave {
    fn drop(&mut self) {
        for group in self.0 {
            let _ = Command::new(env!("CARGO_BIN_EXE_holm"))
                .args(["cgroup", "delete", "-r", "--kill", group])
                .stderr(Stdio::null())
                .status();
        }
    }
}

#[test]
fn an_ellipsis_stands_for_anything_in_a_line() {
    for (got, shown) in [
        ("a b", "a b"),
        ("a b  ", "a b"),
        ("error: x in /y", "error: x in …"),
        ("a 17 c", "a … c"),
        ("a 17 1", "a … 1"),
    ] {
        assert!(matches(got, shown), "{got} {shown}");
    }
    for (got, shown) in [("a b", "a"), ("a", "a b"), ("b a", "… b"), ("x 17 d", "a … d")] {
        assert!(!matches(got, shown), "{got} {shown}");
    }
}
