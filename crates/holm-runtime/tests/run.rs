//! `holm-runtime run` from end to end: what the configuration says is what the program finds.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::process::Child;

use common::{Bundle, Ran};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// What a script prints, which has to succeed.
fn said(bundle: &mut Bundle, script: &str) -> String {
    let ran = bundle.script(script).run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.out
}

/// A container that runs beside the test, and ends with it.
struct Beside {
    child: Option<Child>,
    pid: Pid,
}

impl Beside {
    fn start(bundle: &Bundle) -> Self {
        let file = bundle.dir.join("pid");
        let _ = std::fs::remove_file(&file);
        let mut child = bundle.command().arg("--pid-file").arg(&file).spawn().expect("holm-runtime");
        loop {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            if let Some(pid) = text.parse().ok().and_then(Pid::from_raw) {
                return Self { child: Some(child), pid };
            }
            if child.try_wait().expect("wait").is_some() {
                panic!("{:?}", Ran::of(&child.wait_with_output().expect("output")));
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }

    fn end(mut self, signal: Signal) -> Ran {
        kill_process(self.pid, signal).expect("kill");
        let child = self.child.take().expect("ended once");
        Ran::of(&child.wait_with_output().expect("output"))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = kill_process(self.pid, Signal::KILL);
            let _ = child.wait();
        }
    }
}

#[test]
fn the_exit_status_is_the_programs() {
    let Some(mut bundle) = Bundle::new("the_exit_status_is_the_programs") else { return };
    for code in [0, 1, 7, 127, 255] {
        let ran = bundle.script(&format!("exit {code}")).run();
        assert_eq!(ran, Ran { code: Some(code), out: String::new(), err: String::new() });
    }
}

#[test]
fn a_signal_that_ends_the_program_shows_as_128_and_its_number() {
    let Some(mut bundle) = Bundle::new("a_signal_that_ends_the_program") else { return };
    bundle.script("exec sleep 1000000");
    let ran = Beside::start(&bundle).end(Signal::KILL);
    assert_eq!(ran.code, Some(137), "{ran:?}");
    assert!(bundle.left().is_empty());
    // Outside of a pid namespace the first process is nothing special, and any signal ends it.
    let namespaces = bundle.config["linux"]["namespaces"].as_array_mut().expect("a list");
    namespaces.retain(|namespace| namespace["type"] != "pid");
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::KILL, 137)] {
        let ran = Beside::start(&bundle).end(signal);
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(bundle.left().is_empty());
    }
}

#[test]
fn a_program_that_is_not_there_or_is_none_is_an_error_that_names_it() {
    let Some(mut bundle) = Bundle::new("a_program_that_is_not_there") else { return };
    std::fs::write(bundle.rootfs("bin/plain"), "").expect("a file");
    std::fs::set_permissions(bundle.rootfs("bin/plain"), PermissionsExt::from_mode(0o644)).expect("chmod");
    for (program, errno) in [("/bin/nothing", "ENOENT"), ("/bin", "EACCES"), ("/bin/plain", "EACCES")] {
        bundle.config["process"]["args"] = json!([program]);
        let ran = bundle.run();
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
        assert!(ran.err.contains(program) && ran.err.contains(errno), "{ran:?}");
    }
}

#[test]
fn a_program_without_a_slash_is_found_in_the_path() {
    let Some(mut bundle) = Bundle::new("a_program_without_a_slash") else { return };
    bundle.config["process"]["args"] = json!(["echo", "found"]);
    assert_eq!(bundle.run().out, "found\n");
}

#[test]
fn a_read_only_root_is_read_only_and_another_is_not() {
    let Some(mut bundle) = Bundle::new("a_read_only_root") else { return };
    let ran = bundle.script("touch /new").run();
    assert_eq!((ran.code, bundle.rootfs("new").exists()), (Some(1), false), "{ran:?}");
    bundle.config["root"]["readonly"] = json!(false);
    let ran = bundle.run();
    assert_eq!((ran.code, bundle.rootfs("new").exists()), (Some(0), true), "{ran:?}");
}

#[test]
fn masked_paths_are_empty_and_read_only_ones_cannot_be_written() {
    let Some(mut bundle) = Bundle::new("masked_paths_are_empty") else { return };
    let script = "for f in /proc/kcore /proc/keys /proc/timer_list; do [ -e $f ] && head -c 9 $f; done; ls -A /sys/firmware";
    assert_eq!(bundle.script(script).run().out, "");
    let ran = bundle.script("echo other > /proc/sys/kernel/hostname; hostname").run();
    assert_eq!(ran.out, "runc\n", "{ran:?}");
    assert!(ran.err.contains("Read-only file system"), "{ran:?}");
    bundle.config["linux"]["maskedPaths"] = json!(["/plain", "/bin/../lib"]);
    std::fs::create_dir(bundle.rootfs("lib")).expect("a directory");
    std::fs::write(bundle.rootfs("lib/secret"), "secret").expect("a file");
    std::fs::write(bundle.rootfs("plain"), "secret").expect("a file");
    assert_eq!(said(&mut bundle, "ls -A /lib; cat /plain"), "");
}

