//! Attached: pipes, terminals, keys.

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::house::{House, soon};

/// A program on a terminal that somebody sits at.
pub(crate) struct Seat {
    pub(crate) child: Child,
    pub(crate) terminal: std::fs::File,
    seen: String,
}

impl Seat {
    pub(crate) fn at(house: &House, args: &[&str]) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let size = Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).unwrap();
        let peer: OwnedFd = ioctl_tiocgptpeer(&terminal, OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        let stream = || Stdio::from(peer.try_clone().unwrap());
        let mut command = house.command(args);
        command.stdin(stream()).stdout(stream()).stderr(stream());
        let child = command.spawn().unwrap();
        drop(command);
        Self { child, terminal: terminal.into(), seen: String::new() }
    }

    pub(crate) fn types(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).unwrap();
    }

    /// Reads until `text` was written, behind what was waited for before.
    pub(crate) fn shows(&mut self, text: &str) {
        let until = Instant::now() + Duration::from_secs(20);
        let mut buffer = [0; 4096];
        while !self.seen.contains(text) {
            assert!(Instant::now() < until, "`{text}` does not come: {:?}", self.seen);
            let timeout = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
            if poll(&mut [PollFd::new(&self.terminal, PollFlags::IN)], Some(&timeout)).unwrap_or(0) == 0 {
                continue;
            }
            match self.terminal.read(&mut buffer) {
                Ok(len) => self.seen.push_str(&String::from_utf8_lossy(&buffer[..len])),
                Err(error) => panic!("`{text}` does not come, {error}: {:?}", self.seen),
            }
        }
        let end = self.seen.find(text).unwrap() + text.len();
        self.seen.drain(..end);
    }

    /// Waits until it shows what `other` types.
    fn follows(&mut self, other: &mut Self) {
        let until = Instant::now() + Duration::from_secs(20);
        while !self.seen.contains("are you there") {
            assert!(Instant::now() < until, "it is not attached: {:?}", self.seen);
            other.types("are you there\n");
            let timeout = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
            if poll(&mut [PollFd::new(&self.terminal, PollFlags::IN)], Some(&timeout)).unwrap_or(0) > 0 {
                let mut buffer = [0; 4096];
                let len = self.terminal.read(&mut buffer).unwrap();
                self.seen.push_str(&String::from_utf8_lossy(&buffer[..len]));
            }
        }
    }

    pub(crate) fn ends(mut self) -> Option<i32> {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < until, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn a_terminal_is_left_and_come_back_to() {
    let Some(house) = House::new("a_terminal_is_left_and_come_back_to") else { return };
    let mut seat = Seat::at(
        &house,
        &[
            "run",
            "-it",
            "--rm=false",
            "--rootfs",
            "/",
            "--name",
            "t",
            "--",
            "sh",
            "-c",
            "stty size; echo ready; cat",
        ],
    );
    seat.shows("30 100");
    seat.shows("ready");
    seat.types("hello\n");
    seat.shows("hello\r\nhello");
    seat.types("\x10\x11");
    assert_eq!(seat.ends(), Some(0));
    assert_eq!(house.field("t", "{{.State.Running}}"), "true");
    let mut one = Seat::at(&house, &["attach", "t"]);
    let mut two = Seat::at(&house, &["attach", "--detach-keys", "ctrl-x,q", "t"]);
    one.types("from one\n");
    one.shows("from one");
    // What is typed before it is attached belongs to nobody yet.
    two.follows(&mut one);
    two.types("from two\n");
    two.shows("from two");
    // Both see what either types.
    one.shows("from two");
    one.types("ping\n");
    two.shows("ping");
    two.types("\x18q");
    assert_eq!(two.ends(), Some(0));
    one.types("\x04");
    assert_eq!(one.ends(), Some(0));
    assert_eq!(house.field("t", "{{.State.Status}} {{.State.ExitCode}}"), "exited 0");
}

#[test]
fn a_terminal_follows_the_size_of_the_one_it_is_shown_on() {
    let Some(house) = House::new("a_terminal_follows_the_size_of_the_one_it_is_shown_on") else { return };
    let script = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done";
    let mut seat = Seat::at(
        &house,
        &["run", "-it", "--rm=false", "--rootfs", "/", "--name", "w", "--", "sh", "-c", script],
    );
    seat.shows("ready");
    let size = Winsize { ws_row: 50, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&seat.terminal, size).unwrap();
    // The program is not in the terminal's foreground group: nobody else tells it.
    let pid = rustix::process::Pid::from_raw(seat.child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::WINCH).unwrap();
    seat.shows("50 120");
    house.prints(&["rm", "-f", "w"]);
    seat.ends();
}

#[test]
fn input_goes_through_pipes_whole_and_ends() {
    let Some(house) = House::new("input_goes_through_pipes_whole_and_ends") else { return };
    let mut child = house
        .command(&[
            "run",
            "-i",
            "--rm=false",
            "--rootfs",
            "/",
            "--name",
            "p",
            "--",
            "sh",
            "-c",
            "wc -c; echo bad >&2; exit 6",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(&vec![b'x'; 3_000_000]).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "3000000");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "bad\n");
    assert_eq!(output.status.code(), Some(6));
}

#[test]
fn everything_that_is_written_reaches_who_is_attached() {
    let Some(house) = House::new("everything_that_is_written_reaches_who_is_attached") else { return };
    house.prints(&[
        "create",
        "--rootfs",
        "/",
        "--name",
        "much",
        "--",
        "sh",
        "-c",
        "head -c 5000000 /dev/zero; exit 2",
    ]);
    for _ in 0..2 {
        let output = house.holm(&["start", "-a", "much"]);
        assert_eq!((output.stdout.len(), output.status.code()), (5_000_000, Some(2)));
    }
    house.prints(&["create", "--rootfs", "/", "--name", "brief", "--", "echo", "gone"]);
    for _ in 0..20 {
        assert_eq!(house.holm(&["start", "-a", "brief"]).stdout, b"gone\n");
    }
}

#[test]
fn a_client_that_does_not_read_does_not_hold_a_container_up_for_ever() {
    let Some(house) = House::new("a_client_that_does_not_read_does_not_hold_a_container_up_for_ever") else {
        return;
    };
    house.run(
        "busy",
        &["--log-driver", "none"],
        "sleep 0.5; head -c 4000000 /dev/zero; echo > /dev/shm/done; exec sleep 100",
    );
    let mut lazy = house.command(&["attach", "--no-stdin", "busy"]).stdout(Stdio::piped()).spawn().unwrap();
    soon("the container is through", || {
        house.holm(&["exec", "busy", "test", "-e", "/dev/shm/done"]).status.success()
    });
    let _ = lazy.kill();
    let _ = lazy.wait();
}

#[test]
fn signals_of_who_is_attached_go_to_the_container() {
    let Some(house) = House::new("signals_of_who_is_attached_go_to_the_container") else { return };
    let script = "trap 'echo got; exit 8' USR1; echo ready; while :; do sleep 0.02; done";
    let mut child = house
        .command(&["run", "--rm=false", "--rootfs", "/", "--name", "s", "--", "sh", "-c", script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    soon("it is ready", || {
        house.prints(&["ps", "-aq"]).len() == 12 && house.prints(&["logs", "s"]) == "ready"
    });
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::USR1).unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), child.wait().unwrap().code()), ("ready\ngot\n", Some(8)));
}

