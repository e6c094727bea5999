//! Units of the systemd that is process 1 here. Only units made here are touched. `cargo xtask vm-test --lane systemd` runs these
//! tests where there is one.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use report::{Explain, Kind};
use systemd::names::UnitPath;
use systemd::{Bus, Manager, Property, Value};

/// A connection to this host's systemd, or a word about what is missing.
fn manager(test: &str) -> Option<Manager> {
    if !Path::new("/run/systemd/system").is_dir() {
        eprintln!("SKIPPED {test}: systemd is not process 1 here");
        return None;
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED {test}: it needs root");
        return None;
    }
    Some(Manager::connect(Bus::System).expect("the system bus"))
}

/// A unit with one process, both gone when this is dropped.
struct Own {
    unit: UnitPath,
    bus: Bus,
    child: Child,
}

impl Own {
    fn new(name: &str, bus: Bus) -> Self {
        let path = format!(":holm-test:{name}-{}", std::process::id());
        let unit = UnitPath::parse(&path, "", "", bus == Bus::User).unwrap();
        let child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
        Self { unit, bus, child }
    }

    fn start(&self, manager: &mut Manager, properties: &[Property]) -> Result<(), systemd::Error> {
        manager.start(&self.unit, &[self.child.id()], properties)
    }

    /// Where the process is in the hierarchy that systemd keeps units in: v2, or v1 without controllers.
    fn cgroup(&self) -> String {
        let text = std::fs::read_to_string(format!("/proc/{}/cgroup", self.child.id())).unwrap();
        let is_it = |line: &&str| line.contains(":name=systemd:") || line.starts_with("0::");
        let line = text.lines().find(|line| is_it(line) && !line.ends_with(":/")).unwrap_or("0::/");
        line.splitn(3, ':').nth(2).unwrap().to_owned()
    }

    fn ends(&mut self) -> bool {
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            if self.child.try_wait().unwrap().is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Ok(mut manager) = Manager::connect(self.bus) {
            let _ = manager.stop(&self.unit);
        }
    }
}

/// The group's value, if this controller is on v2 here.
fn value(group: &str, file: &str) -> Option<String> {
    let path = PathBuf::from("/sys/fs/cgroup").join(group.trim_start_matches('/')).join(file);
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

#[test]
fn a_scope_starts_with_its_process_is_changed_and_stops() {
    let test = "a_scope_starts_with_its_process_is_changed_and_stops";
    let Some(mut manager) = manager(test) else { return };
    let mut own = Own::new("life", Bus::System);
    own.start(
        &mut manager,
        &[Property::new("TasksMax", Value::U64(11)), Property::new("MemoryMax", Value::U64(64 << 20))],
    )
    .unwrap();
    let group = own.unit.cgroup(&manager.root_cgroup().unwrap());
    assert_eq!(own.cgroup(), format!("/{group}"));
    assert_eq!(manager.unit_cgroup(&own.unit).unwrap(), format!("/{group}"));
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        assert_eq!(value(&group, "pids.max").unwrap(), "11");
        assert_eq!(value(&group, "memory.max").unwrap(), (64 << 20).to_string());
        manager.change(&own.unit, &[Property::new("TasksMax", Value::U64(12))]).unwrap();
        assert_eq!(value(&group, "pids.max").unwrap(), "12");
        assert!(value(&group, "cgroup.controllers").unwrap().contains("memory"));
    } else {
        eprintln!("SKIPPED {test}-values: systemd has no cgroup v2 here");
    }
    manager.stop(&own.unit).unwrap();
    assert!(own.ends(), "the process goes with its unit");
    assert!(manager.unit_cgroup(&own.unit).is_err() || value(&group, "cgroup.procs").is_none());
    manager.stop(&own.unit).expect("that there is no such unit is well");
}

#[test]
fn a_name_is_used_once_and_again_after_its_unit_has_gone() {
    let Some(mut manager) = manager("a_name_is_used_once_and_again_after_its_unit_has_gone") else { return };
    let own = Own::new("name", Bus::System);
    own.start(&mut manager, &[]).unwrap();
    let error = own.start(&mut manager, &[]).unwrap_err();
    assert!(error.is_unit_exists(), "{error}");
    assert_eq!(error.kind(), Kind::AlreadyExists);
    manager.stop(&own.unit).unwrap();
    let mut again = Own::new("other", Bus::System);
    again.unit = own.unit.clone();
    again.start(&mut manager, &[]).unwrap();
}

#[test]
fn what_systemd_does_not_take_is_an_error_with_its_words() {
    let Some(mut manager) = manager("what_systemd_does_not_take_is_an_error_with_its_words") else { return };
    let own = Own::new("bad", Bus::System);
    let error = own.start(&mut manager, &[Property::new("NoSuchProperty", Value::Bool(true))]).unwrap_err();
    assert!(report::render(&error).contains("NoSuchProperty"), "{}", report::render(&error));
    let error =
        own.start(&mut manager, &[Property::new("TasksMax", Value::Text("many".into()))]).unwrap_err();
    assert!(matches!(error, systemd::Error::Answer { .. }), "{error}");
    // The connection serves on.
    assert!(manager.version().unwrap() > 200);
}

