//! Roots and configurations that are made to reach the host through the runtime.
//!
//! Each is a class of mistakes that runtimes have made, with its CVE, and each aims at a canary in the test's own directory, never at a knob
//! of the host: on a runtime that falls for one the test must not be the attack. The same bundle goes to runc and crun
//! where they are installed; what they do is printed, so that it shows which attacks bite, and not judged.

mod common;

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Bundle, Ran};
use serde_json::json;

/// The file whose change or the directory whose filling shows that an attack got out.
struct Canary {
    dir: PathBuf,
    before: BTreeMap<PathBuf, (u32, u64, Vec<u8>)>,
}

impl Canary {
    /// Beside the rootfs: `../canary` from there.
    fn beside(bundle: &Bundle) -> Self {
        let dir = bundle.dir.join("canary");
        for name in ["dir", "pts", "shm"] {
            std::fs::create_dir_all(dir.join(name)).expect("a directory");
        }
        std::fs::write(dir.join("file"), "untouched").expect("a file");
        let before = everything(&dir);
        Self { dir, before }
    }

    fn touched(&self) -> bool {
        everything(&self.dir) != self.before
    }
}

fn everything(dir: &Path) -> BTreeMap<PathBuf, (u32, u64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(status) = std::fs::symlink_metadata(&path) else { continue };
        let content = if status.is_file() { std::fs::read(&path).unwrap_or_default() } else { Vec::new() };
        if status.is_dir() {
            found.extend(everything(&path));
        }
        found.insert(path, (status.mode(), status.rdev(), content));
    }
    found
}

/// Runs the bundle here and with the other runtimes, and holds that the canary is as it was after ours.
fn stays_inside(bundle: &Bundle, attack: &str) -> Ran {
    let canary = Canary::beside(bundle);
    let ran = bundle.run();
    assert!(!canary.touched(), "{attack}: {ran:?}: {:#?}", everything(&canary.dir));
    let mut older = bundle.config.clone();
    // What all of them read.
    older["ociVersion"] = json!("1.0.2");
    std::fs::write(bundle.dir.join("config.json"), older.to_string()).expect("config.json");
    for peer in ["runc", "crun"] {
        let mut command = Command::new(peer);
        command.arg("--root").arg(bundle.dir.join(peer)).args(["run", "--bundle"]).arg(&bundle.dir);
        let Ok(output) =
            command.arg(format!("{}-{peer}", bundle.id)).stdin(std::process::Stdio::null()).output()
        else {
            continue;
        };
        let peers = Ran::of(&output);
        let fell = if canary.touched() { "REACHED THE CANARY" } else { "stayed inside" };
        eprintln!(
            "peer {peer}: {attack}: {fell}, exit {:?}: {}",
            peers.code,
            peers.err.lines().next_back().unwrap_or_default()
        );
        let _ = std::fs::remove_dir_all(&canary.dir);
        Canary::beside(bundle);
    }
    ran
}

/// The three shapes of a link that leads out: up and away, absolute, and by way of another link.
fn ways_out(bundle: &Bundle, to: &str) -> Vec<PathBuf> {
    let _ = std::fs::remove_file(bundle.rootfs("detour"));
    symlink(format!("../canary/{to}"), bundle.rootfs("detour")).expect("a link");
    vec![
        PathBuf::from(format!("../../canary/{to}")),
        PathBuf::from(format!("../canary/{to}")),
        bundle.dir.join("canary").join(to),
        PathBuf::from("/detour"),
    ]
}

#[test]
fn mount_points_that_are_links_out_of_the_root_stay_inside() {
    // CVE-2026-41579, CVE-2026-88265, CVE-2019-16884, CVE-2023-27561
    let test = "mount_points_that_are_links";
    for point in ["dev", "proc", "sys"] {
        let Some(mut bundle) = Bundle::new(&format!("{test}_{point}")) else { return };
        bundle.script("exit 0");
        for way in ways_out(&bundle, "dir") {
            let _ = std::fs::remove_file(bundle.rootfs(point));
            symlink(&way, bundle.rootfs(point)).expect("a link");
            stays_inside(&bundle, &format!("/{point} -> {}", way.display()));
        }
    }
}

