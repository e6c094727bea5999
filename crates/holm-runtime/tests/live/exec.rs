//! `exec` without a terminal.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;

use serde_json::json;

use crate::{Live, soon};

#[test]
fn the_exit_status_is_the_programs_own() {
    let Some(live) = Live::start("exec_status", |_| {}) else { return };
    for code in [0, 1, 7, 127, 255] {
        assert_eq!(live.script(&[], &format!("exit {code}")).code, Some(code));
    }
    assert_eq!(live.script(&[], "kill -9 $$").code, Some(137));
    let said = live.fails(255, &["exec", live.id(), "/bin/missing"]);
    assert!(said.contains("no such file or directory"), "{said}");
    let said = live.fails(255, &["exec", "nobody-knows-it", "true"]);
    assert!(said.contains("does not exist"), "{said}");
    let said = live.fails(255, &["exec", live.id()]);
    assert!(said.contains("no program to start"), "{said}");
}

#[test]
fn a_container_in_the_hosts_mount_namespace_is_entered_at_its_root() {
    const NAME: &str = "a_container_in_the_hosts_mount_namespace_is_entered_at_its_root";
    let is_older = || {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("a release");
        let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
        (numbers.next(), numbers.next()) < (Some(6), Some(15))
    };
    if is_older() {
        return eprintln!("SKIPPED {NAME}: it takes Linux 6.15");
    }
    let Some(live) = Live::start("exec_host_mounts", |bundle| {
        let linux = bundle.config["linux"].as_object_mut().expect("an object");
        linux["namespaces"].as_array_mut().expect("a list").retain(|entry| entry["type"] != "mount");
        linux.remove("maskedPaths");
        linux.remove("readonlyPaths");
    }) else {
        return;
    };
    let ran = live
        .script(&[], "readlink /proc/self/ns/mnt; cat /proc/1/comm; ls /bin/busybox; echo x >/inside; pwd");
    let own = std::fs::read_link("/proc/self/ns/mnt").expect("a link").display().to_string();
    let lines = [own.as_str(), "sleep", "/bin/busybox", "/"];
    assert_eq!((ran.code, ran.out.lines().collect::<Vec<_>>()), (Some(0), lines.to_vec()), "{ran:?}");
    assert!(live.bundle.rootfs("inside").exists());
    let file = live.bundle.dir.join("mounts.json");
    std::fs::write(&file, r#"[{"destination": "/m", "type": "tmpfs"}]"#).expect("a file");
    let said = live.fails(1, &["mounts", "add", live.id(), &file.display().to_string()]);
    assert!(said.contains("no mount namespace of its own"), "{said}");
}

#[test]
fn flags_change_the_process_of_the_container() {
    let Some(live) = Live::start("exec_flags", |bundle| {
        std::fs::create_dir_all(bundle.rootfs("etc")).expect("etc");
        std::fs::create_dir_all(bundle.rootfs("data")).expect("data");
        std::fs::write(
            bundle.rootfs("etc/passwd"),
            "root:x:0:0::/root:/bin/sh\nweb:x:33:33::/data:/bin/sh\n",
        )
        .expect("passwd");
    }) else {
        return;
    };
    let flags = ["--user", "33:44", "-g", "55", "--env", "A=b c", "--env=A=d", "--cwd", "/data"];
    let ran = live.script(&flags, "id -u; id -g; id -G; echo $A; pwd; echo $HOME; cat");
    assert_eq!(ran.out, "33\n44\n44 55\nd\n/data\n/data\n", "{ran:?}");
    assert_eq!(live.script(&[], "echo $HOME").out, "/root\n");
    assert_eq!(live.script(&["-e", "HOME=/x"], "echo $HOME").out, "/x\n");
    // Flags are ours behind the id too, until the program is named.
    let ran = live.call(&["exec", live.id(), "--cwd", "/data", "/bin/sh", "-c", "pwd"]);
    assert_eq!(ran.out, "/data\n", "{ran:?}");
    let said = live.fails(255, &["exec", "--user", "root", live.id(), "true"]);
    assert!(said.contains("is no id for --user"), "{said}");
    let said = live.fails(255, &["exec", "--cwd", "/missing", live.id(), "/bin/true"]);
    assert!(said.contains("change to /missing"), "{said}");
}

#[test]
fn a_process_is_read_from_a_file() {
    let Some(live) = Live::start("exec_process", |_| {}) else { return };
    let file = live.bundle.dir.join("process.json");
    let process = json!({
        "args": ["/bin/sh", "-c", "id -u; echo $WHO; pwd; exit 3"],
        "cwd": "/bin",
        "env": ["WHO=file", "PATH=/bin"],
        "user": {"uid": 7, "gid": 8}
    });
    std::fs::write(&file, process.to_string()).expect("a file");
    let path = file.display().to_string();
    let ran = live.call(&["exec", "--process", &path, live.id()]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(3), "7\nfile\n/bin\n"), "{ran:?}");
    std::fs::write(&file, r#"{"args": ["/bin/true"], "cwd": 5}"#).expect("a file");
    let said = live.fails(255, &["exec", "-p", &path, live.id()]);
    assert!(said.contains("cwd"), "{said}");
    std::fs::write(&file, r#"{"args": ["/bin/true"], "cwd": "relative"}"#).expect("a file");
    let said = live.fails(255, &["exec", "-p", &path, live.id()]);
    assert!(said.contains("process.cwd"), "{said}");
}

#[test]
fn a_detached_program_goes_on_and_has_a_pid_file() {
    let Some(live) = Live::start("exec_detached", |_| {}) else { return };
    let file = live.bundle.dir.join("pid");
    let path = file.display().to_string();
    let mut command = live.command(&["exec", "-d", "--pid-file", &path, live.id(), "/bin/sleep", "1000"]);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    assert!(command.status().expect("holm-runtime").success());
    let pid: i32 = std::fs::read_to_string(&file).expect("a pid file").parse().expect("a number");
    let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).expect("a process");
    assert_eq!(comm, "sleep\n");
    let pids: Vec<i32> = serde_json::from_str(&live.does(&["ps", "-f", "json", live.id()])).expect("JSON");
    assert!(pids.contains(&pid) && pids.len() == 2, "{pids:?}");
    let table = live.does(&["ps", live.id()]);
    assert_eq!(table.lines().count(), 3, "{table}");
}

#[test]
fn signals_reach_the_program() {
    let Some(live) = Live::start("exec_signals", |_| {}) else { return };
    let script = "trap 'echo caught; exit 9' TERM; echo ready >/ready; while :; do sleep 0.05; done";
    let child = live.command(&["exec", live.id(), "/bin/sh", "-c", script]).spawn().expect("holm-runtime");
    soon("the trap", || live.bundle.rootfs("ready").exists());
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("kill");
    let output = child.wait_with_output().expect("its end");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(9), &b"caught\n"[..]));
}

