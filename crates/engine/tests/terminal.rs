//! The loop beside a container, with ordinary processes in the container's place: a pseudoterminal for
//! the person, and another for the program.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use engine::flags::{detach_keys::DetachKeys, parse_flag};
use engine::request::Streams;
use engine::terminal::{Channel, Session, attend};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use sys::signal::Signals;

/// Both ends of a new terminal: the one that shows it and the one programs use.
fn terminal() -> (OwnedFd, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let outer = openpt(flags).unwrap();
    grantpt(&outer).unwrap();
    unlockpt(&outer).unwrap();
    let inner = ioctl_tiocgptpeer(&outer, flags).unwrap();
    (outer, inner)
}

fn sh(script: &str, stdio: &OwnedFd) -> Child {
    let copy = || Stdio::from(stdio.try_clone().unwrap());
    Command::new("sh").args(["-c", script]).stdin(copy()).stdout(copy()).stderr(copy()).spawn().unwrap()
}

/// Runs `script` on a terminal of its own while `typed` is typed on the caller's, and returns what the
/// caller's terminal shows.
fn on_terminals(script: &str, typed: &str, keys: &str) -> (String, i32) {
    // A process has one terminal to put right, so one test at a time has it.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (person, caller) = terminal();
    tcsetwinsize(&person, Winsize { ws_row: 33, ws_col: 77, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let (console, program) = terminal();
    let before = tcgetattr(&caller).unwrap();
    assert!(before.local_modes.contains(LocalModes::ECHO));

    let mut child = sh(script, &program);
    drop(program);
    let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
    let signals = Signals::catch(Session::caught()).unwrap();
    let streams = Streams {
        tty: true,
        interactive: true,
        detach_keys: parse_flag::<DetachKeys>("--detach-keys", keys).unwrap(),
    };
    // The person types after the terminal is raw, or it would be echoed and translated on the way.
    let watch = caller.try_clone().unwrap();
    let typing = typed.to_owned();
    let mut person_side = File::from(person.try_clone().unwrap());
    let typist = std::thread::spawn(move || {
        while tcgetattr(&watch).unwrap().local_modes.contains(LocalModes::ECHO) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        person_side.write_all(typing.as_bytes()).unwrap();
    });
    let screen = std::thread::spawn(move || {
        let mut shown = Vec::new();
        // EIO tells that nobody has the terminal any more.
        let _ = File::from(person).read_to_end(&mut shown);
        shown
    });
    attend(Session {
        pidfd: pidfd.as_fd(),
        pid: child.id(),
        console: Some(console),
        channels: Vec::new(),
        signals: &signals,
        streams: &streams,
        terminal: (caller.try_clone().unwrap(), caller.try_clone().unwrap()),
        may_detach: false,
    })
    .unwrap();
    typist.join().unwrap();
    let after = tcgetattr(&caller).unwrap();
    assert_eq!(after.local_modes, before.local_modes, "the terminal is as it was");
    let code = child.wait().unwrap().code().unwrap();

    drop(caller);
    let shown = screen.join().unwrap();
    (String::from_utf8_lossy(&shown).replace('\r', ""), code)
}

#[test]
fn what_is_typed_reaches_the_program_and_its_output_comes_back() {
    let (shown, code) =
        on_terminals("read line; echo got $line; stty size; exit 7", "hello\r", "ctrl-p,ctrl-q");
    assert!(shown.contains("got hello\n"), "{shown}");
    assert!(shown.contains("33 77\n"), "{shown}");
    assert_eq!(code, 7);
}

#[test]
fn the_detach_keys_do_not_reach_the_program() {
    let (shown, code) = on_terminals("read line; echo got $line", "ax\x10bcd\r", "x,ctrl-p");
    assert!(shown.contains("got abcd\n"), "{shown}");
    assert_eq!(code, 0);
}

#[test]
fn all_output_is_passed_on_before_the_end() {
    let (shown, _) = on_terminals("seq 1 20000", "", "");
    assert!(shown.ends_with("19999\n20000\n"), "{}", &shown[shown.len().saturating_sub(40)..]);
    assert_eq!(shown.lines().count(), 20_000);
}

#[test]
fn pipes_carry_every_byte_and_an_end_of_input() {
    let (from_program, program_out) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let (program_in, to_program) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let (shown, caller_out) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let (caller_in, person) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let mut child = Command::new("sh")
        .args(["-c", "cat; echo end"])
        .stdin(Stdio::from(program_in))
        .stdout(Stdio::from(program_out))
        .spawn()
        .unwrap();
    let text: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
    let expected = text.clone();
    let writer = std::thread::spawn(move || File::from(person).write_all(&text).unwrap());
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        File::from(shown).read_to_end(&mut bytes).unwrap();
        bytes
    });
    let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
    let signals = Signals::catch(Session::caught()).unwrap();
    let null = || OwnedFd::from(File::open("/dev/null").unwrap());
    attend(Session {
        pidfd: pidfd.as_fd(),
        pid: child.id(),
        console: None,
        channels: vec![Channel::input(caller_in, to_program), Channel::output(from_program, caller_out)],
        signals: &signals,
        streams: &Streams { interactive: true, ..Streams::default() },
        terminal: (null(), null()),
        may_detach: false,
    })
    .unwrap();
    writer.join().unwrap();
    let bytes = reader.join().unwrap();
    assert!(bytes.ends_with(b"end\n"));
    assert!(bytes[..bytes.len() - 4] == expected[..], "{} bytes of {}", bytes.len() - 4, expected.len());
    assert!(child.wait().unwrap().success());
}