#[test]
fn what_is_mounted_below_a_dev_of_the_image_stays_inside() {
    // Without the tmpfs on /dev the image's own directory is the one that is written to.
    for (point, to) in [("pts", "pts"), ("shm", "shm"), ("mqueue", "dir")] {
        let Some(mut bundle) = Bundle::new(&format!("below_a_dev_of_the_image_{point}")) else { return };
        bundle.script("exit 0");
        bundle.config["root"]["readonly"] = json!(false);
        let mounts = bundle.config["mounts"].as_array_mut().expect("a list");
        mounts.retain(|mount| mount["destination"] != "/dev");
        std::fs::create_dir(bundle.rootfs("dev")).expect("a directory");
        for way in ways_out(&bundle, to) {
            let _ = std::fs::remove_file(bundle.rootfs("dev").join(point));
            symlink(&way, bundle.rootfs("dev").join(point)).expect("a link");
            stays_inside(&bundle, &format!("/dev/{point} -> {}", way.display()));
        }
    }
}

#[test]
fn devices_of_the_image_are_neither_followed_nor_believed() {
    // CVE-2025-31133, CVE-2025-52565, CVE-2026-88264: the image's /dev/null is used as mask and standard stream.
    let Some(mut bundle) = Bundle::new("devices_of_the_image") else { return };
    bundle.config["root"]["readonly"] = json!(false);
    let mounts = bundle.config["mounts"].as_array_mut().expect("a list");
    mounts.retain(|mount| mount["destination"] != "/dev");
    bundle.script("cat /proc/keys; echo written > /dev/null; stat -c %F /dev/null");
    for name in ["null", "console", "zero", "ptmx", "fd", "tty"] {
        for way in ways_out(&bundle, "file") {
            let _ = std::fs::remove_dir_all(bundle.rootfs("dev"));
            std::fs::create_dir(bundle.rootfs("dev")).expect("a directory");
            symlink(&way, bundle.rootfs("dev").join(name)).expect("a link");
            let ran = stays_inside(&bundle, &format!("/dev/{name} -> {}", way.display()));
            assert!(!ran.out.contains("untouched"), "{ran:?}");
        }
    }
    let _ = std::fs::remove_dir_all(bundle.rootfs("dev"));
    std::fs::create_dir(bundle.rootfs("dev")).expect("a directory");
    std::fs::write(bundle.rootfs("dev/null"), "the image's own").expect("a file");
    let ran = stays_inside(&bundle, "/dev/null is a file");
    assert!(!ran.out.contains("the image's own"), "{ran:?}");
}

#[test]
fn a_mount_whose_destination_leads_out_stays_inside() {
    // CVE-2021-30465, CVE-2024-45310
    let Some(mut bundle) = Bundle::new("a_mount_whose_destination") else { return };
    bundle.script("exit 0");
    std::fs::create_dir(bundle.dir.join("source")).expect("a directory");
    std::fs::write(bundle.dir.join("source/mine"), "").expect("a file");
    let source = bundle.dir.join("source");
    let first = bundle.config["mounts"].clone();
    symlink("two", bundle.rootfs("one")).expect("a link");
    symlink("three/../three", bundle.rootfs("two")).expect("a link");
    for way in ways_out(&bundle, "dir") {
        let _ = std::fs::remove_file(bundle.rootfs("three"));
        symlink(&way, bundle.rootfs("three")).expect("a link");
        for destination in
            ["/one", "/one/new/deep", "/bin/../../canary/dir", "/../../canary/dir", "/one/../../x"]
        {
            bundle.config["mounts"] = first.clone();
            bundle.config["mounts"].as_array_mut().expect("a list").push(json!({
                "destination": destination, "type": "bind", "source": source, "options": ["rbind", "ro"],
            }));
            stays_inside(&bundle, &format!("mount on {destination}, /three -> {}", way.display()));
        }
    }
}

#[test]
fn masked_and_read_only_paths_that_are_links_stay_inside() {
    let Some(mut bundle) = Bundle::new("masked_and_read_only_paths") else { return };
    bundle.script("exit 0");
    bundle.config["linux"]["maskedPaths"] = json!(["/mask", "/mask/below"]);
    bundle.config["linux"]["readonlyPaths"] = json!(["/mask", "/proc/sys"]);
    for to in ["dir", "file"] {
        for way in ways_out(&bundle, to) {
            let _ = std::fs::remove_file(bundle.rootfs("mask"));
            symlink(&way, bundle.rootfs("mask")).expect("a link");
            stays_inside(&bundle, &format!("masked /mask -> {}", way.display()));
            let written = std::fs::write(bundle.dir.join("canary/dir/still-writable"), "");
            assert!(written.is_ok(), "{written:?}");
            let _ = std::fs::remove_file(bundle.dir.join("canary/dir/still-writable"));
        }
    }
}

