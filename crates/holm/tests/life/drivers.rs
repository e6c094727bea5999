//! Log drivers that are not files: the caller's own streams, and the journal.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::house::{House, soon};

#[test]
fn with_passthrough_a_container_writes_where_its_caller_does() {
    let Some(house) = House::new("with_passthrough_a_container_writes_where_its_caller_does") else { return };
    let log = house.base.join("log");
    let file = || Stdio::from(std::fs::File::options().create(true).append(true).open(&log).unwrap());
    std::fs::write(house.base.join("input"), "typed\n").unwrap();
    let script = "read line; echo got $line; echo bad >&2";
    let args = [
        "run",
        "-d",
        "--rootfs",
        "/",
        "--name",
        "p",
        "--log-driver",
        "passthrough",
        "--",
        "sh",
        "-c",
        script,
    ];
    let input = std::fs::File::open(house.base.join("input")).unwrap();
    let status = house.command(&args).stdin(input).stdout(file()).stderr(file()).status().unwrap();
    assert!(status.success());
    assert_eq!(house.prints(&["wait", "p"]), "0");
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.contains("got typed\n") && text.contains("bad\n"), "{text}");
    assert!(house.fails(&["logs", "p"], 125).contains("its driver is passthrough"));
    // Whoever starts it again is whose streams it has then.
    let again = house.command(&["start", "-a", "p"]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&again.stdout), "got\n");
    assert_eq!(String::from_utf8_lossy(&again.stderr), "bad\n");
    let refused = ["run", "-d", "-t", "--rootfs", "/", "--log-driver", "passthrough", "--", "true"];
    assert!(house.fails(&refused, 125).contains("terminal of its own"));
    house.prints(&["rm", "p"]);
    house.is_empty();
}

/// Gives this thread a /run of its own, in a mount namespace of its own.
fn own_run() {
    sys::mount::enter_private_namespace().unwrap();
    cover("/run");
}

fn cover(path: &str) {
    let memory = sys::mount::Context::new("tmpfs").unwrap().mount(0).unwrap();
    let directory = std::fs::File::open(path).unwrap();
    sys::mount::attach(std::os::fd::AsFd::as_fd(&memory), std::os::fd::AsFd::as_fd(&directory), "").unwrap();
}

/// systemd's journal, which ends with this.
struct Journald(std::process::Child);

