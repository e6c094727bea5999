//! Log drivers that are not files: the caller's own streams, and the journal.

use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
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

#[test]
fn the_journal_gets_every_line_with_its_container_where_there_is_one() {
    let Some(house) = House::new("the_journal_gets_every_line_with_its_container_where_there_is_one") else {
        return;
    };
    std::thread::scope(|scope| {
        // A mount namespace of this thread's own, with a journal that is this test.
        let told = scope.spawn(|| {
            sys::mount::enter_private_namespace().unwrap();
            let memory = sys::mount::Context::new("tmpfs").unwrap().mount(0).unwrap();
            let run = std::fs::File::open("/run").unwrap();
            sys::mount::attach(std::os::fd::AsFd::as_fd(&memory), std::os::fd::AsFd::as_fd(&run), "")
                .unwrap();
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
