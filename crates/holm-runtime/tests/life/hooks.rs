//! Hooks: when they run, where, with what on standard input, and what a failure does.

use serde_json::{Value, json};

use crate::Container;

/// A bundle whose hooks write what they were told to `log/NAME` of the bundle, and where they were.
fn container(test: &str) -> Option<Container> {
    let mut container = Container::new(test)?;
    let dir = container.bundle.dir.clone();
    let log = dir.join("rootfs/log");
    std::fs::create_dir(&log).expect("a directory");
    let sh = dir.join("rootfs/bin/sh").display().to_string();
    let hook = |name: &str, path: &str, log: &str| {
        let script =
            format!("cat > {log}/{name}.json; /bin/echo {name} >> {log}/order; hostname > {log}/{name}.host");
        json!([{"path": path, "args": ["sh", "-c", script], "env": [format!("PATH={}", if log == "/log" { "/bin".into() } else { dir.join("rootfs/bin").display().to_string() })]}])
    };
    let outside = log.display().to_string();
    container.bundle.config["hooks"] = json!({
        "prestart": hook("prestart", &sh, &outside),
        "createRuntime": hook("createRuntime", &sh, &outside),
        "createContainer": hook("createContainer", &sh, &outside),
        "startContainer": hook("startContainer", "/bin/sh", "/log"),
        "poststart": hook("poststart", &sh, &outside),
        "poststop": hook("poststop", &sh, &outside),
    });
    container.bundle.config["hostname"] = json!("inside");
    container.bundle.config["root"]["readonly"] = json!(false);
    container.bundle.script("echo program >> /log/order");
    Some(container)
}

impl Container {
    fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.bundle.rootfs("log").join(name)).unwrap_or_default()
    }

    fn order(&self) -> Vec<String> {
        self.log("order").lines().map(str::to_owned).collect()
    }

    fn told(&self, name: &str) -> Value {
        serde_json::from_str(&self.log(&format!("{name}.json"))).unwrap_or_default()
    }

    fn hook(&mut self, name: &str, script: &str) {
        self.bundle.config["hooks"] = json!({name: [{"path": "/bin/sh", "args": ["sh", "-c", script]}]});
        self.bundle.write();
    }
}

const ORDER: [&str; 7] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "program", "poststart", "poststop"];

/// The program and `poststart` run beside each other.
fn sorted(mut order: Vec<String>) -> Vec<String> {
    order.sort_by_key(|name| ORDER.iter().position(|known| known == name));
    order
}

#[test]
fn hooks_run_in_the_order_of_the_specification_each_in_its_place() {
    let Some(container) = container("hooks_in_order") else { return };
    container.bundle.write();
    container.does("create");
    assert_eq!(container.order(), ORDER[..3]);
    let pid = container.state()["pid"].clone();
    container.does("start");
    container.becomes("stopped");
    assert_eq!(sorted(container.order()), ORDER[..6]);
    container.does("delete");
    container.is_gone();
    assert_eq!(sorted(container.order()), ORDER);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a host name");
    for (name, status, number, place) in [
        ("prestart", "creating", &pid, host.as_str()),
        ("createRuntime", "creating", &pid, &host),
        ("createContainer", "creating", &json!(1), ""),
        ("startContainer", "created", &json!(1), "inside\n"),
        ("poststart", "running", &pid, &host),
        ("poststop", "stopped", &Value::Null, &host),
    ] {
        let told = container.told(name);
        assert_eq!((&told["status"], &told["pid"]), (&json!(status), number), "{name}: {told}");
        assert_eq!(told["id"], container.id(), "{name}");
        assert_eq!(told["bundle"], container.bundle.dir.display().to_string(), "{name}");
        if !place.is_empty() {
            assert_eq!(container.log(&format!("{name}.host")), place, "{name}");
        }
    }
}

#[test]
fn a_run_in_the_foreground_runs_all_hooks() {
    let Some(container) = container("hooks_of_run") else { return };
    let ran = container.bundle.run();
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert_eq!(sorted(container.order()), ORDER);
}

#[test]
fn hooks_work_in_a_user_namespace() {
    let Some(mut container) = container("hooks_in_user") else { return };
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    container.bundle.config["linux"]["uidMappings"] = map.clone();
    container.bundle.config["linux"]["gidMappings"] = map;
    let namespaces = container.bundle.config["linux"]["namespaces"].as_array_mut().expect("namespaces");
    namespaces.push(json!({"type": "user"}));
    for path in ["log", ""] {
        std::os::unix::fs::chown(container.bundle.rootfs(path), Some(100_000), Some(100_000)).expect("chown");
    }
    container.bundle.config["hooks"]["prestart"] = json!([]);
    container.bundle.config["hooks"]["createRuntime"] = json!([]);
    // Those of the host would make files of root's first.
    container.bundle.config["hooks"]["poststart"] = json!([]);
    let ran = container.bundle.run();
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert_eq!(container.order(), ["createContainer", "startContainer", "program", "poststop"]);
}

