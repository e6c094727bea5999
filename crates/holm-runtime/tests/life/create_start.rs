//! Creating, starting, looking at, killing and deleting.

use std::io::Read;
use std::os::unix::net::UnixListener;

use serde_json::json;

use crate::Container;

#[test]
fn a_container_is_created_started_killed_and_deleted() {
    let Some(mut container) = Container::new("created_started") else { return };
    container.bundle.config["annotations"] = json!({"org.example.key": "value"});
    container.bundle.script("echo started; exec sleep 1000").write();
    container.does("create");
    assert_eq!(container.output(), "", "nothing of the program ran");
    let state = container.state();
    assert_eq!(state["status"], "created");
    assert_eq!(state["ociVersion"], "1.3.0");
    assert_eq!(state["bundle"], container.bundle.dir.display().to_string());
    assert_eq!(state["rootfs"], container.bundle.rootfs("").display().to_string().trim_end_matches('/'));
    assert_eq!(state["annotations"]["org.example.key"], "value");
    assert_eq!(state["owner"], "root");
    assert!(state["created"].as_str().is_some_and(|time| time.ends_with('Z') && time.starts_with("20")));
    let pid = state["pid"].as_i64().expect("a process");
    container.does("start");
    assert_eq!((container.status().as_str(), container.state()["pid"].as_i64()), ("running", Some(pid)));
    let said = container.fails(&["start", container.id()]);
    assert!(said.contains("was started already"), "{said}");
    let said = container.fails(&["delete", container.id()]);
    assert!(said.contains("is running, not stopped"), "{said}");
    container.does_all(&["kill", "--all"]);
    let ran = container.call(&["kill", container.id(), "KILL"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    container.becomes("stopped");
    let said = container.fails(&["kill", container.id()]);
    assert!(said.contains("container not running"), "{said}");
    container.does("delete");
    container.is_gone();
    let said = container.fails(&["state", container.id()]);
    assert!(said.contains("does not exist"), "{said}");
    container.does_all(&["delete", "--force"]);
}

#[test]
fn a_container_that_was_never_started_is_deleted_without_force() {
    let Some(container) = Container::new("never_started") else { return };
    container.bundle.write();
    container.does("create");
    container.does("delete");
    container.is_gone();
}

#[test]
fn create_tells_that_a_program_is_missing_or_may_not_be_executed() {
    let Some(mut container) = Container::new("cannot_be_found") else { return };
    std::fs::write(container.bundle.rootfs("bin/text"), "text").expect("a file");
    for (program, said) in [
        ("/bin/missing", "exec /bin/missing: no such file or directory"),
        ("missing", "exec: \"missing\": executable file not found in $PATH"),
        ("/bin/text", "exec /bin/text: permission denied"),
        ("/bin", "exec /bin: permission denied"),
    ] {
        container.bundle.config["process"]["args"] = json!([program]);
        container.bundle.write();
        let told = container.fails(&["create", container.id()]);
        assert!(told.contains(said) && told.lines().count() == 1, "{told}");
        container.is_gone();
    }
}

#[test]
fn start_tells_why_a_program_cannot_be_executed() {
    use std::os::unix::fs::PermissionsExt;
    let Some(mut container) = Container::new("cannot_be_executed") else { return };
    let script = container.bundle.rootfs("bin/script");
    std::fs::write(&script, "#!/missing/interpreter\n").expect("a script");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    container.bundle.config["process"]["args"] = json!(["/bin/script"]);
    container.bundle.write();
    container.does("create");
    let said = container.fails(&["start", container.id()]);
    assert!(said.contains("execute /bin/script"), "{said}");
    assert!(said.contains("exec /bin/script: no such file or directory"), "{said}");
    container.becomes("stopped");
    let said = container.fails(&["start", container.id()]);
    assert!(said.contains("has stopped"), "{said}");
    container.does("delete");
    container.is_gone();
}

#[test]
fn a_container_that_waits_holds_nothing_of_its_caller_or_of_the_host() {
    let Some(container) = Container::new("waits_with_little") else { return };
    container.bundle.write();
    let runtime = container.command(&["create", container.id()]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "exec 3</etc/passwd 4</; exec \"$0\" \"$@\" >/dev/null 2>&1 </dev/null"]);
    shell.arg(runtime.get_program()).args(runtime.get_args()).current_dir(&container.bundle.dir);
    assert!(shell.status().expect("sh").success());
    let pid = container.state()["pid"].as_i64().expect("a pid");
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors").flatten();
    let mut beyond: Vec<_> = open
        .filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok_and(|number| number > 2))
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .collect();
    // Its own: the socket for the start, that to its maker, and what tells it of signals.
    beyond.retain(|target| {
        let target = target.to_string_lossy();
        !target.starts_with("socket:") && target != "anon_inode:[signalfd]"
    });
    assert!(beyond.is_empty(), "{beyond:?}");
    container.does_all(&["delete", "--force"]);
    container.is_gone();
}