#[test]
fn every_type_of_value_is_understood() {
    let Some(mut manager) = manager("every_type_of_value_is_understood") else { return };
    let own = Own::new("types", Bus::System);
    let device = |path: &str, access: &str| (path.to_owned(), access.to_owned());
    let mut properties = vec![
        Property::new("Description", Value::Text("a scope of a test".into())),
        Property::new("After", Value::Texts(vec!["dbus.service".into()])),
        Property::new("DevicePolicy", Value::Text("strict".into())),
        Property::new(
            "DeviceAllow",
            Value::Pairs(vec![device("/dev/null", "rwm"), device("char-pts", "rw")]),
        ),
        Property::new("CPUQuotaPerSecUSec", Value::U64(500_000)),
        Property::new("TimeoutStopUSec", Value::U64(5_000_000)),
        Property::new("CollectMode", Value::Text("inactive-or-failed".into())),
        Property::new("AllowedCPUs", Value::Bytes(vec![1])),
    ];
    if manager.version().unwrap() >= 253 {
        properties.push(Property::new("OOMPolicy", Value::Text("continue".into())));
    }
    own.start(&mut manager, &properties).unwrap();
    let group = own.unit.cgroup(&manager.root_cgroup().unwrap());
    if let Some(quota) = value(&group, "cpu.max") {
        assert_eq!(quota, "50000 100000");
        assert_eq!(value(&group, "cpuset.cpus").unwrap(), "0");
    }
}

#[test]
fn a_slice_has_its_place_in_the_tree() {
    let Some(mut manager) = manager("a_slice_has_its_place_in_the_tree") else { return };
    let path = format!("system.slice::holmtest{}-pod.slice", std::process::id());
    let unit = UnitPath::parse(&path, "", "", false).unwrap();
    manager.start(&unit, &[], &[Property::new("TasksMax", Value::U64(9))]).unwrap();
    let found = manager.unit_cgroup(&unit);
    manager.stop(&unit).unwrap();
    let parent =
        UnitPath::parse(&format!("-.slice::holmtest{}.slice", std::process::id()), "", "", false).unwrap();
    manager.stop(&parent).unwrap();
    assert_eq!(found.unwrap(), format!("/{}", unit.cgroup("/")));
}

/// The user's part of the test below, in a process of the user's.
const INSIDE: &str = "HOLM_TEST_SYSTEMD_USER";

#[test]
fn an_ordinary_user_has_units_below_the_own_manager() {
    let test = "an_ordinary_user_has_units_below_the_own_manager";
    if std::env::var_os(INSIDE).is_some() {
        let mut manager =
            Manager::connect(Bus::User).unwrap_or_else(|error| panic!("{}", report::render(&error)));
        let mut own = Own::new("user", Bus::User);
        own.start(&mut manager, &[Property::new("TasksMax", Value::U64(7))]).unwrap();
        let group = own.unit.cgroup(&manager.root_cgroup().unwrap());
        assert!(group.starts_with("user.slice/user-"), "{group}");
        assert_eq!(own.cgroup(), format!("/{group}"));
        if let Some(most) = value(&group, "pids.max") {
            assert_eq!(most, "7");
        }
        manager.stop(&own.unit).unwrap();
        assert!(own.ends());
        return;
    }
    let Some(_) = manager(test) else { return };
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    if !passwd.lines().any(|line| line.starts_with("ordinary:x:1000:")) {
        eprintln!("SKIPPED {test}: there is no user `ordinary` made for it");
        return;
    }
    let started = Command::new("systemctl").args(["start", "user@1000.service"]).status().unwrap();
    if !started.success() {
        eprintln!("SKIPPED {test}: the user's manager cannot be started: {started}");
        return;
    }
    let copy = Path::new("/tmp").join(format!("holm-test-systemd-{}", std::process::id()));
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let run = |bus: Option<&str>| {
        let mut command = Command::new(&copy);
        command
            .args(["--exact", test, "--nocapture"])
            .env(INSIDE, "1")
            .env("XDG_RUNTIME_DIR", "/run/user/1000");
        bus.map(|bus| command.env("DBUS_SESSION_BUS_ADDRESS", bus));
        command.uid(1000).gid(1000).current_dir("/").output().unwrap()
    };
    let outputs = [run(None), run(Some("unix:path=/run/user/1000/bus")), run(Some("unix:path=/nonexistent"))];
    std::fs::remove_file(&copy).unwrap();
    for output in outputs {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn without_systemd_the_error_says_what_to_do() {
    if Path::new("/run/systemd/system").is_dir() {
        eprintln!("SKIPPED without_systemd_the_error_says_what_to_do: systemd is process 1 here");
        return;
    }
    let error = Manager::connect(Bus::System).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    let text = report::render(&error);
    assert!(
        text.contains("reach systemd over the system bus") && text.contains("leave --systemd-cgroup out"),
        "{text}"
    );
}