#[test]
fn a_program_in_a_container_has_a_terminal_of_its_own() {
    let Some(house) = House::new("a_program_in_a_container_has_a_terminal_of_its_own") else { return };
    house.run("e", &[], "exec sleep 1000");
    let script = "stty size; trap 'stty size' WINCH; echo ready $PWD $A $(id -u); while read -r line; do echo got $line; done; exit 7";
    let args = ["exec", "-it", "-e", "A=b", "-w", "/tmp", "-u", "nobody", "e", "sh", "-c", script];
    let mut seat = Seat::at(&house, &args);
    seat.shows("30 100");
    seat.shows("ready /tmp b 65534");
    seat.types("one\n");
    seat.shows("got one");
    let size = Winsize { ws_row: 40, ws_col: 90, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&seat.terminal, size).unwrap();
    let pid = rustix::process::Pid::from_raw(seat.child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::WINCH).unwrap();
    // The shell waits for a line, and runs what it traps after that.
    seat.types("two\n");
    seat.shows("40 90");
    seat.types("\x04");
    assert_eq!(seat.ends(), Some(7));
    let mut left = Seat::at(
        &house,
        &["exec", "-it", "--detach-keys", "ctrl-a,x", "e", "sh", "-c", "echo on; exec sleep 4321"],
    );
    left.shows("on");
    left.types("\x01x");
    assert_eq!(left.ends(), Some(0));
    assert!(house.prints(&["top", "e", "-o", "args"]).contains("sleep 4321"), "it goes on");
}

#[test]
fn input_stays_open_for_whoever_comes_next() {
    let Some(house) = House::new("input_stays_open_for_whoever_comes_next") else { return };
    let give = |verb: &[&str], text: &[u8]| {
        let mut child = house
            .command(verb)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text).unwrap();
        child
    };
    let script = "while read -r line; do echo got $line; [ $line = end ] && exit 3; done; exit 4";
    house.run("open", &["-i"], script);
    for word in ["one", "two"] {
        let mut child = give(&["attach", "open"], format!("{word}\n").as_bytes());
        soon("it was read", || house.prints(&["logs", "open"]).ends_with(&format!("got {word}")));
        let _ = child.kill();
        let _ = child.wait();
    }
    assert_eq!(house.field("open", "{{.Config.StdinOnce}} {{.State.Running}}"), "false true");
    let output = give(&["attach", "open"], b"end\n").wait_with_output().unwrap();
    assert_eq!((output.stdout.as_slice(), output.status.code()), (&b"got end\n"[..], Some(3)));
    // One that is started by who is attached ends with what that has.
    house.prints(&["create", "-i", "--rootfs", "/", "--name", "once", "--", "sh", "-c", script]);
    let output = give(&["start", "-ai", "once"], b"one\n").wait_with_output().unwrap();
    assert_eq!((output.stdout.as_slice(), output.status.code()), (&b"got one\n"[..], Some(4)));
    house.prints(&["rm", "open", "once"]);
    house.is_empty();
}
