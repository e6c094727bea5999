//! No program is executed but the one that `netns exec` names. Every line of the other tests is run by a process that a filter of
//! system calls ends when it starts another process or executes a program.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use seccomp::{Action, Arch, Condition, Op, Profile, Rule};

use crate::host::{self, Host, Tool};
use crate::session;
use crate::{CHANGES, SHOWS, ZOO};

/// Tells the process that this test starts from the one that it is.
const AGAIN: &str = "HOLM_TEST_IP_WITHOUT_PROGRAMS";
const LAST: &str = "netns exec blue the-one-that-is-named";

#[test]
fn no_program_is_executed_but_the_one_that_exec_names() {
    let test = "no_program_is_executed_but_the_one_that_exec_names";
    if std::env::var_os(AGAIN).is_some() {
        return without_programs(test);
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", &format!("programs::{test}")])
        .env(AGAIN, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut said = Vec::new();
        errors.read_to_end(&mut said).map(|_| String::from_utf8_lossy(&said).into_owned())
    });
    // Until the monitor has told of the name; it goes on with the next lines when nobody waits any more.
    let mut shown = BufReader::new(child.stdout.take().unwrap());
    let mut line = Vec::new();
    let mut monitored = false;
    while shown.read_until(b'\n', &mut line).unwrap() > 0 {
        if line == b"add seen\n" && !monitored {
            monitored = true;
            drop(child.stdin.take());
        }
        line.clear();
    }
    let status = child.wait().unwrap();
    let said = reader.join().unwrap().unwrap();
    if let Some(skipped) = said.lines().find(|line| line.starts_with("SKIPPED")) {
        return eprintln!("{skipped}");
    }
    let ends: Vec<&str> = said.lines().filter(|line| line.starts_with("did ")).collect();
    let last = said.lines().rfind(|line| line.starts_with("does ")).unwrap_or_default();
    // SIGSYS: the filter does see a program that is executed.
    assert_eq!((last, status.signal()), (format!("does {LAST}").as_str(), Some(31)), "{status}\n{said}");
    assert!(said.contains("execve(the-one-that-is-named): no such process (ESRCH)"), "{said}");
    assert!(monitored, "the monitor tells nothing");
    let good = |list: &str| ends.iter().filter(|end| end.starts_with(&format!("did {list} 0"))).count();
    let bad: Vec<_> =
        ends.iter().filter(|end| end.starts_with("did session") && !end.contains(" 0 ")).collect();
    assert!(good("session") > 15 && bad.is_empty(), "{bad:#?}");
    let counts = (good("zoo"), good("shows"), good("changes"));
    assert!(counts.0 > 40 && counts.1 > 150 && counts.2 > 60, "{counts:?}\n{said}");
}

/// What the process does that may execute nothing.
fn without_programs(test: &str) {
    std::thread::scope(|scope| scope.spawn(|| walk_session(test)).join().unwrap());
    let Some(host) = Host::new(test) else { return };
    host.must(Tool::Holm, "netns add blue");
    std::thread::scope(|scope| {
        let refused = || {
            filter(&[rule(&["execve", "execveat"], Action::Errno(3))]);
            run("refused", LAST);
        };
        scope.spawn(refused).join().unwrap();
    });
    host.must(Tool::Holm, "netns delete blue");
    start_nothing();
    for (list, lines) in [("zoo", ZOO), ("shows", SHOWS), ("changes", CHANGES)] {
        for line in lines.lines() {
            let line = match line.strip_prefix("netns exec blue ip ") {
                Some(rest) => format!("-n blue {rest}"),
                None => line.to_owned(),
            };
            // Those that execute a program, which is what they are for.
            if !line.starts_with("netns exec ") {
                run(list, &line);
            }
        }
    }
    std::thread::spawn(|| run("monitor", "netns monitor"));
    let heard = std::thread::spawn(|| std::io::stdin().read(&mut [0]).map(drop));
    let until = Instant::now() + Duration::from_secs(30);
    while !heard.is_finished() && Instant::now() < until {
        run("monitor", "netns add seen");
        run("monitor", "netns delete seen");
        std::thread::sleep(Duration::from_millis(20));
    }
    run("exec", LAST);
}

/// The session of the guide. What is executed inside of the namespace there is `holm ip`, which is done in there by this process.
fn walk_session(test: &str) {
    let Some(_host) = session::machine(test) else { return };
    start_nothing();
    for (command, _) in session::steps() {
        let line = command.replace("holm ip netns exec jayce holm ip", "holm ip -n jayce");
        if let Some(line) = line.strip_prefix("holm ip ").filter(|line| !line.starts_with("netns exec")) {
            run("session", line);
        }
    }
}

/// Runs a line, in a thread of its own since `-n` moves one to another namespace, and tells what it ends with.
fn run(list: &str, line: &str) {
    let args: Vec<OsString> = host::words(line).into_iter().map(OsString::from).collect();
    eprintln!("does {line}");
    let status = std::thread::scope(|scope| scope.spawn(|| ip::run(&args)).join().unwrap());
    eprintln!("did {list} {status} {line}");
}

/// From now on this thread, and threads that it starts, end the process when they start another one or execute a program.
fn start_nothing() {
    const CLONE_THREAD: u64 = 0x0001_0000;
    let mut clone = rule(&["clone"], Action::KillProcess);
    clone.args = vec![Condition::new(0, Op::MaskedEq, CLONE_THREAD, 0).unwrap()];
    // The filter cannot see what clone3 is asked for; without it threads are started by clone.
    let unknown = rule(&["clone3"], Action::Errno(38));
    filter(&[rule(&["execve", "execveat", "fork", "vfork"], Action::KillProcess), clone, unknown]);
}

fn rule(names: &[&'static str], action: Action) -> Rule {
    Rule { names: names.iter().map(|name| (*name).into()).collect(), action, args: Vec::new() }
}

fn filter(rules: &[Rule]) {
    let mut profile = Profile::allow_all(Vec::new());
    profile.rules = rules.to_vec();
    let filter = seccomp::compile(&profile, Arch::native().unwrap()).unwrap();
    sys::raw::seccomp_set_filter(0, &filter.to_bytes()).unwrap();
}
