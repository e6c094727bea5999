//! `NOTIFY_SOCKET`: what a program says of itself reaches who supervises it.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::Container;
use crate::common::{Bundle, Ran};

/// A supervisor: a socket of the test's own.
struct Supervisor {
    socket: UnixDatagram,
}

impl Supervisor {
    fn at(bundle: &Bundle) -> (Self, String) {
        let path = bundle.dir.join("supervisor");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        (Self::of(socket), path.display().to_string())
    }

    fn of(socket: UnixDatagram) -> Self {
        socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        Self { socket }
    }

    /// Without room for descriptors those that come are closed, which is the answer to a barrier.
    fn next(&self) -> String {
        let mut bytes = [0; 256];
        let len = self.socket.recv(&mut bytes).expect("a message");
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    }

    fn has_more(&self) -> bool {
        self.socket.set_nonblocking(true).expect("fcntl");
        let more = self.socket.recv(&mut [0; 16]).is_ok();
        self.socket.set_nonblocking(false).expect("fcntl");
        more
    }
}

/// A container with the program `say`, which sends its arguments to the socket that its environment names: busybox has none for that.
fn container(test: &str, script: &str) -> Option<Container> {
    let mut container = Container::new(test)?;
    let bundle = &mut container.bundle;
    bundle.script(script);
    bundle.config["root"]["readonly"] = json!(false);
    bundle.config["process"]["env"] = json!(["PATH=/bin"]);
    let say = bundle.rootfs("bin/say");
    let built = Command::new("sh").args(["-c", SAY, "sh"]).arg(&say).output().expect("sh");
    if !built.status.success() {
        eprintln!(
            "SKIPPED {test}: the program in the container cannot be built: {}",
            String::from_utf8_lossy(&built.stderr)
        );
        return None;
    }
    Some(container)
}

const SAY: &str = r#"
command -v cc >/dev/null || { echo "there is no C compiler" >&2; exit 1; }
cat <<'END' | cc -x c -static -o "$1" -
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
int main(int argc, char **argv) {
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    char *name = getenv("NOTIFY_SOCKET");
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (!name || fd < 0) return 9;
    strncpy(to.sun_path, name, sizeof to.sun_path - 1);
    for (int i = 1; i < argc; i++)
        if (sendto(fd, argv[i], strlen(argv[i]), 0, (struct sockaddr *)&to, sizeof to) < 0) return 1;
    return 0;
}
END
"#;

fn with(mut command: Command, socket: &str) -> Command {
    command.env("NOTIFY_SOCKET", socket);
    command
}

fn delete(bundle: &Bundle) {
    let ran = Ran::of(&bundle.runtime(&["delete", "--force", &bundle.id]).output().expect("holm-runtime"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(bundle.left().is_empty(), "{:?}", bundle.left());
}

fn pid(bundle: &Bundle) -> i64 {
    let out = bundle.runtime(&["state", &bundle.id]).output().expect("holm-runtime").stdout;
    serde_json::from_slice::<serde_json::Value>(&out).expect("JSON")["pid"].as_i64().expect("a pid")
}

fn silent(mut command: Command) -> Command {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn start_returns_when_the_program_is_ready_and_tells_its_pid() {
    let Some(container) = container(
        "notify_start",
        "echo $NOTIFY_SOCKET >/said; say MAINPID=1 STATUS=x 'STATUS=y\nREADY=1'; sleep 1000",
    ) else {
        return;
    };
    let bundle = &container.bundle;
    let (supervisor, path) = Supervisor::at(bundle);
    bundle.write();
    assert!(silent(with(bundle.runtime(&["create", &bundle.id]), &path)).status().expect("create").success());
    assert!(!supervisor.has_more());
    let start = with(bundle.runtime(&["start", &bundle.id]), &path).spawn().expect("start");
    assert_eq!(supervisor.next(), "READY=1");
    assert_eq!(supervisor.next(), format!("MAINPID={}", pid(bundle)));
    assert_eq!(supervisor.next(), "BARRIER=1");
    let ran = Ran::of(&start.wait_with_output().expect("start"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!supervisor.has_more());
    assert_eq!(std::fs::read_to_string(bundle.rootfs("said")).expect("a file"), "/run/notify/notify.sock\n");
    delete(bundle);
}

#[test]
fn a_detached_run_tells_an_abstract_socket_from_a_user_namespace() {
    let Some(mut container) = container("notify_run", "say READY=1; sleep 1000") else { return };
    let bundle = &mut container.bundle;
    bundle.config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({"type": "user"}));
    let maps = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    bundle.config["linux"]["uidMappings"] = maps.clone();
    bundle.config["linux"]["gidMappings"] = maps;
    bundle.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    std::os::unix::fs::chown(bundle.rootfs(""), Some(100_000), Some(100_000)).expect("chown");
    bundle.write();
    let name = format!("{}-supervisor", bundle.id);
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let supervisor = Supervisor::of(UnixDatagram::bind_addr(&address).expect("a socket"));
    let run = silent(with(bundle.runtime(&["run", "--detach", &bundle.id]), &format!("@{name}"))).spawn();
    assert_eq!(supervisor.next(), "READY=1");
    assert_eq!(supervisor.next(), format!("MAINPID={}", pid(bundle)));
    assert_eq!(supervisor.next(), "BARRIER=1");
    assert!(run.expect("run").wait().expect("run").success());
    delete(bundle);
}

#[test]
fn an_attended_run_is_the_main_process_itself() {
    let Some(container) = container("notify_attended", "say READY=1; say READY=1; exit 5") else { return };
    let bundle = &container.bundle;
    let (supervisor, path) = Supervisor::at(bundle);
    let run = with(bundle.command(), &path).spawn().expect("run");
    let pid = run.id();
    let ran = Ran::of(&run.wait_with_output().expect("run"));
    assert_eq!(ran.code, Some(5), "{ran:?}");
    assert_eq!(supervisor.next(), "READY=1");
    assert_eq!(supervisor.next(), format!("MAINPID={pid}"));
    assert!(!supervisor.has_more());
    assert!(bundle.left().is_empty(), "{:?}", bundle.left());
}

#[test]
fn a_program_that_ends_without_a_word_is_not_waited_for() {
    let Some(mut container) = Container::new("notify_end") else { return };
    let bundle = &mut container.bundle;
    bundle.script("exit 0").write();
    let (supervisor, path) = Supervisor::at(bundle);
    assert!(silent(with(bundle.runtime(&["create", &bundle.id]), &path)).status().expect("create").success());
    let ran = Ran::of(&with(bundle.runtime(&["start", &bundle.id]), &path).output().expect("start"));
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    assert!(!supervisor.has_more());
    delete(bundle);
    // Not asked for at the creation: the start says so, and starts.
    assert!(silent(bundle.runtime(&["create", &bundle.id])).status().expect("create").success());
    let ran = Ran::of(&with(bundle.runtime(&["start", &bundle.id]), &path).output().expect("start"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("NOTIFY_SOCKET was not set when the container was created"), "{ran:?}");
    delete(bundle);
    for bad in ["relative", "vsock:2:5"] {
        let ran = Ran::of(&with(bundle.runtime(&["run", &bundle.id]), bad).output().expect("run"));
        assert!(ran.code == Some(1) && ran.err.contains("is no Unix socket"), "{ran:?}");
    }
    assert!(bundle.left().is_empty(), "{:?}", bundle.left());
}
