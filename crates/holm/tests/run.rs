//! `holm run` as people use it: the machine's own programs in containers. They need root (an ordinary user has a
//! test below), and say so where it is missing.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

mod copied;

/// Whether containers can be had here; a test that cannot have one ends.
fn root(test: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("SKIPPED {test}: needs root");
    }
    is_root
}

fn command(flags: &[&str], program: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holm"));
    command.args(["run", "--rootfs", "/"]).args(flags).arg("--").args(program);
    command.stdin(Stdio::null());
    command
}

fn run(flags: &[&str], script: &str) -> Output {
    command(flags, &["sh", "-c", script]).output().unwrap()
}

/// What `script` prints; it has to succeed.
fn prints(flags: &[&str], script: &str) -> String {
    let output = run(flags, script);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{flags:?} {script}: {:?} {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Whether these tests run under a filter that hides system calls (`cargo xtask test --without CALL`), which changes what they look at.
fn filtered(test: &str) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let filtered = status.lines().any(|line| line == "Seccomp:\t2");
    if filtered {
        eprintln!("SKIPPED {test}: a filter hides system calls");
    }
    filtered
}

/// Whether this kernel is new enough.
fn since(test: &str, wanted: (u32, u32)) -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split('.').map(|number| number.parse().unwrap_or(0));
    let new_enough = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= wanted;
    if !new_enough {
        eprintln!("SKIPPED {test}: it takes Linux {}.{}, this is {release}", wanted.0, wanted.1);
    }
    new_enough
}

/// The first kernel whose overlay has id-mapped layers; before it a container of root's has the host's ids.
const OWN_IDS: (u32, u32) = (5, 19);

#[test]
fn the_exit_status_is_that_of_the_program() {
    if !root("the_exit_status_is_that_of_the_program") {
        return;
    }
    assert_eq!(run(&[], "exit 7").status.code(), Some(7));
    assert_eq!(run(&["--init"], "exit 9").status.code(), Some(9));
    assert_eq!(run(&["--init"], "kill -TERM $$").status.code(), Some(143));
    assert_eq!(command(&[], &["/no/such/program"]).output().unwrap().status.code(), Some(127));
    assert_eq!(command(&[], &["no-such-program"]).output().unwrap().status.code(), Some(127));
    assert_eq!(command(&[], &["/etc/passwd"]).output().unwrap().status.code(), Some(126));
}

#[test]
fn changes_to_the_root_are_gone_afterwards() {
    if !root("changes_to_the_root_are_gone_afterwards") {
        return;
    }
    let name = format!("/holm-test-{}", std::process::id());
    assert_eq!(prints(&[], &format!("echo new > {name}; cat {name}")), "new\n");
    assert!(!Path::new(&name).exists());
}

#[test]
fn a_container_has_ids_of_its_own_and_files_keep_their_owners() {
    if !root("a_container_has_ids_of_its_own_and_files_keep_their_owners")
        || filtered("a_container_has_ids_of_its_own_and_files_keep_their_owners")
        || !since("a_container_has_ids_of_its_own_and_files_keep_their_owners", OWN_IDS)
    {
        return;
    }
    let text = prints(&[], "cat /proc/self/uid_map; stat -c %u:%g /etc/passwd; id -u");
    let words: Vec<&str> = text.split_whitespace().collect();
    assert_ne!(words[1], "0", "the container's root is the host's");
    assert_eq!(words[2..], ["65536", "0:0", "0"]);
    assert_eq!(prints(&["--userns", "host"], "tr -s ' ' < /proc/self/uid_map"), " 0 0 4294967295\n");
}