#[test]
fn a_container_that_waits_is_ended_by_a_signal_that_ends_programs() {
    for signal in ["TERM", "INT", "KILL"] {
        let Some(container) = Container::new(&format!("waits_{signal}")) else { return };
        container.bundle.write();
        container.does("create");
        let ran = container.call(&["kill", container.id(), signal]);
        assert_eq!(ran.code, Some(0), "{signal}: {ran:?}");
        container.becomes("stopped");
        container.does("delete");
        container.is_gone();
    }
}

#[test]
fn the_configuration_is_read_once() {
    let Some(mut container) = Container::new("read_once") else { return };
    container.bundle.script("echo before").write();
    container.does("create");
    std::fs::write(container.bundle.dir.join("config.json"), "{}").expect("config.json");
    container.does("start");
    container.becomes("stopped");
    container.does("delete");
    container.is_gone();
}

#[test]
fn of_many_creations_of_one_id_one_succeeds_and_of_many_starts_one() {
    let Some(mut container) = Container::new("one_succeeds") else { return };
    container.bundle.script("exec sleep 1000").write();
    for command in ["create", "start"] {
        let spawn = |_| {
            let mut command = container.bundle.runtime(&[command, container.id()]);
            command
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .spawn()
                .expect("holm-runtime")
        };
        let children: Vec<_> = (0..8).map(spawn).collect();
        let codes: Vec<_> =
            children.into_iter().map(|mut child| child.wait().expect("wait").code()).collect();
        assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{command}: {codes:?}");
    }
    assert_eq!(container.status(), "running");
    container.does_all(&["delete", "--force"]);
    container.is_gone();
}

#[test]
fn the_process_number_is_in_its_file_when_the_command_ends() {
    let Some(container) = Container::new("pid_file") else { return };
    container.bundle.write();
    let file = container.bundle.dir.join("pid");
    container.does_all(&["create", "--pid-file", file.to_str().expect("a path")]);
    let pid = std::fs::read_to_string(&file).expect("the file");
    assert_eq!(container.state()["pid"].to_string(), pid);
    container.does("delete");
}

#[test]
fn a_launch_whose_file_cannot_be_written_leaves_nothing() {
    let Some(container) = Container::new("pid_file_nowhere") else { return };
    container.bundle.write();
    let said = container.fails(&["create", "--pid-file", "/nowhere/at/all", container.id()]);
    assert!(said.contains("/nowhere/at/.all"), "{said}");
    container.is_gone();
}

#[test]
fn the_terminal_is_sent_to_the_console_socket() {
    let Some(mut container) = Container::new("console_socket") else { return };
    container.bundle.config["process"]["terminal"] = json!(true);
    container.bundle.script("test -t 0 && echo a terminal").write();
    let said = container.fails(&["create", container.id()]);
    assert!(said.contains("--console-socket"), "{said}");
    let socket = container.bundle.dir.join("console");
    let listener = UnixListener::bind(&socket).expect("a socket");
    container.does_all(&["create", "--console-socket", socket.to_str().expect("a path")]);
    let (stream, _) = listener.accept().expect("a connection");
    let mut name = [0; 64];
    let (len, mut fds) = sys::channel::receive(&stream, &mut name).expect("a message");
    assert_eq!((&name[..len], fds.len()), (&b"/dev/ptmx"[..], 1));
    container.does("start");
    let mut written = Vec::new();
    let mut terminal = std::fs::File::from(fds.remove(0));
    // The end of a pseudoterminal is an error, EIO.
    let _ = terminal.read_to_end(&mut written);
    assert_eq!(String::from_utf8_lossy(&written), "a terminal\r\n");
    container.does_all(&["delete", "--force"]);
    container.is_gone();
}