#[test]
fn host_name_working_directory_and_environment_are_as_configured() {
    let Some(mut bundle) = Bundle::new("host_name_working_directory") else { return };
    bundle.config["hostname"] = json!("elm");
    bundle.config["domainname"] = json!("wood");
    bundle.config["process"]["cwd"] = json!("/bin");
    bundle.config["process"]["env"] = json!(["PATH=/bin", "A=1", "EMPTY=", "TEXT=with = and spaces"]);
    assert_eq!(said(&mut bundle, "hostname; cat /proc/sys/kernel/domainname; pwd"), "elm\nwood\n/bin\n");
    // Without a shell, which has variables of its own.
    bundle.config["process"]["args"] = json!(["env"]);
    let out = bundle.run().out;
    let mut lines: Vec<_> = out.lines().collect();
    lines.sort_unstable();
    lines.retain(|line| !line.starts_with("HOME="));
    assert_eq!(lines, ["A=1", "EMPTY=", "PATH=/bin", "TEXT=with = and spaces"]);
}

/// The value of a line of /proc/self/status, its blanks as single spaces.
fn status<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).split_whitespace().collect()
}

#[test]
fn capabilities_are_exactly_the_configured_ones() {
    let Some(mut bundle) = Bundle::new("capabilities_are_exactly") else { return };
    bundle.config["process"]["args"] = json!(["/bin/cat", "/proc/self/status"]);
    bundle.config["process"]["capabilities"] = json!({
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_SYS_CHROOT"],
        "permitted": ["CAP_CHOWN", "CAP_KILL"],
        "effective": ["CAP_CHOWN"],
        "inheritable": ["CAP_KILL"],
        "ambient": ["CAP_KILL"],
    });
    bundle.config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
    let text = bundle.run().out;
    let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map(|set| status(&text, set)[0].to_owned());
    // Of another user than root a program starts with the ambient ones (capabilities(7)).
    assert_eq!(
        sets,
        ["0000000000000020", "0000000000000020", "0000000000000020", "0000000000040021", "0000000000000020"]
    );

    bundle.config["process"]["user"] = json!({ "uid": 0, "gid": 0 });
    bundle.config["process"]["capabilities"] = json!({});
    let text = bundle.run().out;
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status(&text, set), ["0000000000000000"], "{set}");
    }
}

#[test]
fn no_new_privileges_and_the_filter_are_on_only_when_configured() {
    let own = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if own.lines().any(|line| line == "Seccomp:\t2") {
        eprintln!(
            "SKIPPED no_new_privileges_and_the_filter_are_on_only_when_configured: a filter hides system calls"
        );
        return;
    }
    let Some(mut bundle) = Bundle::new("no_new_privileges") else { return };
    for wanted in [true, false] {
        bundle.config["process"]["args"] = json!(["/bin/cat", "/proc/self/status"]);
        bundle.config["process"]["noNewPrivileges"] = json!(wanted);
        let text = bundle.run().out;
        assert_eq!(status(&text, "NoNewPrivs"), [if wanted { "1" } else { "0" }]);
        assert_eq!(status(&text, "Seccomp"), ["0"]);
        let mut filtered = Bundle::new(if wanted { "filtered_nnp" } else { "filtered" }).expect("as above");
        filtered.config["process"]["noNewPrivileges"] = json!(wanted);
        filtered.config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }],
        });
        let ran = filtered.script("mkdir /dev/shm/a; cat /proc/self/status").run();
        assert_eq!(status(&ran.out, "Seccomp"), ["2"]);
        assert!(ran.err.contains("Operation not permitted"), "{ran:?}");
    }
}

#[test]
fn limits_user_groups_and_umask_are_as_configured() {
    let Some(mut bundle) = Bundle::new("limits_user_groups") else { return };
    bundle.config["process"]["rlimits"] = json!([
        { "type": "RLIMIT_NOFILE", "soft": 123, "hard": 456 },
        { "type": "RLIMIT_CORE", "soft": 0, "hard": 0 },
    ]);
    bundle.config["process"]["user"] =
        json!({ "uid": 12, "gid": 34, "additionalGids": [7, 5], "umask": 0o27 });
    let out = said(&mut bundle, "ulimit -n; ulimit -Hn; ulimit -c; cat /proc/self/status");
    assert!(out.starts_with("123\n456\n0\n"), "{out}");
    assert_eq!(status(&out, "Uid"), ["12"; 4]);
    assert_eq!(status(&out, "Gid"), ["34"; 4]);
    assert_eq!(status(&out, "Groups"), ["5", "7"]);
    assert_eq!(status(&out, "Umask"), ["0027"]);
}

