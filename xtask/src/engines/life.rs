//! What is done with an engine: the life of a container as a person would see it.

use super::report::Report;
use super::start::{Said, Session};
use std::time::{Duration, Instant};

/// The container's program: it says that it is there, and ends with 7 when it is asked to.
const PROGRAM: &str = "trap 'exit 7' TERM; echo started; while :; do sleep 0.1; done";

/// With a command line like docker's.
pub(super) fn as_docker(session: &Session) -> Report {
    let mut report = Report::default();
    let image = session.image.as_str();
    let mut check = |sentence: &str, said: Said, wanted: &dyn Fn(&Said) -> bool| {
        report.check(sentence, verdict(said, wanted));
    };

    let hello = ["run", "--rm", "--network=none", image, "echo", "hello"];
    check("run prints what the program says", session.say(&hello), &prints("hello"));
    let failing = ["run", "--rm", "--network=none", image, "sh", "-c", "exit 5"];
    check("run ends as the program does", session.say(&failing), &|said| said.code == 5);
    let missing = ["run", "--rm", "--network=none", image, "/no/such/program"];
    check("a missing program is 127", session.say(&missing), &|said| said.code == 127);
    let terminal = ["run", "--rm", "-t", "--network=none", image, "tty"];
    check("run -t has a terminal", session.say_on_terminal(&terminal), &|said| said.out.contains("/dev/"));
    let limited =
        ["run", "--rm", "--network=none", "--memory=64m", "--pids-limit=50", image, "cat", MEMORY_LIMIT];
    check("run --memory limits memory", session.say(&limited), &prints("67108864"));
    let guarded = ["run", "--rm", "--network=none", "--read-only", "--cap-drop=ALL", image, "touch", "/file"];
    check("run --read-only has a read-only root", session.say(&guarded), &|said| {
        said.code == 1 && said.error.contains("Read-only")
    });

    let detached = ["run", "-d", "--name=web", "--network=none", image, "sh", "-c", PROGRAM];
    check("run -d starts a container", session.say(&detached), &succeeds);
    check("logs shows what it said", patiently(session, &["logs", "web"], "started"), &prints("started"));
    check(
        "exec runs a program beside it",
        session.say(&["exec", "web", "cat", "/proc/1/comm"]),
        &prints("sh"),
    );
    let mut exec = vec!["exec", "--user=1:1", "--workdir=/tmp", "--env=A=b", "web"];
    exec.extend(["sh", "-c", "'id -u; pwd; echo $A; exit 3'".trim_matches('\'')]);
    check("exec has the user, directory, environment and status asked for", session.say(&exec), &|said| {
        said.code == 3 && said.out.lines().eq(["1", "/tmp", "b"])
    });
    check("exec -t has a terminal", session.say_on_terminal(&["exec", "-t", "web", "tty"]), &|said| {
        said.out.contains("/dev/")
    });
    check("exec of a missing program fails", session.say(&["exec", "web", "/no/such/program"]), &|said| {
        matches!(said.code, 126 | 127)
    });
    check("stats shows memory in use", session.say(&["stats", "--no-stream", "web"]), &|said| {
        said.code == 0
            && said.out.contains("web")
            && ["KiB / ", "MiB / ", "kB / ", "MB / "].iter().any(|unit| said.out.contains(unit))
    });
    check("top lists the program", session.say(&["top", "web"]), &|said| said.out.contains("trap"));
    let update = ["update", "--memory=96m", "--memory-swap=96m", "web"];
    check("update takes a new limit", session.say(&update), &succeeds);
    check("the new limit holds", session.say(&["exec", "web", "cat", MEMORY_LIMIT]), &prints("100663296"));
    check("pause freezes it", session.say(&["pause", "web"]), &succeeds);
    check("a paused container is shown as such", status(session), &|said| {
        said.out.to_ascii_lowercase().contains("paused")
    });
    check("unpause thaws it", session.say(&["unpause", "web"]), &succeeds);
    check("exec works after that", session.say(&["exec", "web", "echo", "here"]), &prints("here"));
    check("stop asks the program to end", session.say(&["stop", "--time=5", "web"]), &succeeds);
    let code = session.say(&["inspect", "--format={{.State.ExitCode}}", "web"]);
    check("it ended by itself", code, &prints("7"));
    check("start starts it again", session.say(&["start", "web"]), &succeeds);
    check("kill ends it", session.say(&["kill", "--signal=KILL", "web"]), &succeeds);
    check("wait tells how", session.say(&["wait", "web"]), &prints("137"));
    check("restart brings it back", session.say(&["restart", "--time=1", "web"]), &succeeds);
    check("rm -f removes it while it runs", session.say(&["rm", "-f", "web"]), &succeeds);
    check("nothing is left", session.say(&["ps", "-aq"]), &prints(""));
    report
}