#[test]
fn nothing_of_the_caller_leaks_in() {
    let Some(live) = Live::start("exec_leaks", |_| {}) else { return };
    let leak = File::open("/dev/null").expect("/dev/null");
    let number = leak.as_raw_fd();
    sys::raw::set_close_on_exec(sys::raw::Fd(number), false).expect("fcntl");
    // A shell in between sets what a careless caller would have. The one in the container starts cat as a child: in its own place it
    // would pass on that it ignores SIGQUIT itself.
    let runtime = live.command(&[]);
    let line = format!(
        "trap '' USR1 CHLD; ulimit -S -n 99; umask 0777; exec {} --root {} exec {} /bin/sh -c \
         'ls /proc/self/fd | wc -l; umask; ulimit -n; env | wc -l; cat /proc/self/status; true'",
        runtime.get_program().display(),
        live.bundle.dir.join("state").display(),
        live.id(),
    );
    let output =
        std::process::Command::new("sh").args(["-c", &line]).env("SECRET", "x").output().expect("sh");
    sys::raw::set_close_on_exec(sys::raw::Fd(number), true).expect("fcntl");
    let said = String::from_utf8_lossy(&output.stdout);
    let mut lines = said.lines();
    assert_eq!(lines.next(), Some("4"), "{said} {output:?}");
    assert_eq!(lines.next(), Some("0022"), "{said}");
    assert_ne!(lines.next(), Some("99"), "{said}");
    // PATH, TERM, HOME, and what the shell adds: PWD, SHLVL.
    assert!(
        lines.next().and_then(|count| count.trim().parse::<u32>().ok()).is_some_and(|count| count <= 6),
        "{said}"
    );
    let ignored = said.lines().find(|line| line.starts_with("SigIgn")).expect("a line");
    assert!(ignored.ends_with("0000000000000000"), "{ignored}");
    assert_eq!(output.status.code(), Some(0), "the status is not lost although the caller ignores SIGCHLD");
}