#[test]
fn a_hook_has_only_the_environment_that_is_configured() {
    let Some(mut container) = Container::new("hook_environment") else { return };
    let file = container.bundle.dir.join("environment");
    container.bundle.config["hooks"] = json!({"createRuntime": [
        {"path": "/bin/busybox", "args": ["cp", "/proc/self/environ", file], "env": ["ONLY=this"]}
    ]});
    container.bundle.write();
    container.does("create");
    let text = std::fs::read_to_string(&file).expect("what the hook wrote");
    assert_eq!(text, "ONLY=this\0");
}

#[test]
fn a_hook_that_fails_before_the_start_ends_the_creation_and_leaves_nothing() {
    for name in ["prestart", "createRuntime", "createContainer"] {
        let Some(mut container) = Container::new(&format!("failing_{name}")) else { return };
        container.hook(name, "echo what is wrong >&2; exit 3");
        let said = container.fails(&["create", container.id()]);
        assert!(
            said.contains(&format!(
                "error running {name} hook #0: /bin/sh exited with status 3: what is wrong"
            )),
            "{said}"
        );
        container.is_gone();
    }
}

#[test]
fn a_hook_that_fails_at_the_start_takes_the_container_away() {
    for name in ["startContainer", "poststart"] {
        let Some(mut container) = Container::new(&format!("failing_{name}")) else { return };
        container.bundle.script("sleep 1000");
        container.hook(name, "exit 4");
        container.does("create");
        let said = container.fails(&["start", container.id()]);
        assert!(
            said.contains(&format!("error running {name} hook #0: /bin/sh exited with status 4")),
            "{said}"
        );
        container.is_gone();
        let said = container.fails(&["run", container.id()]);
        assert!(said.contains(&format!("error running {name} hook #0")), "{said}");
        container.is_gone();
    }
}

#[test]
fn a_poststop_hook_that_fails_only_warns_and_the_others_run() {
    let Some(mut container) = Container::new("failing_poststop") else { return };
    let file = container.bundle.dir.join("second");
    let second = format!("echo ran > {}", file.display());
    container.bundle.config["hooks"] = json!({"poststop": [
        {"path": "/bin/false"}, {"path": "/bin/sh", "args": ["sh", "-c", second]}
    ]});
    container.bundle.write();
    container.does("create");
    let ran = container.call(&["delete", container.id()]);
    assert_eq!(ran.code, Some(0));
    assert!(
        ran.err.starts_with("warning: error running poststop hook #0: /bin/false exited with status 1"),
        "{ran:?}"
    );
    assert!(file.exists(), "the second ran");
    container.is_gone();
}

#[test]
fn a_hook_that_takes_longer_than_its_timeout_is_killed() {
    let Some(mut container) = Container::new("hook_timeout") else { return };
    container.bundle.config["hooks"] =
        json!({"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "1000"], "timeout": 1}]});
    container.bundle.write();
    let said = container.fails(&["create", container.id()]);
    assert!(said.contains("was killed: it did not end within 1 s"), "{said}");
    container.is_gone();
}

#[test]
fn a_hook_that_is_not_there_is_named() {
    let Some(mut container) = Container::new("hook_missing") else { return };
    container.bundle.config["hooks"] = json!({"prestart": [{"path": "/missing/hook"}]});
    container.bundle.write();
    let said = container.fails(&["create", container.id()]);
    assert!(said.contains("error running prestart hook #0: /missing/hook could not be started"), "{said}");
    container.is_gone();
}

#[test]
fn a_start_container_hook_has_the_rights_of_the_program_and_no_other() {
    let Some(mut container) = Container::new("hook_held") else { return };
    let hook = |script: &str| json!({"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]});
    container.bundle.config["root"]["readonly"] = json!(false);
    container.bundle.config["process"]["user"] = json!({"uid": 12, "gid": 34});
    container.bundle.config["process"]["capabilities"] = json!({"bounding": ["CAP_KILL"]});
    container.bundle.config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS"}],
    });
    container.bundle.config["hooks"] =
        hook("grep -E '^(Uid|Gid|CapEff|CapBnd|Seccomp):' /proc/self/status; exit 1");
    container.bundle.script("true").write();
    let said = container.fails(&["run", container.id()]);
    for line in [
        "Uid: 12 12 12 12",
        "Gid: 34 34 34 34",
        "CapEff: 0000000000000000",
        "CapBnd: 0000000000000020",
        "Seccomp: 2",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    container.is_gone();
    container.bundle.config["hooks"] = hook("exec mkdir /dev/shm/x");
    container.bundle.write();
    for create_first in [false, true] {
        let said = match create_first {
            false => container.fails(&["run", container.id()]),
            true => {
                container.does("create");
                container.fails(&["start", container.id()])
            }
        };
        assert!(
            said.contains("error running startContainer hook #0") && said.contains("bad system call"),
            "{said}"
        );
        container.is_gone();
    }
}