#[test]
fn a_working_directory_on_a_descriptor_is_refused() {
    // CVE-2024-21626
    let Some(mut bundle) = Bundle::new("a_working_directory_on_a_descriptor") else { return };
    bundle.script("ls -A . ../../canary; cat ../../../../etc/hostname; exit 9");
    let linked = bundle.rootfs("work");
    for number in 3..24 {
        for cwd in [format!("/proc/self/fd/{number}"), "/work".to_owned()] {
            let _ = std::fs::remove_file(&linked);
            symlink(format!("/proc/self/fd/{number}"), &linked).expect("a link");
            bundle.config["process"]["cwd"] = json!(cwd);
            let ran = bundle.run();
            assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{cwd} {number}: {ran:?}");
        }
    }
}

#[test]
fn the_runtimes_own_file_cannot_be_reached_through_proc_self_exe() {
    // CVE-2019-5736
    let Some(mut bundle) = Bundle::new("the_runtimes_own_file") else { return };
    let own = Path::new(env!("CARGO_BIN_EXE_holm-runtime"));
    let look = || {
        let status = std::fs::metadata(own).expect("the runtime");
        (
            status.ino(),
            status.len(),
            status.mtime(),
            status.mtime_nsec(),
            std::fs::read(own).expect("the runtime"),
        )
    };
    let before = look();
    std::fs::write(bundle.rootfs("bin/again"), "#!/proc/self/exe\n").expect("a script");
    std::fs::set_permissions(bundle.rootfs("bin/again"), PermissionsExt::from_mode(0o755)).expect("chmod");
    bundle.config["process"]["args"] = json!(["/bin/again"]);
    let ran = bundle.run();
    assert!(!ran.out.contains("holm-runtime"), "{ran:?}");
    bundle.config["process"]["args"] = json!(["/proc/self/exe", "--version"]);
    let ran = bundle.run();
    assert!(!ran.out.contains("holm-runtime"), "{ran:?}");
    assert!(before == look(), "the runtime's file was changed");
}

#[test]
fn kernel_parameters_are_named_by_their_names_only() {
    // CVE-2025-52881, CVE-2022-0811
    let Some(mut bundle) = Bundle::new("kernel_parameters") else { return };
    bundle.script("exit 0");
    let canary = bundle.dir.join("canary/file");
    for key in [
        "net/../../../canary/file".to_owned(),
        "net.ipv4/../../canary".to_owned(),
        "net...canary".to_owned(),
        format!("net.{}", canary.display()),
        "net./proc/self/comm".to_owned(),
        "kernel.shm_rmid_forced+kernel.x".to_owned(),
        "/net/ipv4/ip_forward".to_owned(),
        "net.".to_owned(),
    ] {
        bundle.config["linux"]["sysctl"] = json!({ key.clone(): "1" });
        let canary = Canary::beside(&bundle);
        let ran = bundle.run();
        assert_eq!(ran.code, Some(1), "{key}: {ran:?}");
        assert!(!canary.touched(), "{key}");
    }
}

#[test]
fn a_proc_of_the_images_making_takes_no_settings() {
    // CVE-2019-19921, CVE-2025-52881: what looks like /proc is a mount of something else.
    let Some(mut bundle) = Bundle::new("a_proc_of_the_images_making") else { return };
    bundle.script("exit 0");
    std::fs::create_dir_all(bundle.dir.join("canary/sys/net/ipv4")).expect("a directory");
    std::fs::write(bundle.dir.join("canary/sys/net/ipv4/ip_forward"), "0").expect("a file");
    let source = bundle.dir.join("canary");
    for mount in bundle.config["mounts"].as_array_mut().expect("a list") {
        if mount["destination"] == "/proc" {
            *mount = json!({ "destination": "/proc", "type": "bind", "source": source, "options": ["bind"] });
        }
    }
    bundle.config["linux"]["maskedPaths"] = json!([]);
    bundle.config["linux"]["readonlyPaths"] = json!([]);
    bundle.config["linux"]["sysctl"] = json!({ "net.ipv4.ip_forward": "1" });
    stays_inside(&bundle, "a directory as /proc");
}