#[test]
fn two_containers_at_once_have_different_ids() {
    if !root("two_containers_at_once_have_different_ids")
        || filtered("two_containers_at_once_have_different_ids")
        || !since("two_containers_at_once_have_different_ids", OWN_IDS)
    {
        return;
    }
    let start = || {
        let mut child = command(&["-i"], &["sh", "-c", "cat /proc/self/uid_map; read line"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut map = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut map).unwrap();
        (child, map)
    };
    let ((mut one, first), (mut two, second)) = (start(), start());
    assert!(!first.is_empty());
    assert_ne!(first, second);
    for child in [&mut one, &mut two] {
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}

#[test]
fn users_and_groups_are_those_of_the_root() {
    if !root("users_and_groups_are_those_of_the_root") {
        return;
    }
    assert_eq!(prints(&["--user", "daemon"], "id -un; id -gn; echo $HOME"), "daemon\ndaemon\n/usr/sbin\n");
    assert_eq!(prints(&["-u", "1234:5678", "--group-add", "adm"], "id -u; id -G"), "1234\n5678 4\n");
}

#[test]
fn names_environment_and_directories_are_as_asked_for() {
    if !root("names_environment_and_directories_are_as_asked_for") {
        return;
    }
    let flags = ["--hostname", "db.example", "-e", "A=1", "-e", "INHERITED", "-w", "/tmp/made"];
    let mut command = command(
        &flags,
        &["sh", "-c", "hostname; cat /etc/hostname; grep -c db /etc/hosts; pwd; echo $A $INHERITED"],
    );
    let output = command.env("INHERITED", "yes").env("SECRET", "no").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "db.example\ndb.example\n1\n/tmp/made\n1 yes\n");
    assert!(!prints(&[], "env").contains("CARGO"), "the caller's environment leaked");
}

/// A directory of the test's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("holm-run-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn volumes_show_the_hosts_files_with_their_owners() {
    if !root("volumes_show_the_hosts_files_with_their_owners") {
        return;
    }
    let scratch = Scratch::new("volume");
    let volume = format!("{}:/data", scratch.0.display());
    assert_eq!(prints(&["-v", &volume], "echo x > /data/f; chown 33:34 /data/f; stat -c %u /data"), "0\n");
    let written = std::fs::metadata(scratch.0.join("f")).unwrap();
    use std::os::unix::fs::MetadataExt as _;
    assert_eq!((written.uid(), written.gid()), (33, 34), "the owners on the host are those inside");
    let read_only = run(&["-v", &format!("{volume}:ro")], "echo y > /data/f");
    assert!(!read_only.status.success());
    assert_eq!(std::fs::read_to_string(scratch.0.join("f")).unwrap(), "x\n");
}

#[test]
fn a_read_only_root_and_tmpfs_are_what_they_say() {
    if !root("a_read_only_root_and_tmpfs_are_what_they_say") {
        return;
    }
    let script = "touch /x 2>/dev/null && echo wrong; touch /tmp/a /run/a /scratch/a && df -Pk /scratch | tail -1 | tr -s ' ' | cut -d ' ' -f 2";
    assert_eq!(prints(&["--read-only", "--tmpfs", "/scratch:size=1m"], script), "1024\n");
}

#[test]
fn the_network_is_loopback_only_if_asked_for() {
    if !root("the_network_is_loopback_only_if_asked_for") {
        return;
    }
    assert_eq!(prints(&["--network", "none"], "cd /sys/class/net && echo *"), "lo\n");
    let host = std::fs::read_link("/proc/self/ns/net").unwrap();
    assert_eq!(prints(&["--network", "host"], "readlink /proc/self/ns/net").trim(), host.to_str().unwrap());
}

#[test]
fn limits_hold() {
    if !root("limits_hold") {
        return;
    }
    // Every fork beyond the limit fails, and the shell tells.
    let output = run(&["--pids-limit", "5"], "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait");
    assert!(String::from_utf8_lossy(&output.stderr).to_lowercase().contains("fork"), "{output:?}");
    let output = run(&["--memory", "16m", "--init"], "head -c 100m /dev/zero | tail -c 90m | wc -c");
    assert_ne!(String::from_utf8_lossy(&output.stdout).trim(), "94371840", "{output:?}");
    assert_eq!(prints(&["--ulimit", "nofile=77"], "ulimit -n"), "77\n");
}

#[test]
fn a_program_that_its_memory_limit_has_killed_is_told_of() {
    if !root("a_program_that_its_memory_limit_has_killed_is_told_of") {
        return;
    }
    let output = run(&["--memory", "16m", "--memory-swap", "16m"], "x=xxxxxxxx; while :; do x=$x$x; done");
    assert_eq!(output.status.code(), Some(137), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("more memory than its limit"), "{output:?}");
}