/// With containerd's own client, which has containers and tasks.
pub(super) fn as_containerd(session: &Session) -> Report {
    let mut report = Report::default();
    let binary = format!("--runc-binary={}", session.runtime);
    let handler = ["--runtime=io.containerd.runc.v2", &binary, "--rootfs"];
    let run = |flags: &[&str], rest: &[&str]| -> Vec<String> {
        let words = [&["run"], flags, &handler, &[session.image.as_str()], rest].concat();
        words.into_iter().map(str::to_owned).collect()
    };
    let say = |words: Vec<String>| session.say(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let mut check = |sentence: &str, said: Said, wanted: &dyn Fn(&Said) -> bool| {
        report.check(sentence, verdict(said, wanted));
    };

    let hello = say(run(&["--rm"], &["hello", "/bin/echo", "hello"]));
    check("run prints what the program says", hello, &prints("hello"));
    let failing = say(run(&["--rm"], &["failing", "/bin/sh", "-c", "exit 5"]));
    check("run ends as the program does", failing, &|said| said.code == 5);
    let detached = say(run(&["-d"], &["web", "/bin/sh", "-c", PROGRAM]));
    check("run -d starts a container", detached, &succeeds);
    check("the task runs", patiently(session, &["task", "ls"], "RUNNING"), &|said| {
        said.out.contains("RUNNING")
    });
    let exec = ["task", "exec", "--exec-id=one", "web", "/bin/cat", "/proc/1/comm"];
    check("exec runs a program beside it", session.say(&exec), &prints("sh"));
    let mut exec = vec!["task", "exec", "--exec-id=two", "--user=1:1", "--cwd=/tmp", "web"];
    exec.extend(["/bin/sh", "-c", "id -u; pwd; exit 3"]);
    check("exec has the user, directory and status asked for", session.say(&exec), &|said| {
        said.code == 3 && said.out.lines().eq(["1", "/tmp"])
    });
    check("metrics shows memory in use", session.say(&["task", "metrics", "web"]), &|said| {
        said.code == 0 && said.out.contains("memory.usage_in_bytes")
    });
    check("ps lists its processes", session.say(&["task", "ps", "web"]), &|said| {
        said.code == 0 && said.out.lines().count() > 1
    });
    check("pause freezes it", session.say(&["task", "pause", "web"]), &succeeds);
    check("a paused task is shown as such", session.say(&["task", "ls"]), &|said| {
        said.out.contains("PAUSED")
    });
    check("resume thaws it", session.say(&["task", "resume", "web"]), &succeeds);
    check("kill asks it to end", session.say(&["task", "kill", "--signal=TERM", "web"]), &succeeds);
    let stopped = patiently(session, &["task", "ls"], "STOPPED");
    check("it stops", stopped, &|said| said.out.contains("STOPPED"));
    check("its status is its own", session.say(&["task", "rm", "web"]), &|said| {
        said.error.contains("exit code 7")
    });
    check("the container is removed", session.say(&["container", "rm", "web"]), &succeeds);
    check("nothing is left", session.say(&["container", "ls", "--quiet"]), &prints(""));
    report
}

const MEMORY_LIMIT: &str = "/sys/fs/cgroup/memory/memory.limit_in_bytes";

fn succeeds(said: &Said) -> bool {
    said.code == 0
}

fn prints(wanted: &str) -> impl Fn(&Said) -> bool + '_ {
    move |said| said.code == 0 && said.out == wanted
}

fn verdict(said: Said, wanted: &dyn Fn(&Said) -> bool) -> Result<(), String> {
    if wanted(&said) {
        return Ok(());
    }
    Err(format!("it ended with {}\nand printed {:?}\nand said {:?}", said.code, said.out, said.error))
}

fn status(session: &Session) -> Said {
    session.say(&["ps", "--all", "--format={{.Status}}"])
}

/// Says the same until the answer has `wanted` in it, or five seconds are over.
fn patiently(session: &Session, arguments: &[&str], wanted: &str) -> Said {
    let began = Instant::now();
    loop {
        let said = session.say(arguments);
        if said.out.contains(wanted) || began.elapsed() > Duration::from_secs(5) {
            return said;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
