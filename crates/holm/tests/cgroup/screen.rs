//! `holm cgroup top` on a terminal: it takes the screen over, shows the groups, listens to keys, and puts all right again.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::room::*;

/// A terminal with `holm cgroup top` on it.
struct Terminal {
    child: Running,
    shows: File,
    seen: String,
}

impl Terminal {
    fn start(args: &[&str], (rows, columns): (u16, u16)) -> (Self, std::os::fd::OwnedFd) {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let outer = openpt(flags).unwrap();
        grantpt(&outer).unwrap();
        unlockpt(&outer).unwrap();
        let inner = ioctl_tiocgptpeer(&outer, flags).unwrap();
        tcsetwinsize(&outer, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let copy = || Stdio::from(inner.try_clone().unwrap());
        let child: Child = command(args).stdin(copy()).stdout(copy()).stderr(copy()).spawn().unwrap();
        (Self { child: Running(child), shows: File::from(outer), seen: String::new() }, inner)
    }

    /// Reads until `done` says so of what was shown since the last call, half a minute at most.
    #[track_caller]
    fn until(&mut self, what: &str, done: impl Fn(&str) -> bool) -> String {
        let started = Instant::now();
        let mut buffer = [0; 65536];
        while !done(&self.seen) {
            let last = self.seen.rsplit("\x1b[H").next().unwrap_or_default();
            assert!(started.elapsed() < Duration::from_secs(30), "{what}: not in {last:?}");
            let mut polled = [PollFd::new(&self.shows, PollFlags::IN)];
            let soon = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
            if poll(&mut polled, Some(&soon)).unwrap() > 0 {
                let length = self.shows.read(&mut buffer).unwrap();
                self.seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        }
        std::mem::take(&mut self.seen)
    }

    fn press(&mut self, keys: &str) {
        self.shows.write_all(keys.as_bytes()).unwrap();
    }
}

#[test]
fn top_takes_the_screen_shows_the_groups_and_gives_it_back() {
    let Some(group) = Group::new("screen", &["cpu.weight=1000"]) else { return };
    let _busy = group.run("while :; do :; done");
    wait_until("it runs", || cpu_ns(&group.name) > 10_000_000);
    let (mut terminal, inner) = Terminal::start(&["top", &group.name, "--delay", "0.2"], (12, 120));
    let name = group.name.clone();
    let first = terminal.until("a picture", |seen| seen.contains(&name));
    assert!(first.starts_with("\x1b[?1049h"), "the second screen: {first:?}");
    assert!(first.contains("by cpu"), "{first:?}");
    assert!(!tcgetattr(&inner).unwrap().local_modes.contains(LocalModes::ECHO), "keys are not echoed");
    // A busy group shows so.
    terminal.until("a busy processor", |seen| {
        let lines = seen.split("\x1b[K").filter(|line| line.contains(&name));
        lines.filter_map(|line| line.split_whitespace().next()?.parse::<f64>().ok()).any(|it| it > 1.0)
    });
    terminal.press("m");
    terminal.until("the other order", |seen| seen.contains("by memory"));
    // A smaller window gets a smaller picture.
    tcsetwinsize(&inner, Winsize { ws_row: 3, ws_col: 20, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    terminal.until("a small picture", |seen| {
        let pictures: Vec<&str> = seen.split("\x1b[H").collect();
        pictures[..pictures.len() - 1]
            .last()
            .is_some_and(|last| last.matches("\r\n").count() <= 2 && last.contains("holm cgroup top"))
    });
    terminal.press("q");
    let last = terminal.until("the end", |seen| seen.ends_with("\x1b[?1049l"));
    assert!(last.contains("\x1b[?25h"), "the cursor is back: {last:?}");
    assert!(terminal.child.0.wait().unwrap().success());
    assert!(tcgetattr(&inner).unwrap().local_modes.contains(LocalModes::ECHO), "keys are echoed again");
}

#[test]
fn top_gives_the_screen_back_when_a_signal_ends_it() {
    let Some(group) = Group::new("signalled", &[]) else { return };
    let (mut terminal, inner) = Terminal::start(&["top", &group.name], (12, 120));
    terminal.until("a picture", |seen| seen.contains("by cpu"));
    let pid = rustix::process::Pid::from_child(&terminal.child.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    terminal.until("the end", |seen| seen.ends_with("\x1b[?1049l"));
    terminal.child.0.wait().unwrap();
    assert!(tcgetattr(&inner).unwrap().local_modes.contains(LocalModes::ECHO));
}
