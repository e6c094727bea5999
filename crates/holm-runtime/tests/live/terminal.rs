//! Terminals of programs, and what is sent over sockets.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use serde_json::json;

use crate::Live;
use crate::common::Bundle;

/// The first descriptor that somebody sends to a socket, with the data beside it.
fn received(listener: &UnixListener) -> (String, OwnedFd) {
    let (stream, _) = listener.accept().expect("a connection");
    let mut name = [0; 256];
    let (len, mut fds) = sys::channel::receive(&stream, &mut name).expect("a message");
    (String::from_utf8_lossy(&name[..len]).into_owned(), fds.pop().expect("a descriptor"))
}

#[test]
fn a_detached_program_has_its_terminal_sent_to_the_console_socket() {
    let Some(live) = Live::start("exec_console", |_| {}) else { return };
    let (console, handle) = (live.bundle.dir.join("console"), live.bundle.dir.join("handle"));
    let console_listener = UnixListener::bind(&console).expect("a socket");
    let handle_listener = UnixListener::bind(&handle).expect("a socket");
    let (console, handle) = (console.display().to_string(), handle.display().to_string());
    let mut command = live.command(&[
        "exec",
        "-d",
        "-t",
        "--console-socket",
        &console,
        "--pidfd-socket",
        &handle,
        live.id(),
        "/bin/sh",
        "-c",
        "test -t 0 && test -t 1 && readlink /proc/self/fd/0; echo done >/dev/tty",
    ]);
    assert!(command.status().expect("holm-runtime").success());
    let (name, terminal) = received(&console_listener);
    assert_eq!(name, "/dev/ptmx");
    let (name, pidfd) = received(&handle_listener);
    assert_eq!(name, "pidfd");
    let target = std::fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&pidfd)))
        .expect("a link");
    assert!(target.to_string_lossy().contains("pidfd"), "{target:?}");
    let mut text = Vec::new();
    // At its end a terminal gives EIO, after all that was written.
    let _ = std::fs::File::from(terminal).read_to_end(&mut text);
    assert_eq!(String::from_utf8_lossy(&text), "/dev/pts/0\r\ndone\r\n");
}

#[test]
fn a_terminal_of_a_detached_program_needs_a_socket_and_nothing_else_does() {
    let Some(live) = Live::start("exec_no_console", |_| {}) else { return };
    let said = live.fails(255, &["exec", "-d", "-t", live.id(), "/bin/true"]);
    assert!(said.contains("needs --console-socket"), "{said}");
    let said = live.fails(255, &["exec", "--console-socket", "/nowhere", live.id(), "/bin/true"]);
    assert!(said.contains("is for a terminal"), "{said}");
    let said = live.fails(255, &["exec", "-d", "-t", "--console-socket", "/nowhere", live.id(), "/bin/true"]);
    assert!(said.contains("/nowhere"), "{said}");
}

#[test]
fn a_terminal_in_the_foreground_is_copied() {
    let Some(live) = Live::start("exec_tty", |_| {}) else { return };
    let output =
        live.command(&["exec", "-t", live.id(), "/bin/sh", "-c", "test -t 1 && echo yes; exit 5"]).output();
    let output = output.expect("holm-runtime");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(5), &b"yes\n"[..]), "{output:?}");
}

#[test]
fn line_ends_of_a_program_in_the_foreground_stay_as_it_writes_them() {
    let Some(mut bundle) = Bundle::new("run_tty") else { return };
    bundle.config["process"]["terminal"] = json!(true);
    let ran = bundle.script("test -t 0 && test -t 1 && echo yes; exit 5").run();
    assert_eq!((ran.code, ran.out.as_str()), (Some(5), "yes\n"), "{ran:?}");
}
