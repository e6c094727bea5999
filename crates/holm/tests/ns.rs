//! `holm ns` against the kernel, and against unshare(1) and nsenter(1): what one makes the other enters.
//!
//! Whatever mounts something runs in a mount namespace of its own with an empty `/run`.

mod host;

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const HOLM: &str = env!("CARGO_BIN_EXE_holm");

fn root(test: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("SKIPPED {test}: needs root");
    }
    is_root
}

fn holm(args: &[&str]) -> Output {
    Command::new(HOLM).arg("ns").args(args).stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn prints(args: &[&str]) -> String {
    let output = holm(args);
    assert!(output.status.success(), "holm ns {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A shell in a mount namespace of its own with an empty `/run`; `$HOLM` is the program.
#[track_caller]
fn apart(script: &str) -> String {
    let script = format!("mount -t tmpfs none /run && {script}");
    let output =
        Command::new("unshare").args(["--mount", "sh", "-ec", &script]).env("HOLM", HOLM).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A child that does not outlive its test.
struct Running(Child);

impl Running {
    /// Starts it and waits until it is the program that was named last.
    fn start(mut command: Command, name: &str) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let running = Self(child);
        let comm = format!("/proc/{}/comm", running.0.id());
        let until = Instant::now() + Duration::from_secs(20);
        while std::fs::read_to_string(&comm).unwrap_or_default().trim() != name {
            assert!(Instant::now() < until, "{name} does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        running
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A small root directory that is gone at the end.
struct Tree(PathBuf);

impl Tree {
    fn new(test: &str) -> Option<Self> {
        let busybox = Path::new("/bin/busybox");
        if !busybox.exists() {
            eprintln!("SKIPPED {test}: it needs /bin/busybox, linked statically");
            return None;
        }
        let tree = Self(PathBuf::from(format!("/tmp/holm-ns-{}-{test}", std::process::id())));
        for directory in ["bin", "lib"] {
            std::fs::create_dir_all(tree.0.join(directory)).unwrap();
        }
        std::fs::copy(busybox, tree.0.join("bin/busybox")).unwrap();
        Some(tree)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn namespace(pid: &str, kind: &str) -> String {
    let link = std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
    link.to_string_lossy().into_owned()
}

#[test]
fn every_kind_is_listed_with_process_and_command() {
    if !root("list") {
        return;
    }
    let mut command = Command::new("unshare");
    command.args(["-n", "-u", "-i", "-C", "sleep", "6101"]);
    let sleeper = Running::start(command, "sleep");
    let list: serde_json::Value = serde_json::from_str(&prints(&["list", "-j"])).unwrap();
    let list = list.as_array().unwrap();
    for kind in ["net", "uts", "ipc", "cgroup"] {
        let own = namespace(&sleeper.pid(), kind);
        let found = list
            .iter()
            .find(|it| format!("{}:[{}]", it["kind"].as_str().unwrap(), it["ns"]) == own)
            .unwrap_or_else(|| panic!("{own} is not listed"));
        assert_eq!(found["processes"], 1);
        assert_eq!(found["pid"].to_string(), sleeper.pid());
        assert_eq!(found["command"], "sleep 6101");
        assert!(found["owner"].is_u64());
    }
    for kind in ["user", "pid", "mnt", "net", "ipc", "uts", "cgroup", "time"] {
        assert!(list.iter().any(|it| it["kind"] == kind), "{kind}");
    }
    let only = prints(&["list", "-p", &sleeper.pid(), "-t", "net,uts"]);
    assert_eq!(only.lines().count(), 3, "{only}");
}

#[test]
fn namespaces_without_processes_are_found_by_what_holds_them() {
    if !root("held") {
        return;
    }
    let text = apart(
        "$HOLM ns hold net blue; $HOLM ns hold mnt tree; $HOLM ns hold uts box; \
         exec 9</run/holm/ns/uts/box; umount -l /run/holm/ns/uts/box; rm /run/holm/ns/uts/box; \
         $HOLM ns list -j",
    );
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    let holders = |kind: &str| -> Vec<serde_json::Value> {
        let of_kind = list.as_array().unwrap().iter().filter(|it| it["kind"] == kind && it["processes"] == 0);
        of_kind.flat_map(|it| it["holders"].as_array().unwrap().clone()).collect()
    };
    assert!(holders("net").iter().any(|it| it["mount"] == "/run/netns/blue"), "{text}");
    assert!(holders("mnt").iter().any(|it| it["mount"] == "/run/holm/ns/mnt/tree"), "{text}");
    assert!(holders("uts").iter().any(|it| it["fd"] == 9), "{text}");
}

#[test]
fn the_container_that_holds_a_namespace_is_named() {
    host::Host { programs: &[], words: "" }.check(
        "the_container_that_holds_a_namespace",
        "box-with-a-long-name",
        r#"
        "$HOLM" run --rootfs / --network none --name "$NAME" -- sh -c 'echo up; exec sleep 600' >up & first=$!
        until_it grep -q up up
        held() { holm ns list -j | jq -r --arg name "$1" '[.[] | select(.container.name == $name) | .kind] | sort | join(" ")'; }
        held "$NAME"
        holm ns list -t net | grep "holm:$NAME " | tr -s ' ' | cut -d' ' -f2-3,7-
        number=$(holm ns list -t net -j | jq -r --arg name "$NAME" '.[] | select(.container.name == $name) | .ns')
        holm ns inspect "$number" | grep '^  held by' | tr -s ' '
        # By its control group alone, as other engines' containers are known.
        HOLM_RUNROOT=/run/elsewhere HOLM_ROOT=/run/elsewhere holm ns list -t net -j |
            jq -r --argjson number "$number" '.[] | select(.ns == $number) | [.container.engine, .container.name] | @csv'
        holm ns list -t net -p 1 -j | jq -c '.[].container'
        kill $first; wait $first || true
        held "$NAME" | wc -w
        "#,
        &expect_test::expect![[r#"
            cgroup ipc mnt net pid user uts
            net 1 holm:box-with-a-long-name sleep 600
             held by holm:box-with-a-long-name
            "holm",
            null
            0
        "#]],
    );
}

#[test]
fn children_stand_below_their_parents_in_a_tree() {
    if !root("tree") {
        return;
    }
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "unshare", "--user", "--map-root-user", "sleep", "6102"]);
    let sleeper = Running::start(command, "sleep");
    let inner = namespace(&sleeper.pid(), "user");
    let inode = inner.trim_start_matches("user:[").trim_end_matches(']');
    let tree = prints(&["list", "--tree", "-t", "user"]);
    let line = tree.lines().find(|line| line.trim_start().starts_with(inode)).unwrap();
    assert!(line.starts_with("    "), "two deep:\n{tree}");
    let inspected = prints(&["inspect", &inner]);
    assert!(inspected.contains("uid map                       0 0 1"), "{inspected}");
    assert!(inspected.lines().any(|line| line.starts_with("  parent") && line.contains("user:[")));
}

#[test]
fn what_unshare_made_is_entered_and_the_other_way_round() {
    if !root("both ways") {
        return;
    }
    let mut command = Command::new("unshare");
    command.args([
        "-U",
        "-r",
        "-m",
        "-u",
        "-i",
        "-n",
        "-p",
        "-f",
        "-C",
        "-T",
        "--kill-child",
        "sleep",
        "6103",
    ]);
    let unshare = Running::start(command, "unshare");
    let children = format!("/proc/{0}/task/{0}/children", unshare.pid());
    let until = Instant::now() + Duration::from_secs(20);
    let pid = loop {
        let child = std::fs::read_to_string(&children).unwrap_or_default().trim().to_owned();
        if !child.is_empty()
            && std::fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|it| it == "sleep\n")
        {
            break child;
        }
        assert!(Instant::now() < until, "the child does not start");
        std::thread::sleep(Duration::from_millis(5));
    };
    let script =
        "for kind in user mnt uts ipc net pid cgroup time; do readlink /proc/self/ns/$kind; done; id -u";
    let entered = prints(&["enter", "-t", &pid, "-a", "--", "sh", "-c", script]);
    let mut lines = entered.lines();
    for kind in ["user", "mnt", "uts", "ipc", "net", "pid", "cgroup", "time"] {
        // procfs is the host's: there a process inside is not known by its inner number, `self` still is.
        assert_eq!(lines.next(), Some(namespace(&pid, kind).as_str()), "{kind}");
    }
    assert_eq!(lines.next(), Some("0"));

    let mut command = Command::new(HOLM);
    command.args(["ns", "run", "-u", "-n", "-i", "--hostname", "anvil", "--", "sleep", "6104"]);
    let holm = Running::start(command, "sleep");
    let output = Command::new("nsenter").args(["-t", &holm.pid(), "-u", "-n", "hostname"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "anvil\n");
}

#[test]
fn an_ordinary_user_has_namespaces_of_his_own_and_gets_back_into_them() {
    if !root("ordinary") {
        return;
    }
    let directory = PathBuf::from(format!("/tmp/nscg-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let program = directory.join("holm");
    std::fs::copy(HOLM, &program).unwrap();
    let as_user = |args: &[&str]| {
        let mut command = Command::new(&program);
        command.arg("ns").args(args).uid(65_532).gid(65_532).current_dir("/");
        command
    };
    let text = |mut command: Command| {
        let output = command.stdin(Stdio::null()).output().unwrap();
        (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (made, errors) =
        text(as_user(&["run", "-r", "-u", "-n", "--hostname", "own", "--", "sh", "-c", "hostname; id -u"]));
    if made.is_empty() && errors.contains("unshare") {
        let _ = std::fs::remove_dir_all(&directory);
        return eprintln!("SKIPPED ordinary: users may not make namespaces here");
    }
    let mut command = as_user(&["run", "-r", "-u", "-n", "--hostname", "own", "--", "sleep", "6105"]);
    command.stderr(Stdio::null());
    let sleeper = Running::start(command, "sleep");
    let (entered, told) =
        text(as_user(&["enter", "-t", &sleeper.pid(), "-a", "--", "sh", "-c", "hostname; id -u"]));
    let (refused, hint) = text(as_user(&["run", "-n", "--", "true"]));
    let _ = std::fs::remove_dir_all(&directory);
    assert_eq!(made, "own\n0\n", "{errors}");
    assert_eq!(entered, "own\n0\n", "{told}");
    assert!(refused.is_empty() && hint.contains("-r to be root in it"), "{hint}");
}

#[test]
fn a_program_in_a_child_gets_signals_and_gives_its_status() {
    if !root("child") {
        return;
    }
    assert_eq!(holm(&["run", "-p", "--", "sh", "-c", "exit 7"]).status.code(), Some(7));
    assert_eq!(holm(&["run", "-f", "-u", "--", "sh", "-c", "kill -9 $$"]).status.code(), Some(137));
    assert_eq!(holm(&["run", "-u", "--", "/no/such/program"]).status.code(), Some(127));
    assert_eq!(holm(&["run", "-u", "--", "/"]).status.code(), Some(126));
    let script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    let mut child = Command::new(HOLM)
        .args(["ns", "run", "-f", "-u", "--", "sh", "-c", script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(9));
}

#[test]
fn a_child_dies_with_holm_when_asked_to() {
    if !root("kill-child") {
        return;
    }
    let mut child = Command::new(HOLM)
        .args([
            "ns",
            "run",
            "-u",
            "--kill-child",
            "-S",
            "65531",
            "--",
            "sh",
            "-c",
            "echo $$; exec sleep 6106",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line)
        .unwrap();
    let inner = PathBuf::from(format!("/proc/{}", line.trim()));
    assert!(inner.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    let lives = || std::fs::read_to_string(inner.join("cmdline")).is_ok_and(|it| it.contains("6106"));
    while lives() {
        assert!(Instant::now() < until, "it lives on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn maps_capabilities_root_and_directory_are_as_asked() {
    if !root("maps") {
        return;
    }
    let map = prints(&[
        "run",
        "--map-users",
        "0:100000:10",
        "--map-users",
        "20:200000:5",
        "--",
        "cat",
        "/proc/self/uid_map",
    ]);
    let words: Vec<_> = map.split_whitespace().collect();
    assert_eq!(words, ["0", "100000", "10", "20", "200000", "5"]);
    let ids = prints(&["run", "-c", "--map-user", "7", "--", "id", "-u"]);
    assert_eq!(ids, "7\n");
    let denied = prints(&["run", "-r", "--setgroups", "deny", "--", "cat", "/proc/self/setgroups"]);
    assert_eq!(denied, "deny\n");
    let status = |flags: &[&str]| {
        let mut args = vec!["run", "--map-users", "0:100000:10", "--map-groups", "0:100000:10", "-S", "5"];
        args.extend(flags);
        args.extend(["--", "grep", "CapEff", "/proc/self/status"]);
        prints(&args)
    };
    assert!(status(&[]).trim_end().ends_with("0000000000000000"));
    assert!(!status(&["--keep-caps"]).trim_end().ends_with("0000000000000000"));
    let Some(tree) = Tree::new("maps") else { return };
    assert_eq!(
        prints(&["run", "-m", "-R", tree.path(), "-w", "/lib", "--", "/bin/busybox", "pwd"]),
        "/lib\n"
    );
    let offset = prints(&[
        "run",
        "-T",
        "--monotonic",
        "-1",
        "--boottime",
        "5",
        "--",
        "cat",
        "/proc/self/timens_offsets",
    ]);
    assert!(offset.split_whitespace().eq(["monotonic", "-1", "0", "boottime", "5", "0"]), "{offset}");
}

#[test]
fn the_working_directory_does_not_stay_outside_of_a_changed_root() {
    if !root("directory") {
        return;
    }
    let Some(tree) = Tree::new("directory") else { return };
    let mut command = Command::new("unshare");
    command.args(["-m", "sleep", "6107"]);
    let sleeper = Running::start(command, "sleep");
    let enter = |flags: &[&str]| {
        let mut args = vec!["enter", "-t"];
        let pid = sleeper.pid();
        args.push(&pid);
        args.extend(flags);
        args.extend(["--", "/bin/busybox", "pwd"]);
        let output = Command::new(HOLM).arg("ns").args(&args).current_dir("/tmp").output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(enter(&["-m"]), "/\n");
    assert_eq!(enter(&["-u", &format!("--root={}", tree.path())]), "/\n");
    assert_eq!(enter(&["-m", "--wd=/usr"]), "/usr\n");
    assert_eq!(enter(&["-m", "--wdns", "/etc"]), "/etc\n");
}

#[test]
fn every_kind_is_held_by_a_name_entered_and_released() {
    if !root("every kind") {
        return;
    }
    let said = apart(
        r#"
        for kind in user mnt net ipc uts cgroup time; do
            flag=$kind
            [ $kind != mnt ] || flag=mount
            $HOLM ns hold $kind box
            own=$(readlink /proc/self/ns/$kind)
            inside=$($HOLM ns enter --preserve-credentials --$flag=box -- readlink /proc/self/ns/$kind)
            [ "$inside" != "$own" ] || echo "$kind: not entered"
            $HOLM ns inspect $kind:box | grep -q '^  held by  *box$' || echo "$kind: not told"
            number=${inside#*[} number=${number%]}
            $HOLM ns list -t $kind | grep -q "^$number .* box *$" || echo "$kind: not listed"
            $HOLM ns release $kind box
            # The number may be another one's by now.
            ! $HOLM ns list -t $kind | grep -q "^$number .* box *$" || echo "$kind: not released"
        done
        # A pid namespace lives as long as its first process, whose namespace it is that gets the name.
        $HOLM ns run --pid --kill-child -- sleep 6108 &
        children=/proc/$!/task/$!/children
        until first=$(cat $children) && [ -n "$first" ]; do sleep 0.05; done
        first=${first% }
        until [ "$(cat /proc/$first/comm)" = sleep ]; do sleep 0.05; done
        $HOLM ns hold pid box -t $first
        $HOLM ns enter --pid=box -- sh -c 'echo "I am $$"'
        kill -KILL $first
        wait $! || true
        $HOLM ns enter --pid=box -- true 2>&1 | head -n 2
        $HOLM ns release pid box
        "#,
    );
    let mut lines = said.lines();
    let number =
        lines.next().and_then(|line| line.strip_prefix("I am ")).and_then(|it| it.parse::<u32>().ok());
    assert!(number.is_some_and(|number| (2..100).contains(&number)), "{said}");
    let refusal = lines.next().unwrap_or_default();
    assert!(refusal.starts_with("error: "), "{said}");
    assert!(lines.next().is_some_and(|line| line.starts_with("  ")), "{said}");
    assert_eq!(lines.next(), None, "{said}");
}

/// Linux 6.18 numbers namespaces by processor, and refuses to bind a mount namespace with a lower number than ours has (EINVAL).
#[test]
fn a_mount_namespace_is_held_whichever_processor_makes_it() {
    if !root("whichever processor") {
        return;
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    for ours in 0..processors {
        let output = Command::new("taskset")
            .args(["-c", &ours.to_string(), "unshare", "--mount", "sh", "-ec"])
            .arg(format!(
                "mount -t tmpfs none /run
                 for cpu in $(seq 0 {}); do
                     taskset -cp $cpu $$ >/dev/null || continue
                     $HOLM ns hold mnt cpu$cpu
                     $HOLM ns run --mount=run$cpu --propagation slave -- true
                     $HOLM ns enter --mount=cpu$cpu -- true
                     $HOLM ns enter --mount=run$cpu -- true
                     taskset -cp $$
                 done",
                processors - 1
            ))
            .env("HOLM", HOLM)
            .output();
        let output = match output {
            Ok(output) => output,
            Err(error) => return eprintln!("SKIPPED whichever processor: taskset: {error}"),
        };
        assert!(output.status.success(), "from {ours}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_failed_request_holds_nothing() {
    if !root("undo") {
        return;
    }
    let left = apart(
        "$HOLM ns run --uts=box --net=blue --hostname x --boottime 5 -- true 2>/dev/null || true; \
         $HOLM ns run --uts=box --net=blue -T --boottime -99999999999 -- true 2>/dev/null || true; \
         $HOLM ns hold pid nobody 2>/dev/null || true; \
         $HOLM ns hold net blue; $HOLM ns run --uts=box --net=blue -- true 2>/dev/null || true; \
         $HOLM ns hold mnt loop --target $$ 2>/dev/null || true; \
         find /run -type f; grep -c nsfs /proc/self/mountinfo",
    );
    assert_eq!(left, "/run/netns/blue\n1\n");
}

#[test]
fn what_is_wrong_gets_one_clear_line() {
    for (args, part) in [
        (&["list", "-t", "moon"][..], "`moon` is not a kind of namespace"),
        (&["list", "-p", "0"], "`0` is not a process id"),
        (&["inspect", "nothing-of-that-name"], "no namespace is held as `nothing-of-that-name`"),
        (&["inspect", "/etc/passwd"], "/etc/passwd is not a namespace"),
        (&["enter", "--", "true"], "nothing to enter"),
        (&["enter", "-n", "--", "true"], "no process is named to take it from"),
        (&["enter", "-t", "4194303", "-n", "--", "true"], "there is no process 4194303"),
        (&["enter", "--net=/proc/self/ns/uts", "--", "true"], "is not a net namespace"),
        (&["enter", "-t", "1", "-S", "x", "--", "true"], "--setuid `x` is not an id"),
        (&["run", "--", "true"], "no new namespace is asked for"),
        (&["run", "-U", "--map-users", "1:2", "--", "true"], "`1:2` maps no ids"),
        (&["run", "-m", "--propagation", "loud", "--", "true"], "--propagation `loud` is not known"),
        (&["run", "-T", "--boottime", "soon", "--", "true"], "`soon` is not a number of seconds"),
        (&["hold", "net", "../x"], "is not a name for a namespace"),
        (&["hold", "net", "x", "--file", "/proc/self/ns/uts"], "is not a net namespace"),
        (&["release", "net", "nothing-of-that-name"], "no net namespace is held"),
    ] {
        let output = holm(args);
        assert_eq!(output.status.code(), Some(125), "{args:?}");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let first = errors.lines().next().unwrap_or_default();
        assert!(first.starts_with("error: ") && first.contains(part), "{args:?}: {errors}");
    }
    assert!(!Path::new("/run/netns/x").exists());
}
