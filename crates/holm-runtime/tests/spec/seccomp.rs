//! config-linux.md, "Seccomp".

use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{Bundle, Ran};

#[test]
fn the_listener_of_a_filter_is_sent_to_its_agent_with_the_state() {
    let Some(mut bundle) = Bundle::new("the_listener_of_a_filter") else { return };
    let path = bundle.dir.join("agent");
    let listener = UnixListener::bind(&path).expect("a socket");
    for no_new_privileges in [true, false] {
        bundle.config["process"]["noNewPrivileges"] = json!(no_new_privileges);
        bundle.config["annotations"] = json!({ "org.example": "value" });
        bundle.config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": path,
            "listenerMetadata": "opaque",
            // Those that could carry the listener as well: it has to be fetched.
            "syscalls": [{
                "names": ["mkdir", "mkdirat", "sendmsg", "recvmsg", "sendto", "recvfrom"],
                "action": "SCMP_ACT_NOTIFY",
            }],
        });
        bundle.config["process"]["args"] = json!(["/bin/mkdir", "/dev/shm/new"]);
        let listener = listener.try_clone().expect("the socket");
        let agent = thread::spawn(move || agent(&listener));
        let ran = bundle.run();
        let state = agent.join().expect("the agent");
        assert_eq!(state["fds"], json!(["seccompFd"]));
        assert_eq!(state["metadata"], "opaque");
        assert_eq!(state["state"]["status"], "creating");
        assert_eq!(state["state"]["id"], bundle.id.as_str());
        assert_eq!(state["state"]["annotations"]["org.example"], "value");
        assert_eq!(state["pid"], state["state"]["pid"]);
        assert!(ran.err.contains("Function not implemented"), "{ran:?}");
    }
}

/// The state that comes with the next listener, which goes at once: what waits for an answer then fails with ENOSYS.
fn agent(socket: &UnixListener) -> Value {
    socket.set_nonblocking(true).expect("fcntl");
    let start = Instant::now();
    let mut stream = loop {
        match socket.accept() {
            Ok((stream, _)) => break stream,
            Err(error) if start.elapsed() > Duration::from_secs(60) => panic!("no connection: {error}"),
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    };
    let mut bytes = [0; 4096];
    let (len, fds) = sys::channel::receive(&stream, &mut bytes).expect("a message");
    assert_eq!(stream.read(&mut [0; 16]).expect("the end of the connection"), 0, "one state a connection");
    for fd in fds {
        let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).expect("a link");
        assert_eq!(link.to_string_lossy(), "anon_inode:seccomp notify");
    }
    serde_json::from_slice(&bytes[..len]).expect("JSON")
}

#[test]
fn the_listener_of_a_filter_comes_with_the_creation_unless_the_filter_would_hold_that_up() {
    let Some(mut bundle) = Bundle::new("the_listener_comes_with_the_creation") else { return };
    let path = bundle.dir.join("agent");
    let listener = UnixListener::bind(&path).expect("a socket");
    let succeed = |bundle: &Bundle, arguments: &[&str]| {
        // The container has the standard output and error of `create`, so that their end would be its end.
        let status = bundle.runtime(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.expect("holm-runtime").success(), "{arguments:?}");
    };
    for (calls, status) in
        [(json!(["mkdir", "mkdirat"]), "creating"), (json!(["mkdir", "accept4"]), "created")]
    {
        bundle.config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": path,
            "syscalls": [{ "names": calls, "action": "SCMP_ACT_NOTIFY" }],
        });
        bundle.script("mkdir /dev/shm/new || exec sleep 1000").write();
        let listener = listener.try_clone().expect("the socket");
        let mut agent = Some(thread::spawn(move || agent(&listener)));
        let mut told = || agent.take().map(|agent| agent.join().expect("the agent"));
        let id = bundle.id.as_str();
        succeed(&bundle, &["create", id]);
        let early = if status == "creating" { told() } else { None };
        succeed(&bundle, &["start", id]);
        let state = early.or_else(told).expect("a state");
        assert_eq!(state["state"]["status"], status);
        assert!(state["pid"].as_i64().is_some_and(|pid| pid > 0) && state["pid"] == state["state"]["pid"]);
        succeed(&bundle, &["delete", "--force", id]);
        assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new(), "left behind");
    }
}

/// Runs `mkdir` of busybox below a filter.
fn mkdir_below(bundle: &mut Bundle, seccomp: Value) -> Ran {
    bundle.config["process"]["args"] = json!(["/bin/mkdir", "/dev/shm/new"]);
    bundle.config["linux"]["seccomp"] = seccomp;
    bundle.run()
}