#[test]
fn a_handle_of_the_process_is_sent_to_the_pidfd_socket() {
    let Some(container) = Container::new("pidfd_socket") else { return };
    container.bundle.write();
    let socket = container.bundle.dir.join("pidfd");
    let listener = UnixListener::bind(&socket).expect("a socket");
    container.does_all(&["create", "--pidfd-socket", socket.to_str().expect("a path")]);
    let (stream, _) = listener.accept().expect("a connection");
    let (_, fds) = sys::channel::receive(&stream, &mut [0; 64]).expect("a message");
    rustix::process::pidfd_send_signal(&fds[0], rustix::process::Signal::KILL).expect("a process handle");
    container.becomes("stopped");
}

#[test]
fn descriptors_are_passed_when_asked_for_and_told_when_they_are_not_open() {
    let Some(mut container) = Container::new("preserve_fds") else { return };
    container.bundle.script("cat <&3").write();
    let said = container.fails(&["run", "--preserve-fds", "1000", container.id()]);
    assert!(said.contains("is not open"), "{said}");
    container.is_gone();
    let script = format!(
        "echo passed > handed; exec 3<handed; LISTEN_FDS=1 LISTEN_PID=$$ exec {} --root state run {}",
        env!("CARGO_BIN_EXE_holm-runtime"),
        container.id()
    );
    container.bundle.script("cat <&3; echo $LISTEN_FDS $LISTEN_PID").write();
    let mut shell = std::process::Command::new("sh");
    let output = shell.args(["-c", &script]).current_dir(&container.bundle.dir).output().expect("sh");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "passed\n1 1\n", "{output:?}");
}

#[test]
fn a_detached_container_runs_on_and_a_kept_one_stays() {
    let Some(mut container) = Container::new("detached") else { return };
    container.bundle.script("sleep 1000").write();
    container.does_all(&["run", "--detach"]);
    assert_eq!(container.status(), "running");
    container.does_all(&["delete", "-f"]);
    container.is_gone();
    container.bundle.script("exit 7").write();
    let ran = container.call(&["run", "--keep", container.id()]);
    assert_eq!(ran.code, Some(7), "{ran:?}");
    assert_eq!(container.status(), "stopped");
    container.does("delete");
    container.is_gone();
}

#[test]
fn list_shows_what_runc_shows() {
    let Some(container) = Container::new("list") else { return };
    container.bundle.write();
    let said = container.fails(&["list"]);
    assert!(said.contains("no such file or directory"), "a root that was asked for: {said}");
    std::fs::create_dir(container.bundle.dir.join("state")).expect("a root without containers");
    assert_eq!(container.call(&["list", "-f", "json"]).out, "null\n");
    container.does("create");
    assert_eq!(container.call(&["list", "--quiet"]).out, format!("{}\n", container.id()));
    let table = container.call(&["list"]).out;
    let heads: Vec<_> = table.lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(heads, ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    let all: serde_json::Value =
        serde_json::from_str(&container.call(&["list", "--format=json"]).out).expect("JSON");
    assert_eq!(all, json!([container.state()]));
}

#[test]
fn a_frozen_container_is_shown_paused_killed_and_deleted() {
    let Some(mut container) = Container::new("frozen") else { return };
    container.bundle.script("sleep 1000").write();
    container.does_all(&["run", "--detach"]);
    let mut freezers = container.bundle.left();
    freezers.retain(|path| path.join("freezer.state").exists() || path.join("cgroup.freeze").exists());
    let freezer = freezers.iter().find(|path| path.join("freezer.state").exists()).or(freezers.first());
    let Some(freezer) = freezer else { return eprintln!("SKIPPED a_frozen_container: it needs a freezer") };
    let (file, value) = match freezer.join("freezer.state") {
        file if file.exists() => (file, "FROZEN"),
        _ => (freezer.join("cgroup.freeze"), "1"),
    };
    std::fs::write(&file, value).expect("freeze");
    container.becomes("paused");
    let ran = container.call(&["kill", container.id(), "9"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    container.becomes("stopped");
    container.does("delete");
    container.does_all(&["run", "--detach"]);
    std::fs::write(&file, value).expect("freeze");
    container.does_all(&["delete", "--force"]);
    container.is_gone();
}