#[test]
fn the_default_devices_work_and_no_other_exists() {
    let Some(mut bundle) = Bundle::new("the_default_devices_work") else { return };
    let script = "echo gone > /dev/null && head -c 3 /dev/zero | wc -c && head -c 5 /dev/urandom | wc -c && \
                  echo x > /dev/full || echo full; ls /dev";
    let out = said(&mut bundle, script);
    let lines: Vec<_> = out.lines().map(str::trim).collect();
    assert_eq!(
        lines,
        [
            "3", "5", "full", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr",
            "stdin", "stdout", "tty", "urandom", "zero"
        ]
    );
}

#[test]
fn no_descriptor_of_the_caller_reaches_the_program_unless_it_is_asked_for() {
    let Some(mut bundle) = Bundle::new("no_descriptor_of_the_caller") else { return };
    bundle.script("for n in 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ -e /proc/self/fd/$n ] && echo $n; done; true");
    let inner = bundle.command();
    for (extra, found) in [(None, ""), (Some("--preserve-fds=2"), "3\n4\n")] {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "exec 3</etc/passwd 4</etc/group 7</ 9</etc/passwd; exec \"$0\" \"$@\""]);
        command.arg(inner.get_program()).args(inner.get_args()).args(extra);
        let command = command.env_clear().env("PATH", "/usr/bin:/bin");
        let ran = Ran::of(&command.output().expect("sh"));
        assert_eq!((ran.code, ran.out.as_str()), (Some(0), found), "{ran:?}");
    }
}

#[test]
fn an_id_that_is_in_use_is_refused_and_its_container_is_not_disturbed() {
    let Some(mut bundle) = Bundle::new("an_id_that_is_in_use") else { return };
    bundle.script("exec sleep 1000000");
    let first = Beside::start(&bundle);
    let before = bundle.left();
    let second = Ran::of(&bundle.command().output().expect("holm-runtime"));
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.err.contains("exists already"), "{second:?}");
    assert_eq!(bundle.left(), before);
    let ran = first.end(Signal::KILL);
    assert_eq!(ran.code, Some(137), "{ran:?}");
    assert!(bundle.left().is_empty());
}

#[test]
fn a_wrong_configuration_is_told_in_one_line_that_names_the_place() {
    let Some(bundle) = Bundle::new("a_wrong_configuration") else { return };
    type Change = fn(&mut Value);
    let cases: &[(&str, Change)] = &[
        ("process.args", |config| config["process"]["args"] = json!([])),
        ("process.args[0]", |config| config["process"]["args"] = json!([5])),
        ("process.args[0]", |config| config["process"]["args"] = json!(["a\0b"])),
        ("process.cwd", |config| config["process"]["cwd"] = json!("relative")),
        ("process.env[0]", |config| config["process"]["env"] = json!(["no equals sign"])),
        ("process.user.uid", |config| config["process"]["user"]["uid"] = json!(-1)),
        ("process.user.uid", |config| config["process"]["user"]["uid"] = json!(4_294_967_295_u32)),
        ("process.rlimits[0].type", |config| config["process"]["rlimits"][0]["type"] = json!("RLIMIT_X")),
        ("process.rlimits[0]", |config| config["process"]["rlimits"][0]["soft"] = json!(1_000_000_000)),
        ("process", |config| drop(config.as_object_mut().map(|map| map.remove("process")))),
        ("hostname", |config| config["hostname"] = json!(5)),
        ("root.path", |config| config["root"]["path"] = json!("")),
        ("mounts[0].destination", |config| config["mounts"][0]["destination"] = json!("")),
        ("linux.namespaces[1].type", |config| config["linux"]["namespaces"][1] = json!({ "type": "none" })),
        ("linux.namespaces[1].type", |config| {
            config["linux"]["namespaces"][1] = config["linux"]["namespaces"][0].clone();
        }),
        ("linux.sysctl[\"kernel.core_pattern\"]", |config| {
            config["linux"]["sysctl"] = json!({ "kernel.core_pattern": "x" });
        }),
        ("linux.seccomp", |config| config["linux"]["seccomp"] = json!({ "defaultAction": "no" })),
        ("ociVersion", |config| config["ociVersion"] = json!("2.0.0")),
        ("null", |config| *config = Value::Null),
    ];
    for (place, change) in cases {
        let mut wrong =
            Bundle { id: bundle.id.clone(), dir: bundle.dir.join("wrong"), config: bundle.config.clone() };
        std::fs::create_dir_all(&wrong.dir).expect("a directory");
        change(&mut wrong.config);
        let ran = wrong.run();
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{place}: {ran:?}");
        assert!(ran.err.starts_with("error: ") && ran.err.contains(place), "{place}: {ran:?}");
        assert_eq!(ran.err.trim_end().lines().count(), 1, "{place}: {ran:?}");
    }
}

#[test]
fn a_bundle_without_a_configuration_is_told_with_a_way_out() {
    let Some(bundle) = Bundle::new("a_bundle_without_a_configuration") else { return };
    let mut command = bundle.command();
    std::fs::remove_file(bundle.dir.join("config.json")).expect("unlink");
    let ran = Ran::of(&command.output().expect("holm-runtime"));
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("config.json") && ran.err.contains("hint:"), "{ran:?}");
    assert!(bundle.left().is_empty());
}