impl Drop for Journald {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_is_in_systemd_s_journal_is_read_back() {
    const TEST: &str = "what_is_in_systemd_s_journal_is_read_back";
    let Some(house) = House::new(TEST) else { return };
    let program = "/usr/lib/systemd/systemd-journald";
    let is_there = |path: &str| Path::new(path).exists();
    if !is_there(program)
        || !is_there("/usr/bin/journalctl")
        || !is_there("/etc/systemd")
        || !is_there("/etc/machine-id")
    {
        eprintln!("SKIPPED {TEST}: needs systemd-journald and journalctl");
        return;
    }
    std::thread::scope(|scope| {
        let told = scope.spawn(|| {
            own_run();
            cover("/etc/systemd");
            let settings = "[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nForwardToSyslog=no\nForwardToWall=no\n\
                RateLimitBurst=0\nLineMax=48K\n";
            std::fs::write("/etc/systemd/journald.conf", settings).unwrap();
            std::fs::create_dir_all("/run/log/journal").unwrap();
            std::fs::create_dir_all("/run/systemd/journal").unwrap();
            let quiet = || (Stdio::null(), Stdio::null(), Stdio::null());
            let (input, output, errors) = quiet();
            let journald = Command::new(program).stdin(input).stdout(output).stderr(errors).spawn().unwrap();
            let journald = Journald(journald);
            soon("the journal listens", || is_there("/run/systemd/journal/socket"));
            let script = "echo one; echo two >&2; printf '\\377\\000=\\n'; head -c 20000 /dev/zero | tr '\\0' x; echo; printf end";
            let tag = "a=b c";
            let flags = ["--log-driver", "journald", "--log-opt", &format!("tag={tag}")];
            let id = house.run("j", &flags, script);
            house.prints(&["wait", "j"]);
            // What the journal has of it is what journalctl shows whom the guide sends there.
            let journalctl = |args: &[&str]| {
                let output = Command::new("journalctl").args(["-q", "--no-pager", "-o", "cat", "-a"]).args(args).output();
                String::from_utf8_lossy(&output.unwrap().stdout).into_owned()
            };
            soon("the journal has it", || journalctl(&["CONTAINER_NAME=j"]).contains("end"));
            let text = journalctl(&[&format!("CONTAINER_ID_FULL={id}"), &format!("CONTAINER_TAG={tag}"), "PRIORITY=3"]);
            assert_eq!(text, "two\n");
            let read = |args: &[&str]| house.holm(&[&["logs"], args, &["j"]].concat());
            let all = read(&[]);
            let expected = [&b"one\n\xff\0=\n"[..], &[b'x'; 20_000], b"\nend"].concat();
            assert_eq!(all.stdout, expected, "{}", String::from_utf8_lossy(&all.stderr));
            assert_eq!(all.stderr, b"two\n");
            assert_eq!(read(&["--tail", "1"]).stdout, b"end");
            assert_eq!(read(&["--tail", "0"]).stdout, b"");
            assert_eq!(read(&["--since", "1h", "--until", "10s"]).stdout, b"", "nothing is that old");
            let stamped = String::from_utf8_lossy(&read(&["-t", "--tail", "1"]).stdout).into_owned();
            assert!(stamped.ends_with("Z end") && stamped.starts_with("20"), "{stamped}");
            house.run("f", &["--log-driver", "journald"], "for i in 1 2 3; do echo $i; sleep 0.1; done");
            assert_eq!(house.prints(&["logs", "-f", "f"]), "1\n2\n3", "to its end");
            house.prints(&["rm", "-f", "j", "f"]);
            drop(journald);
        });
        told.join().unwrap();
    });
    house.is_empty();
}

#[test]
fn the_journal_gets_every_line_with_its_container_where_there_is_one() {
    let Some(house) = House::new("the_journal_gets_every_line_with_its_container_where_there_is_one") else {
        return;
    };
    std::thread::scope(|scope| {
        // A mount namespace of this thread's own, with a journal that is this test.
        let told = scope.spawn(|| {
            own_run();
            let args = [
                "run",
                "-d",
                "--rootfs",
                "/",
                "--name",
                "j",
                "--log-driver",
                "journald",
                "--log-opt",
                "tag=mine",
            ];
            let script = ["--", "sh", "-c", "echo one; echo two >&2; sleep 0.1"];
            let refused = house.fails(&[&args[..], &script[..]].concat(), 125);
            assert!(refused.contains("there is no journal on this host"), "{refused}");
            std::fs::create_dir_all("/run/systemd/journal").unwrap();
            let journal = UnixDatagram::bind("/run/systemd/journal/socket").unwrap();
            journal.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            let id = house.prints(&[&args[..], &script[..]].concat());
            let mut messages = Vec::new();
            for _ in 0..2 {
                let mut bytes = [0; 4096];
                let len = journal.recv(&mut bytes).unwrap();
                messages.push(String::from_utf8_lossy(&bytes[..len]).into_owned());
            }
            messages.sort();
            soon("it has ended", || house.field("j", "{{.State.Status}}") == "exited");
            house.prints(&["rm", "j"]);
            (id, messages)
        });
        let (id, messages) = told.join().unwrap();
        assert!(messages[0].contains("MESSAGE=one\nPRIORITY=6\n"), "{messages:?}");
        assert!(messages[1].contains("MESSAGE=two\nPRIORITY=3\n"), "{messages:?}");
        for field in
            [format!("CONTAINER_ID_FULL={id}\n"), "CONTAINER_NAME=j\n".into(), "CONTAINER_TAG=mine\n".into()]
        {
            assert!(messages.iter().all(|message| message.contains(&field)), "{field} {messages:?}");
        }
    });
    house.is_empty();
}