#[test]
fn descriptors_are_passed_on_only_if_they_are_there() {
    let Some(live) = Live::start("exec_preserve", |_| {}) else { return };
    let runtime = live.command(&[]);
    let shell = |redirections: &str, count: u32| {
        let line = format!(
            "exec 3>&- 4>&- 5>&-; exec {redirections}; exec {} --root {} exec --preserve-fds {count} {} /bin/sh -c 'cat <&3; cat <&4'",
            runtime.get_program().display(),
            live.bundle.dir.join("state").display(),
            live.id(),
        );
        std::process::Command::new("sh").args(["-c", &line]).output().expect("sh")
    };
    let (one, two) = (live.bundle.dir.join("one"), live.bundle.dir.join("two"));
    File::create(&one).and_then(|mut file| file.write_all(b"first ")).expect("a file");
    File::create(&two).and_then(|mut file| file.write_all(b"second")).expect("a file");
    let redirections = format!("3<{} 4<{}", one.display(), two.display());
    let output = shell(&redirections, 2);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "first second", "{output:?}");
    let output = shell(&redirections, 3);
    assert_eq!(output.status.code(), Some(255));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no descriptor 5"), "{output:?}");
}

#[test]
fn a_sub_cgroup_is_joined_and_none_above() {
    let Some(live) = Live::start("exec_cgroup", |_| {}) else { return };
    let pid = live.state()["pid"].as_i64().expect("a pid");
    let own = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("cgroups");
    // One hierarchy is enough: v1 pids, or v2.
    let (flag, mount, line) = match own.lines().find(|line| line.split(':').nth(1) == Some("pids")) {
        Some(line) => ("pids:inner", "/sys/fs/cgroup/pids", line),
        None => ("inner", "/sys/fs/cgroup", own.lines().next().unwrap_or_default()),
    };
    let path = line.splitn(3, ':').nth(2).unwrap_or_default();
    let dir = std::path::Path::new(mount).join(path.trim_start_matches('/')).join("inner");
    if let Err(error) = std::fs::create_dir(&dir) {
        return eprintln!("SKIPPED a_sub_cgroup_is_joined_and_none_above: {}: {error}", dir.display());
    }
    // A cgroup namespace of its own would hide where it is.
    let file = live.bundle.dir.join("pid");
    let mut command = live.command(&[
        "exec",
        "-d",
        "--pid-file",
        &file.display().to_string(),
        "--cgroup",
        flag,
        live.id(),
        "/bin/sleep",
        "1000",
    ]);
    // The program keeps the streams, so their end would be waited for.
    let words = live.bundle.dir.join("words");
    command.stdout(std::process::Stdio::null()).stderr(File::create(&words).expect("a file"));
    command.status().expect("holm-runtime");
    let outcome = std::fs::read_to_string(&words).expect("what it said");
    let there = std::fs::read_to_string(&file)
        .ok()
        .and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok());
    assert!(there.is_some_and(|text| text.contains(&format!("{path}/inner"))), "{outcome:?}");
    let said = live.fails(255, &["exec", "--cgroup", "../..", live.id(), "/bin/true"]);
    assert!(said.contains("may not lead above"), "{said}");
}
