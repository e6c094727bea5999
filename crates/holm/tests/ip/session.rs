//! The session of docs/guide/network-namespaces.md, walked with `ip` and with `holm ip`; and the page itself, whose
//! blocks are run as they stand.

use std::process::{Command, Stdio};

use crate::host::{self, Host, Tool};

const GUIDE: &str = include_str!("../../../../docs/guide/network-namespaces.md");

/// A host with a link to somewhere else, as a machine has one.
pub(crate) fn machine(test: &str) -> Option<Host> {
    for program in ["ping", "route", "iptables", "sh"] {
        if !host::has(program) {
            eprintln!("SKIPPED {test}: there is no {program}");
            return None;
        }
    }
    let host = Host::new(test)?;
    for line in [
        "link set lo up",
        "link add eth0 type bridge",
        "addr add 10.20.30.40/24 dev eth0",
        "link set eth0 up",
    ] {
        host.must(Tool::Iproute, line);
    }
    Some(host)
}

/// The commands of the page, in its order, with what it shows for each.
pub(crate) fn steps() -> Vec<(String, String)> {
    let mut steps: Vec<(String, String)> = Vec::new();
    let mut inside = false;
    for line in GUIDE.lines() {
        match line {
            "```console" => inside = true,
            "```" => inside = false,
            _ if inside => match line.strip_prefix("# ") {
                Some(command) => steps.push((command.to_owned(), String::new())),
                None => {
                    let shown = &mut steps.last_mut().expect("a block begins with a command").1;
                    shown.push_str(line);
                    shown.push('\n');
                }
            },
            _ => {}
        }
    }
    steps
}

/// Walks the session; each step's output without what is random, and the states that the kernel held.
fn walk(test: &str, tool: Tool) -> Option<(Vec<String>, Vec<String>)> {
    let host = machine(test)?;
    let program = match tool {
        Tool::Iproute => "ip".to_owned(),
        Tool::Holm => format!("{} ip", env!("CARGO_BIN_EXE_holm")),
    };
    let (mut outputs, mut states) = (Vec::new(), Vec::new());
    for (command, _) in steps() {
        let line = command.replace("holm ip", &program);
        let output = Command::new("sh").args(["-c", &line]).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{line}: {}", host::text(&output.stderr));
        outputs.push(format!("# {command}\n{}", without_chance(&host::text(&output.stdout))));
        let namespaces: &[&str] = if host.run(Tool::Iproute, "-n jayce link").status.success() {
            &["", "-n jayce "]
        } else {
            &[""]
        };
        // Names belong to links whose state changes by itself; the last state of each step is what counts.
        if command.contains("delete") || command.contains("iptables") {
            host::wait_for_duplicates();
            states.extend(host.state(namespaces));
        }
    }
    Some((outputs, states))
}

/// A step's output without addresses of links, times, and the state of a link that is just coming up.
fn without_chance(text: &str) -> String {
    let word = |word: &str| match word {
        _ if word.matches(':').count() == 5 && word != "00:00:00:00:00:00" && word != "ff:ff:ff:ff:ff:ff" => {
            "02:42:ac:11:00:02".to_owned()
        }
        _ if word.contains("@if") => format!(
            "{}@if3{}",
            word.split('@').next().unwrap_or_default(),
            if word.ends_with(':') { ":" } else { "" }
        ),
        _ if word.ends_with(':') && word[..word.len() - 1].parse::<u32>().is_ok() => "1:".to_owned(),
        _ if word.starts_with("time=") => "time=0.05".to_owned(),
        _ if word.contains('/') && word.matches('.').count() > 3 => "0.05/0.05/0.05/0.00".to_owned(),
        _ if word.ends_with("ms,") || word.ends_with("ms") && word.len() > 2 => "5ms".to_owned(),
        other => other.to_owned(),
    };
    let lines = text.lines().map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" "));
    let text: Vec<String> = lines.map(|line| line.trim_end().to_owned()).collect();
    text.join("\n").trim_end().to_owned() + "\n"
}

#[test]
fn the_session_goes_with_both_programs_and_leaves_the_same() {
    let test = "the_session_goes_with_both_programs_and_leaves_the_same";
    let own = |tool| std::thread::scope(|scope| scope.spawn(|| walk(test, tool)).join().unwrap());
    let (Some(theirs), Some(ours)) = (own(Tool::Iproute), own(Tool::Holm)) else { return };
    assert_eq!(theirs.0, ours.0);
    assert_eq!(theirs.1, ours.1);
}

#[test]
fn the_page_shows_what_its_commands_print() {
    let test = "the_page_shows_what_its_commands_print";
    let Some((outputs, _)) = walk(test, Tool::Holm) else { return };
    let page: Vec<String> =
        steps().iter().map(|(command, shown)| format!("# {command}\n{}", without_chance(shown))).collect();
    assert_eq!(page.len(), outputs.len());
    for (page, output) in page.iter().zip(&outputs) {
        assert_eq!(page, output);
    }
}