#[test]
fn every_action_of_a_filter_does_what_it_says() {
    const SIGSYS: i32 = 128 + 31;
    let Some(mut bundle) = Bundle::new("every_action_of_a_filter") else { return };
    let calls = json!(["mkdir", "mkdirat"]);
    for (action, errno, code, told) in [
        ("SCMP_ACT_ALLOW", None, 0, ""),
        ("SCMP_ACT_LOG", None, 0, ""),
        ("SCMP_ACT_ERRNO", None, 1, "Operation not permitted"),
        ("SCMP_ACT_ERRNO", Some(28), 1, "No space left on device"),
        // Without a tracer.
        ("SCMP_ACT_TRACE", None, 1, "Function not implemented"),
        ("SCMP_ACT_TRAP", None, SIGSYS, ""),
        ("SCMP_ACT_KILL", None, SIGSYS, ""),
        ("SCMP_ACT_KILL_THREAD", None, SIGSYS, ""),
        ("SCMP_ACT_KILL_PROCESS", None, SIGSYS, ""),
    ] {
        let mut rule = json!({ "names": calls, "action": action });
        if let Some(errno) = errno {
            rule["errnoRet"] = json!(errno);
        }
        let ran = mkdir_below(&mut bundle, json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule] }));
        assert!(ran.code == Some(code) && ran.err.contains(told), "{action}: {ran:?}");
    }
    // As the default, with what a program needs allowed.
    let all = json!([
        "execve",
        "exit_group",
        "write",
        "brk",
        "arch_prctl",
        "set_tid_address",
        "set_robust_list",
        "rseq",
        "prlimit64",
        "getrandom",
        "mprotect",
        "readlinkat",
        "readlink",
        "getuid",
        "geteuid",
        "getgid",
        "getegid",
        "prctl",
        "umask",
        "uname",
        "fstat",
        "newfstatat",
        "mmap",
        "munmap",
        "rt_sigprocmask",
        "rt_sigaction",
        "exit",
        "futex",
        "ioctl",
        "close",
        "read"
    ]);
    let ran = mkdir_below(
        &mut bundle,
        json!({
            "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 30, "syscalls": [{ "names": all, "action": "SCMP_ACT_ALLOW" }],
        }),
    );
    assert!(ran.code == Some(1) && ran.err.contains("Read-only file system"), "{ran:?}");
}

#[test]
fn flags_architectures_and_arguments_of_a_filter_are_taken() {
    let Some(mut bundle) = Bundle::new("flags_architectures_and_arguments") else { return };
    let rule = |args: Value| json!([{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28, "args": args }]);
    let native = if cfg!(target_arch = "x86_64") { "SCMP_ARCH_X86_64" } else { "SCMP_ARCH_AARCH64" };
    for flags in [
        json!([]),
        json!(["SECCOMP_FILTER_FLAG_TSYNC"]),
        json!(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]),
        json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]),
    ] {
        let ran = mkdir_below(
            &mut bundle,
            json!({
                "defaultAction": "SCMP_ACT_ALLOW", "flags": flags,
                "architectures": [native, "SCMP_ARCH_X86", "SCMP_ARCH_S390X", "SCMP_ARCH_RISCV64"],
            }),
        );
        assert_eq!(ran.code, Some(0), "{flags}: {ran:?}");
    }
    if cfg!(target_arch = "x86_64") {
        // mkdir(2)'s mode is 0777.
        for (args, code) in [
            (json!([{ "index": 1, "op": "SCMP_CMP_EQ", "value": 0o777 }]), 1),
            (json!([{ "index": 1, "op": "SCMP_CMP_NE", "value": 0o777 }]), 0),
            (json!([{ "index": 1, "op": "SCMP_CMP_GE", "value": 0o777 }]), 1),
            (json!([{ "index": 1, "op": "SCMP_CMP_LT", "value": 0o777 }]), 0),
            (json!([{ "index": 1, "op": "SCMP_CMP_MASKED_EQ", "value": 0o7, "valueTwo": 0o7 }]), 1),
        ] {
            let ran = mkdir_below(
                &mut bundle,
                json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": rule(args.clone()) }),
            );
            assert_eq!(ran.code, Some(code), "{args}: {ran:?}");
        }
    }
}

#[test]
fn a_filter_that_makes_no_sense_is_an_error_with_its_place() {
    let Some(mut bundle) = Bundle::new("a_filter_that_makes_no_sense") else { return };
    let notify = json!([{ "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" }]);
    for (seccomp, place) in [
        (json!({ "defaultAction": "SCMP_ACT_NONE" }), "linux.seccomp.defaultAction"),
        (json!({ "defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1 }), "linux.seccomp.defaultErrnoRet"),
        (
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["X"] }),
            "linux.seccomp.architectures[0]",
        ),
        (json!({ "defaultAction": "SCMP_ACT_ALLOW", "flags": ["X"] }), "linux.seccomp.flags[0]"),
        (
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": [], "action": "SCMP_ACT_ERRNO" }] }),
            "linux.seccomp.syscalls[0].names",
        ),
        (
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_LOG", "errnoRet": 5 }] }),
            "linux.seccomp.syscalls[0].errnoRet",
        ),
        (json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": notify }), "linux.seccomp.listenerPath"),
        (
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": notify, "listenerPath": "relative" }),
            "linux.seccomp.listenerPath",
        ),
        (
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x" }),
            "linux.seccomp.listenerMetadata",
        ),
        (json!({ "defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/x" }), "linux.seccomp.defaultAction"),
    ] {
        let ran = mkdir_below(&mut bundle, seccomp);
        assert!(ran.code == Some(1) && ran.err.contains(place), "{place}: {ran:?}");
    }
    // Nobody listens there.
    let ran = mkdir_below(
        &mut bundle,
        json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": notify, "listenerPath": "/nowhere" }),
    );
    assert!(ran.code == Some(1) && ran.err.contains("connect(/nowhere)"), "{ran:?}");
}