#[test]
fn capabilities_and_the_filter_are_dockers() {
    if !root("capabilities_and_the_filter_are_dockers") || filtered("capabilities_and_the_filter_are_dockers")
    {
        return;
    }
    let status = "grep -E 'CapEff|CapBnd|Seccomp:|NoNewPrivs' /proc/self/status | tr '\\t\\n' '  '";
    assert_eq!(
        prints(&[], status),
        "CapEff: 00000000a80425fb CapBnd: 00000000a80425fb NoNewPrivs: 0 Seccomp: 2 "
    );
    let bare =
        ["--cap-drop", "ALL", "--security-opt", "seccomp=unconfined", "--security-opt", "no-new-privileges"];
    assert_eq!(
        prints(&bare, status),
        "CapEff: 0000000000000000 CapBnd: 0000000000000000 NoNewPrivs: 1 Seccomp: 0 "
    );
}

/// Signals `child` once it has printed a line, and returns its status.
fn signalled(flags: &[&str], script: &str, signal: rustix::process::Signal) -> (Option<i32>, Duration) {
    let mut child: Child = command(flags, &["sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    // A shell handles signals until it has become the program.
    std::thread::sleep(Duration::from_millis(200));
    let start = Instant::now();
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
    (child.wait().unwrap().code(), start.elapsed())
}

#[test]
fn signals_reach_the_program() {
    if !root("signals_reach_the_program") {
        return;
    }
    use rustix::process::Signal;
    let trap = "trap 'exit 5' USR1; echo ready; while :; do sleep 0.05; done";
    assert_eq!(signalled(&[], trap, Signal::USR1).0, Some(5));
    assert_eq!(signalled(&["--init"], trap, Signal::USR1).0, Some(5));
}

#[test]
fn a_program_that_handles_no_signal_is_ended_by_it_all_the_same() {
    if !root("a_program_that_handles_no_signal_is_ended_by_it_all_the_same") {
        return;
    }
    use rustix::process::Signal;
    let (status, took) = signalled(&[], "echo ready; exec sleep 20", Signal::INT);
    assert_eq!(status, Some(130));
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(signalled(&[], "echo ready; exec sleep 20", Signal::TERM).0, Some(143));
}

/// A new terminal: the side that shows it and the side that programs use.
fn terminal() -> (OwnedFd, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let outer = openpt(flags).unwrap();
    grantpt(&outer).unwrap();
    unlockpt(&outer).unwrap();
    let inner = ioctl_tiocgptpeer(&outer, flags).unwrap();
    (outer, inner)
}

/// Runs `script` on a terminal of 30 rows and 90 columns, typing `typed` once it prints "ready".
fn on_terminal(flags: &[&str], script: &str, typed: &str) -> (String, Option<i32>) {
    let (person, caller) = terminal();
    tcsetwinsize(&person, Winsize { ws_row: 30, ws_col: 90, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let copy = || Stdio::from(caller.try_clone().unwrap());
    let mut child =
        command(flags, &["sh", "-c", script]).stdin(copy()).stdout(copy()).stderr(copy()).spawn().unwrap();
    let mut keyboard = File::from(person.try_clone().unwrap());
    let typed = typed.to_owned();
    let screen = std::thread::spawn(move || {
        let (mut shown, mut buffer, mut has_typed) = (String::new(), [0; 4096], false);
        let mut person = File::from(person);
        while let Ok(count @ 1..) = person.read(&mut buffer) {
            shown.push_str(&String::from_utf8_lossy(&buffer[..count]));
            if !has_typed && shown.contains("ready") {
                keyboard.write_all(typed.as_bytes()).unwrap();
                has_typed = true;
            }
        }
        shown
    });
    let code = child.wait().unwrap().code();
    assert!(tcgetattr(&caller).unwrap().local_modes.contains(LocalModes::ECHO), "the terminal stayed raw");
    drop(caller);
    (screen.join().unwrap().replace('\r', ""), code)
}

#[test]
fn a_terminal_is_interactive_and_has_the_callers_size() {
    if !root("a_terminal_is_interactive_and_has_the_callers_size") {
        return;
    }
    let script = "stty size; tty; echo ready; read line; echo got $line; exit 3";
    let (shown, code) = on_terminal(&["-it"], script, "hello\r");
    assert!(shown.contains("30 90\n/dev/pts/0\n"), "{shown}");
    assert!(shown.contains("got hello\n"), "{shown}");
    assert_eq!(code, Some(3));
}

#[test]
fn ctrl_c_interrupts_the_program_on_the_terminal() {
    if !root("ctrl_c_interrupts_the_program_on_the_terminal") {
        return;
    }
    let script = "trap 'echo interrupted; exit 4' INT; echo ready; while :; do sleep 0.05; done";
    let (shown, code) = on_terminal(&["-it"], script, "\x03");
    assert!(shown.contains("interrupted\n"), "{shown}");
    assert_eq!(code, Some(4));
}

#[test]
fn the_detach_keys_are_refused_and_the_container_goes_on() {
    if !root("the_detach_keys_are_refused_and_the_container_goes_on") {
        return;
    }
    let (shown, code) = on_terminal(&["-it"], "echo ready; read line; echo got $line", "\x10\x11x\r");
    assert!(shown.contains("cannot be left running"), "{shown}");
    assert!(shown.contains("got x\n"), "{shown}");
    assert_eq!(code, Some(0));
}

#[test]
fn the_callers_terminal_is_not_the_containers() {
    if !root("the_callers_terminal_is_not_the_containers") {
        return;
    }
    // Without -t the program gets pipes: nothing it holds is the caller's terminal.
    let (shown, code) = on_terminal(
        &["-i"],
        "echo ready; read line; for fd in 0 1 2; do readlink /proc/self/fd/$fd; done; echo got $line",
        "x\n",
    );
    assert_eq!(shown.matches("pipe:[").count(), 3, "{shown}");
    assert!(shown.contains("got x\n"), "{shown}");
    assert_eq!(code, Some(0));
}

#[test]
fn killing_holm_ends_the_container() {
    if !root("killing_holm_ends_the_container") {
        return;
    }
    let mut child = command(&["--pid", "host"], &["sh", "-c", "echo $$; exec sleep 30"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pid = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut pid).unwrap();
    let process = PathBuf::from(format!("/proc/{}", pid.trim()));
    assert!(process.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    let start = Instant::now();
    while process.exists() && start.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!process.exists(), "the program outlived holm");
    // The next run takes away what was left.
    assert!(run(&[], "true").status.success());
}

#[test]
fn an_ordinary_user_has_containers_too() {
    // An overlay in a user namespace.
    if !root("an_ordinary_user_has_containers_too") || !since("an_ordinary_user_has_containers_too", (5, 11))
    {
        return;
    }
    let scratch = Scratch::new("user");
    std::os::unix::fs::chown(&scratch.0, Some(65_534), Some(65_534)).unwrap();
    // The test's build may lie where this user cannot go.
    let holm = scratch.0.join("program");
    copied::copy_holm(&holm);
    for changes in [&[][..], &["--rootfs-write"]] {
        let script = "id -u; cat /proc/self/uid_map | tr -s ' '; cd /sys/class/net && echo *";
        let output = Command::new(&holm)
            .args(["run", "--rootfs", "/"])
            .args(changes)
            .args(["--", "sh", "-c", script])
            .env("XDG_RUNTIME_DIR", &scratch.0)
            .env_remove("HOLM_ROOT")
            .env_remove("HOLM_RUNROOT")
            .uid(65_534)
            .gid(65_534)
            .current_dir("/")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n 0 65534 1\nlo\n", "{output:?}");
    }
    let output = Command::new(&holm)
        .args(["run", "--rootfs", "/", "--keep-changes", ".", "--", "true"])
        .env("XDG_RUNTIME_DIR", &scratch.0)
        .env_remove("HOLM_ROOT")
        .env_remove("HOLM_RUNROOT")
        .uid(65_534)
        .gid(65_534)
        .current_dir(&scratch.0)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{said}");
    assert!(said.contains("--keep-changes: / has other mounts in it"), "{said}");
}

#[test]
fn an_ordinary_user_has_the_ids_that_the_host_gives_them() {
    let test = "an_ordinary_user_has_the_ids_that_the_host_gives_them";
    if !root(test) || filtered(test) {
        return;
    }
    if !Path::new("/usr/bin/newuidmap").exists() {
        eprintln!("SKIPPED {test}: the package uidmap is not installed");
        return;
    }
    let scratch = Scratch::new("subuid");
    std::os::unix::fs::chown(&scratch.0, Some(65_534), Some(65_534)).unwrap();
    let holm = scratch.0.join("program");
    copied::copy_holm(&holm);
    let range = scratch.0.join("range");
    std::fs::write(&range, "nobody:700000:65536\n").unwrap();
    // The ranges are the host's; these are in a mount namespace of the test's own.
    let script = r#"
        [ -e /etc/subuid ] && [ -e /etc/subgid ] || exit 77
        mount --bind "$1/range" /etc/subuid && mount --bind "$1/range" /etc/subgid || exit 76
        cd / && XDG_RUNTIME_DIR=$1 exec setpriv --reuid 65534 --regid 65534 --clear-groups "$1/program" run --rootfs / --rootfs-write -- \
            sh -c 'id -u; cat /proc/self/uid_map | tr -s " "'
    "#;
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(&scratch.0)
        .env_remove("HOLM_ROOT")
        .env_remove("HOLM_RUNROOT")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    if output.status.code() == Some(77) {
        eprintln!("SKIPPED {test}: there is no /etc/subuid to put another over");
        return;
    }
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n 0 65534 1\n 1 700000 65536\n", "{output:?}");
}

#[test]
fn a_volume_is_given_to_the_user_of_the_container_on_request() {
    if !root("a_volume_is_given_to_the_user_of_the_container_on_request") {
        return;
    }
    use std::os::unix::fs::MetadataExt as _;
    let scratch = Scratch::new("gift");
    for (userns, uid) in [("host", 1234), ("auto", 1235)] {
        let directory = scratch.0.join(userns);
        std::fs::create_dir(&directory).unwrap();
        let volume = format!("{}:/data:U", directory.display());
        let user = format!("{uid}:{uid}");
        let flags = ["--userns", userns, "--user", &user, "-v", &volume];
        let output = run(&flags, "stat -c %u /data && echo mine > /data/file");
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{uid}\n"), "{output:?}");
        // An id-mapped mount keeps the container's numbers on the disk; where there is none, what is inside is what counts.
        let on_disk = std::fs::metadata(directory.join("file")).unwrap().uid();
        assert_eq!(on_disk, std::fs::metadata(&directory).unwrap().uid());
    }
}

#[test]
fn kept_changes_do_not_cost_the_container_its_own_ids() {
    let test = "kept_changes_do_not_cost_the_container_its_own_ids";
    if !root(test) || filtered(test) || !since(test, OWN_IDS) {
        return;
    }
    use std::os::unix::fs::MetadataExt as _;
    let scratch = Scratch::new("kept");
    let kept = scratch.0.join("layer");
    std::fs::create_dir(&kept).unwrap();
    let flags = ["--keep-changes", kept.to_str().unwrap()];
    let maps = prints(
        &flags,
        "cat /proc/self/uid_map; echo one > /usr/one; touch /etc/passwd; chown 12:13 /usr/one",
    );
    assert!(!maps.contains("4294967295"), "{maps}");
    let copied = std::fs::metadata(kept.join("upper/etc/passwd")).unwrap();
    let own = std::fs::metadata(kept.join("upper/usr/one")).unwrap();
    // On the disk are the container's numbers, whichever range the next one gets.
    assert_eq!(((copied.uid(), copied.gid()), (own.uid(), own.gid())), ((0, 0), (12, 13)));
    let again = prints(
        &flags,
        "cat /usr/one; stat -c %u:%g /usr/one /etc/passwd; rm /usr/one; ls -d /usr/one 2>&1 | wc -l",
    );
    assert_eq!(again, "one\n12:13\n0:0\n1\n");
    assert_eq!(prints(&[&flags[..], &["--userns", "host"]].concat(), "stat -c %u:%g /etc/passwd"), "0:0\n");
}

#[test]
fn the_plan_is_shown_and_nothing_is_run() {
    if !root("the_plan_is_shown_and_nothing_is_run") {
        return;
    }
    let output = command(&["--show-plan", "--memory", "64m"], &["no-such-program"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    assert!(text.contains("execute no-such-program"), "{text}");
}

#[test]
fn nothing_is_left_after_many_runs() {
    if !root("nothing_is_left_after_many_runs") {
        return;
    }
    let name = format!("holm-test-left-{}", std::process::id());
    let mine = |text: &str| text.matches(&name).count();
    for index in 0..20 {
        let name = format!("{name}-{index}");
        assert!(run(&["--name", &name], "true").status.success());
    }
    assert_eq!(mine(&std::fs::read_to_string("/proc/self/mountinfo").unwrap()), 0);
    let found = Command::new("find")
        .args(["/sys/fs/cgroup", "/run/holm", "-name", &format!("*{name}*")])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}
