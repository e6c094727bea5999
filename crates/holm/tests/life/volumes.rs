//! Volumes: what outlives containers, what goes with them, and what nobody gets at through them.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::house::{House, soon};

/// A house with a root of its own, and without anything mounted in it afterwards.
struct Yard {
    // Dropped first: containers and mounts go before the files.
    _mounts: Mounts,
    house: House,
}

struct Mounts(PathBuf);

impl Drop for Mounts {
    fn drop(&mut self) {
        let _ = Command::new(env!("CARGO_BIN_EXE_holm"))
            .args(["rm", "--force", "--all"])
            .env("HOLM_ROOT", self.0.join("root"))
            .env("HOLM_RUNROOT", self.0.join("run"))
            .output();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        for point in mounts.lines().rev().filter_map(|line| line.split(' ').nth(4)) {
            if Path::new(point).starts_with(&self.0) {
                let _ = Command::new("umount").args(["-l", point]).output();
            }
        }
    }
}

impl std::ops::Deref for Yard {
    type Target = House;
    fn deref(&self) -> &House {
        &self.house
    }
}

impl Yard {
    fn new(test: &str) -> Option<Self> {
        let house = House::new(test)?;
        if !Path::new("/bin/busybox").exists() {
            eprintln!("SKIPPED {test}: there is no /bin/busybox");
            return None;
        }
        let yard = Self { _mounts: Mounts(house.base.clone()), house };
        let bin = yard.tree().join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
        for name in ["sh", "cat", "ls", "id", "stat", "sleep", "dd", "mkdir", "ln", "rm", "true", "readlink"]
        {
            symlink("busybox", bin.join(name)).unwrap();
        }
        Some(yard)
    }

    /// The root directory of this house's containers.
    fn tree(&self) -> PathBuf {
        self.base.join("tree")
    }

    /// What a script in a container prints; the container goes with its end.
    fn inside(&self, flags: &[&str], script: &str) -> String {
        let tree = self.tree();
        let root = ["run", "--rootfs", tree.to_str().unwrap()];
        self.prints(&[&root[..], flags, &["--", "sh", "-c", script]].concat())
    }

    /// A container of this house's root that is only made.
    fn made(&self, name: &str, flags: &[&str]) {
        let tree = self.tree();
        let root = ["create", "--rootfs", tree.to_str().unwrap(), "--name", name];
        self.prints(&[&root[..], flags, &["--", "sleep", "1000"]].concat());
    }

    fn data(&self, name: &str) -> PathBuf {
        self.prints(&["volume", "inspect", "--format", "{{.Mountpoint}}", name]).into()
    }

    fn volumes(&self) -> Vec<String> {
        self.prints(&["volume", "ls", "-q"]).lines().map(str::to_owned).collect()
    }

    /// Everything in the directory of volumes but the volumes.
    fn scraps(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.base.join("root/volumes")).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| name.starts_with('.')).collect()
    }
}

#[test]
fn a_volume_outlives_its_containers() {
    let Some(yard) = Yard::new("a_volume_outlives_its_containers") else { return };
    assert_eq!(yard.prints(&["volume", "create", "--label", "tier=db", "data"]), "data");
    assert_eq!(yard.prints(&["volume", "create", "data"]), "data", "the same again");
    assert_eq!(yard.inside(&["-v", "data:/data"], "echo hi >/data/x; stat -c %u:%g /data/x"), "0:0");
    let file = yard.data("data").join("x");
    let owner = file.metadata().unwrap();
    assert_eq!((owner.uid(), owner.gid()), (0, 0), "root's own on the host, whatever ids the container had");
    let mount = "type=volume,source=data,target=/else,readonly";
    assert_eq!(yard.inside(&["--mount", mount], "cat /else/x; echo no >/else/y || echo fixed"), "hi\nfixed");
    assert_eq!(yard.inside(&["-v", "data:/data:ro"], "echo no >/data/y || echo fixed"), "fixed");
    // One that a program of another user writes to has that user's files.
    yard.inside(&["-v", "data:/data:U", "-u", "33:44"], "echo w >/data/w");
    assert_eq!(yard.inside(&["-v", "data:/data"], "stat -c %u:%g /data/w"), "33:44");

    yard.made("web", &["-v", "data:/data:ro", "-v", "/anon"]);
    let mounts: Value = serde_json::from_str(&yard.field("web", "{{json .Mounts}}")).unwrap();
    assert_eq!(mounts[0]["Type"], "volume");
    assert_eq!(mounts[0]["Name"], "data");
    assert_eq!(mounts[0]["Source"], file.parent().unwrap().to_str().unwrap());
    assert_eq!(mounts[0]["RW"], false);
    assert_eq!(yard.field("web", "{{index .HostConfig.Binds 0}}"), "data:/data:ro");
    for filter in ["volume=data", "volume=/data", "volume=/anon"] {
        assert_eq!(
            yard.prints(&["ps", "-a", "--format", "{{.Names}}", "--filter", filter]),
            "web",
            "{filter}"
        );
    }
    assert_eq!(yard.prints(&["ps", "-aq", "--filter", "volume=other"]), "");
    assert_eq!(yard.prints(&["ps", "-a", "--format", "{{.LocalVolumes}}"]), "2");
    assert!(yard.prints(&["ps", "-a", "--format", "{{.Mounts}}"]).starts_with("data,"));

    // What is copied out of a container that does not run is the volume's too.
    let copied = yard.base.join("copied");
    yard.prints(&["cp", "web:/data/x", copied.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(&copied).unwrap(), "hi\n");

    let said = yard.fails(&["volume", "rm", "data"], 125);
    assert!(said.contains("cannot remove volume `data`: container `web` uses it"), "{said}");
    yard.fails(&["volume", "rm", "-f", "data"], 125);
    assert_eq!(yard.prints(&["volume", "prune", "--all"]), "reclaimed 0B");
    let listed = yard.prints(&["volume", "ls", "--filter", "label=tier=db", "--filter", "dangling=false"]);
    assert_eq!(listed, "DRIVER   VOLUME NAME\nlocal    data");
    let room = yard.prints(&["system", "df"]);
    let words: Vec<&str> = room.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(words[..4], ["Local", "Volumes", "2", "2"], "{room}");
    yard.prints(&["rm", "-v", "web"]);
    assert_eq!(yard.volumes(), ["data"], "the one with a name stays");
    assert_eq!(yard.prints(&["volume", "prune"]), "reclaimed 0B", "a name protects");
    assert_eq!(yard.prints(&["volume", "rm", "data"]), "data");
    assert!(!file.exists() && yard.scraps().is_empty());
    yard.fails(&["volume", "rm", "data"], 125);
    yard.prints(&["volume", "rm", "-f", "data"]);
    yard.is_empty();
}

#[test]
fn a_new_volume_gets_what_the_root_has_there() {
    let Some(yard) = Yard::new("a_new_volume_gets_what_the_root_has_there") else { return };
    let srv = yard.tree().join("srv");
    std::fs::create_dir_all(srv.join("sub")).unwrap();
    std::fs::write(srv.join("sub/file"), "from the root").unwrap();
    std::os::unix::fs::chown(srv.join("sub/file"), Some(33), Some(44)).unwrap();
    std::fs::set_permissions(srv.join("sub/file"), std::fs::Permissions::from_mode(0o640)).unwrap();
    symlink("/etc/shadow", srv.join("link")).unwrap();
    std::os::unix::fs::chown(&srv, Some(33), Some(44)).unwrap();
    std::fs::set_permissions(&srv, std::fs::Permissions::from_mode(0o2770)).unwrap();
    let look = "stat -c '%u:%g %a' /srv /srv/sub/file; readlink /srv/link; cat /srv/sub/file";
    let whole = "33:44 2770\n33:44 640\n/etc/shadow\nfrom the root";
    assert_eq!(yard.inside(&["-v", "filled:/srv"], look), whole);
    let data = yard.data("filled");
    assert_eq!(std::fs::read_link(data.join("link")).unwrap(), Path::new("/etc/shadow"));
    // What is in it now is its own: nothing of the root comes again.
    yard.inside(&["-v", "filled:/srv"], "rm -rf /srv/sub; echo own >/srv/own");
    assert_eq!(yard.inside(&["-v", "filled:/srv"], "ls /srv"), "link\nown");
    assert!(srv.join("sub/file").exists() && !srv.join("own").exists());
    // A volume that was made before and is empty is filled as well.
    yard.prints(&["volume", "create", "before"]);
    assert_eq!(yard.inside(&["--mount", "type=volume,src=before,dst=/srv,ro"], look), whole);
    assert_eq!(yard.inside(&["-v", "/srv"], look), whole, "one without a name too");
    assert_eq!(yard.inside(&["-v", "bare:/srv:nocopy"], "ls /srv"), "");
    assert_eq!(yard.inside(&["--mount", "type=volume,src=bare2,dst=/srv,volume-nocopy"], "ls /srv"), "");
    assert_eq!(yard.volumes(), ["bare", "bare2", "before", "filled"]);
    // Somebody was killed over it: it is filled from the beginning.
    std::fs::write(yard.base.join("root/volumes/bare/filling"), "").unwrap();
    std::fs::write(yard.data("bare").join("half"), "").unwrap();
    assert_eq!(yard.inside(&["-v", "bare:/srv"], "ls /srv"), "link\nsub");
    yard.is_empty();
}

#[test]
fn no_path_of_a_container_s_making_leads_out_of_its_volume() {
    let Some(yard) = Yard::new("no_path_of_a_container_s_making_leads_out_of_its_volume") else { return };
    let outside = yard.base.join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "secret").unwrap();
    let out = outside.to_str().unwrap();
    // A link in the root as the destination: it is followed in the root, for what is copied and for the mount.
    symlink(&outside, yard.tree().join("away")).unwrap();
    symlink("../../../../../../..", yard.tree().join("up")).unwrap();
    assert_eq!(yard.inside(&["-v", "a:/away"], "echo x >/away/x; ls /away"), "x");
    assert_eq!(yard.inside(&["-v", "b:/up/opt"], "echo x >/up/opt/x; ls /opt"), "x");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(std::fs::read_dir(yard.data("a")).unwrap().count(), 1, "nothing of the host was copied");
    // Links in the volume on the way to the part of it that is asked for.
    let script = format!(
        "mkdir -p /v/real/deep; echo in >/v/real/deep/f; ln -s {out} /v/abs; ln -s ../../../.. /v/rel; ln -s real/deep /v/good; ln -s /proc/self/root /v/magic"
    );
    yard.inside(&["-v", "v:/v"], &script);
    let part = |path: &str| format!("type=volume,src=v,dst=/p,volume-subpath={path}");
    assert_eq!(yard.inside(&["--mount", &part("real/deep")], "cat /p/f; echo y >/p/g"), "in");
    assert_eq!(yard.inside(&["--mount", &part("good")], "ls /p"), "f\ng");
    let tree = yard.tree();
    for path in ["abs", "missing", "magic", "real/deep/f/x", "..", "real/../..", "/etc"] {
        let mount = part(path);
        yard.fails(&["run", "--rootfs", tree.to_str().unwrap(), "--mount", &mount, "--", "true"], 125);
    }
    // `..` of a link stops at the volume.
    assert_eq!(yard.inside(&["--mount", &part("rel")], "ls /p"), "abs\ngood\nmagic\nreal\nrel");
    assert_eq!(std::fs::read_to_string(outside.join("secret")).unwrap(), "secret");
    // In the background too, where the definition is read again.
    yard.prints(&[
        "run",
        "-d",
        "--name",
        "d",
        "--rootfs",
        tree.to_str().unwrap(),
        "--mount",
        &part("good"),
        "--",
        "sh",
        "-c",
        "ls /p",
    ]);
    yard.prints(&["wait", "d"]);
    soon("its output is in the log", || yard.prints(&["logs", "d"]) == "f\ng");
    // Between two starts somebody puts a link in the directory's place.
    yard.inside(&["-v", "v:/v"], &format!("rm -rf /v/real; ln -s {out} /v/real"));
    let said = yard.fails(&["start", "d"], 125);
    assert!(said.contains("volume `v` has no `good`"), "{said}");
    yard.prints(&["rm", "d"]);
    yard.is_empty();
}

#[test]
fn an_ordinary_user_has_volumes_and_parts_of_them() {
    const TEST: &str = "an_ordinary_user_has_volumes_and_parts_of_them";
    let Some(yard) = Yard::new(TEST) else { return };
    let home = yard.base.join("user");
    std::fs::create_dir_all(home.join("run")).unwrap();
    crate::copied::copy_holm(&home.join("holm"));
    for path in [home.clone(), home.join("run")] {
        std::os::unix::fs::chown(path, Some(65_533), Some(65_533)).unwrap();
    }
    let (tree, program) = (yard.tree(), home.join("holm"));
    let holm = |args: &[&str]| {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new(&program);
        command
            .args(args)
            .uid(65_533)
            .gid(65_533)
            .env("HOME", &home)
            .env("XDG_RUNTIME_DIR", home.join("run"));
        command
            .env_remove("XDG_DATA_HOME")
            .env_remove("HOLM_ROOT")
            .env_remove("HOLM_RUNROOT")
            .current_dir("/");
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).trim_end().to_owned())
    };
    let root = ["run", "--network", "none", "--rootfs", tree.to_str().unwrap()];
    let run = |flags: &[&str], script: &str| holm(&[&root[..], flags, &["--", "sh", "-c", script]].concat());
    let (able, said) = run(&[], "true");
    if !able {
        eprintln!("SKIPPED {TEST}: an ordinary user has no containers here: {said}");
        return;
    }
    let script = "mkdir /v/sub; echo hi >/v/sub/f; stat -c %u /v/sub/f";
    assert_eq!(run(&["-v", "data:/v"], script), (true, "0".to_owned()));
    let script = "cat /v/sub/f; (echo x >/v/x) 2>/dev/null || echo fixed";
    assert_eq!(run(&["-v", "data:/v:ro"], script), (true, "hi\nfixed".to_owned()));
    let part = |path: &str| format!("type=volume,src=data,dst=/v,volume-subpath={path}");
    let script = "cat /v/f; echo more >/v/g; ls /v";
    assert_eq!(run(&["--mount", &part("sub")], script), (true, "hi\nf\ng".to_owned()));
    // Links are followed below the volume, also by the process that mounts.
    let links = "ln -s /sub /v/in; ln -s ../../../../../../../../etc /v/out; mkdir /v/sub/deep; ln -s /sub/deep /v/deep";
    assert_eq!(run(&["-v", "data:/v"], links), (true, String::new()));
    assert_eq!(run(&["--mount", &part("in")], "cat /v/g"), (true, "more".to_owned()));
    let script = "(echo x >/v/x) 2>/dev/null || echo fixed";
    assert_eq!(run(&["--mount", &(part("deep") + ",readonly")], script), (true, "fixed".to_owned()));
    for path in ["out", "none", "sub/none"] {
        let (done, said) = run(&["--mount", &part(path)], "ls /v");
        assert!(!done && said.contains(&format!("volume `data` has no `{path}`")), "{said}");
    }
    for option in ["type=tmpfs", "size=20m"] {
        let (done, said) = holm(&["volume", "create", "-o", option, "more"]);
        assert!(!done && said.contains("only root can mount"), "{said}");
    }
    assert_eq!(holm(&["volume", "ls", "-q"]), (true, "data".to_owned()));
    assert_eq!(holm(&["volume", "rm", "data"]), (true, "data".to_owned()));
}

#[test]
fn a_volume_without_a_name_goes_with_its_container_where_that_is_asked_for() {
    let Some(yard) = Yard::new("a_volume_without_a_name_goes_with_its_container_where_that_is_asked_for")
    else {
        return;
    };
    yard.inside(&["-v", "/data"], "echo x >/data/x");
    assert!(yard.volumes().is_empty(), "with --rm, which the foreground has");
    yard.house.holm(&["run", "--rootfs", "/no/such", "-v", "/data", "-v", "n:/n", "--", "true"]);
    assert!(yard.volumes().is_empty(), "a container that is not made makes none");
    let said = {
        let tree = yard.tree();
        yard.fails(
            &[
                "create",
                "--rootfs",
                tree.to_str().unwrap(),
                "--name",
                "dup",
                "-v",
                "/data",
                "-v",
                "m:/m",
                "--volumes-from",
                "nobody",
                "--",
                "true",
            ],
            125,
        )
    };
    assert!(said.contains("there is no container `nobody`"), "{said}");
    assert!(yard.volumes().is_empty());
    yard.made("one", &["-v", "/data"]);
    yard.made("two", &["--volumes-from", "one:ro", "-v", "/own"]);
    assert_eq!(yard.volumes().len(), 2);
    assert_eq!(
        yard.field("two", "{{range .Mounts}}{{.Destination}}={{.RW}} {{end}}").trim(),
        "/own=true /data=false"
    );
    assert_eq!(yard.field("two", "{{index .HostConfig.VolumesFrom 0}}"), "one:ro");
    yard.prints(&["rm", "-v", "one"]);
    assert_eq!(yard.volumes().len(), 2, "the other one has it still");
    yard.prints(&["rm", "-v", "two"]);
    assert!(yard.volumes().is_empty());
    yard.made("three", &["-v", "/data"]);
    yard.prints(&["rm", "three"]);
    assert_eq!(yard.volumes().len(), 1);
    let list = yard.prints(&["volume", "prune"]);
    assert!(list.len() > 64 && list.contains("reclaimed"), "{list}");
    yard.made("four", &["-v", "/data"]);
    yard.prints(&["system", "prune", "--volumes"]);
    assert!(yard.volumes().is_empty() && yard.scraps().is_empty());
    yard.is_empty();
}

#[test]
fn what_is_no_volume_is_refused_and_nothing_is_made() {
    let Some(yard) = Yard::new("what_is_no_volume_is_refused_and_nothing_is_made") else { return };
    let long = "x".repeat(201);
    for name in ["", ".", "..", "../x", "a/b", "/abs", ".new-1", "a b", "a\nb", "ä", &long] {
        yard.fails(&["volume", "create", "--", name], 125);
        yard.fails(&["volume", "rm", "--", name], 125);
        yard.fails(&["volume", "inspect", "--", name], 125);
    }
    yard.fails(&["volume", "create", "--", "-o"], 125);
    yard.fails(&["volume", "rm", "--", "--force"], 125);
    for options in [
        &["size=0"][..],
        &["size=-1"],
        &["size=1k"],
        &["colour=red"],
        &["type=nfs", "device=:/x"],
        &["type=none", "device=/no/such", "o=bind"],
        &["type=none", "device=../..", "o=bind"],
        &["device=/dev/vda"],
        &["type=tmpfs", "o=size=1m,exec=/bin/sh"],
        &["o=bind"],
    ] {
        let flags: Vec<&str> = options.iter().flat_map(|option| ["-o", option]).collect();
        yard.fails(&[&["volume", "create"], &flags[..], &["bad"]].concat(), 125);
    }
    yard.fails(&["volume", "create", "-d", "nfs", "bad"], 125);
    let tree = yard.tree();
    for flags in [
        &["-v", "../x:/data"][..],
        &["-v", "a/b:/data"],
        &["-v", "data:/"],
        &["-v", "data:relative"],
        &["-v", "data:/../etc"],
        &["-v", "data:/x:rshared"],
        &["-v", "data:/x", "-v", "other:/x"],
        &["-v", "/x", "--tmpfs", "/x"],
        &["--mount", "type=volume,src=..,dst=/x"],
        &["--mount", "type=volume,src=data,dst=/x,volume-subpath=/etc"],
        &["--mount", "type=volume,src=data,dst=/x,volume-opt=size=0"],
        &["--volumes-from", ""],
        &["--volumes-from", "../../etc:ro"],
    ] {
        yard.fails(&[&["run", "--rootfs", tree.to_str().unwrap()], flags, &["--", "true"]].concat(), 125);
    }
    // A file is no place for a directory: the container is not started, and what was made for it is gone.
    std::fs::write(tree.join("file"), "").unwrap();
    yard.fails(&["run", "--rootfs", tree.to_str().unwrap(), "-v", "/file", "--", "true"], 125);
    assert!(yard.volumes().is_empty(), "{:?}", yard.volumes());
    assert!(yard.scraps().is_empty());
    yard.fails(&["volume", "ls", "--filter", "x"], 125);
    yard.fails(&["volume", "ls", "--filter", "colour=red"], 125);
    yard.fails(&["volume", "ls", "--filter", "dangling=perhaps"], 125);
    yard.fails(&["volume", "prune", "--filter", "x=y"], 125);
    yard.is_empty();
}

#[test]
fn many_processes_make_and_remove_one_volume() {
    let Some(yard) = Yard::new("many_processes_make_and_remove_one_volume") else { return };
    let all = |args: &[&str], count: usize| -> Vec<bool> {
        let children: Vec<_> = (0..count)
            .map(|_| yard.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
            .collect();
        children.into_iter().map(|mut child| child.wait().unwrap().success()).collect()
    };
    for _ in 0..3 {
        assert_eq!(all(&["volume", "create", "one"], 6), [true; 6], "all have it");
        assert_eq!(
            all(&["volume", "rm", "one"], 6).iter().filter(|done| **done).count(),
            1,
            "one has removed it"
        );
    }
    // Some make containers with it and some remove it: whoever has it finds it.
    let tree = yard.tree();
    let run =
        ["run", "--rootfs", tree.to_str().unwrap(), "-v", "one:/data", "--", "sh", "-c", "echo x >/data/$$"];
    let removers: Vec<_> = (0..3)
        .map(|_| {
            let mut command = yard.command(&["volume", "rm", "-f", "one"]);
            std::thread::spawn(move || {
                command.stdout(Stdio::null()).stderr(Stdio::null());
                for _ in 0..12 {
                    let _ = command.status();
                }
            })
        })
        .collect();
    for _ in 0..3 {
        assert_eq!(all(&run, 3), [true; 3]);
    }
    removers.into_iter().for_each(|thread| thread.join().unwrap());
    yard.prints(&["volume", "rm", "-f", "one"]);
    assert!(yard.volumes().is_empty() && yard.scraps().is_empty());
    yard.is_empty();
}

#[test]
fn a_volume_is_whole_or_absent_whenever_its_maker_is_killed() {
    let Some(yard) = Yard::new("a_volume_is_whole_or_absent_whenever_its_maker_is_killed") else { return };
    std::fs::create_dir(yard.tree().join("srv")).unwrap();
    for number in 0..40 {
        std::fs::write(yard.tree().join("srv").join(number.to_string()), "x").unwrap();
    }
    let names: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    let killed = |args: &[&str], after: Duration| {
        let mut child = yard.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(after);
        let _ = child.kill();
        child.wait().unwrap();
    };
    let whole = |name: &str| {
        let found = yard.house.holm(&["volume", "inspect", "--format", "{{.Mountpoint}}", name]);
        let text = String::from_utf8_lossy(&found.stdout).trim().to_owned();
        match found.status.success() {
            true => {
                assert!(Path::new(&text).is_dir(), "{text}");
                true
            }
            false => {
                let said = String::from_utf8_lossy(&found.stderr).into_owned();
                assert!(said.contains("there is no volume"), "{said}");
                false
            }
        }
    };
    for round in 0..12 {
        let after = Duration::from_micros(200 * round);
        killed(&["volume", "create", "--label", "a=b", "v"], after);
        if whole("v") {
            std::fs::write(yard.data("v").join("mine"), "x").unwrap();
            killed(&["volume", "rm", "v"], after);
            assert!(!whole("v") || yard.data("v").join("mine").exists(), "half of it is gone");
        }
    }
    yard.prints(&["volume", "rm", "-f", "v"]);
    // A container in the making, with what is copied for it.
    let tree = yard.tree();
    for round in 0..8 {
        let args =
            ["create", "--rootfs", tree.to_str().unwrap(), "-v", "w:/srv", "-v", "/srv/anon", "--", "true"];
        killed(&args, Duration::from_micros(700 * round));
        whole("w");
    }
    let mut listed: Vec<String> =
        yard.inside(&["-v", "w:/srv"], "ls /srv").lines().map(str::to_owned).collect();
    listed.retain(|name| name != "anon");
    listed.sort_by_key(|name| name.parse::<u32>().unwrap());
    assert_eq!(listed, names, "it is filled whatever was killed over it");
    yard.prints(&["rm", "-f", "-v", "--all"]);
    yard.prints(&["system", "check"]);
    yard.prints(&["volume", "prune", "--all"]);
    assert!(
        yard.volumes().is_empty() && yard.scraps().is_empty(),
        "{:?} {:?}",
        yard.volumes(),
        yard.scraps()
    );
    yard.is_empty();
}

#[test]
fn a_volume_may_lie_in_memory_or_elsewhere() {
    let Some(yard) = Yard::new("a_volume_may_lie_in_memory_or_elsewhere") else { return };
    yard.prints(&["volume", "create", "-o", "type=tmpfs", "-o", "o=size=1m,mode=1770", "fast"]);
    let fill = "dd if=/dev/zero of=/v/x bs=64k count=64 2>/dev/null || echo full; stat -c %a /v";
    assert_eq!(yard.inside(&["-v", "fast:/v"], fill), "full\n1770");
    let data = yard.data("fast");
    assert_eq!(data.join("x").metadata().unwrap().len(), 1 << 20);
    assert_eq!(yard.inside(&["-v", "fast:/v"], "ls /v"), "x", "it is there as long as the machine runs");
    // As after a start of the machine.
    yard.made("later", &["-v", "fast:/v"]);
    assert!(Command::new("umount").arg(&data).status().unwrap().success());
    yard.prints(&["start", "later"]);
    assert_eq!(yard.prints(&["exec", "later", "ls", "/v"]), "");
    assert_eq!(yard.prints(&["exec", "later", "stat", "-c", "%a", "/v"]), "1770");
    yard.prints(&["rm", "-f", "later"]);
    yard.prints(&["volume", "rm", "fast"]);
    assert!(!std::fs::read_to_string("/proc/self/mountinfo").unwrap().contains(data.to_str().unwrap()));

    let elsewhere = yard.base.join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let device = format!("device={}", elsewhere.display());
    yard.prints(&["volume", "create", "-o", "type=none", "-o", "o=bind", "-o", &device, "else"]);
    yard.inside(&["-v", "else:/v"], "echo x >/v/x");
    let said = yard.fails(&["volume", "create", "-o", "size=1g", "else"], 125);
    assert!(said.contains("there is a volume `else` already, with other options"), "{said}");
    let fixed = ["volume", "create", "-o", "o=bind,ro", "-o", &device, "fixed"];
    yard.prints(&fixed);
    assert_eq!(yard.inside(&["-v", "fixed:/v"], "cat /v/x; echo y >/v/y || echo fixed"), "x\nfixed");
    yard.prints(&["volume", "rm", "else", "fixed"]);
    assert_eq!(std::fs::read_to_string(elsewhere.join("x")).unwrap(), "x\n", "what was only borrowed stays");
    // What somebody else has mounted in a volume is not removed with it.
    yard.prints(&["volume", "create", "busy"]);
    let inner = yard.data("busy").join("inner");
    std::fs::create_dir(&inner).unwrap();
    let bound = Command::new("mount").arg("--bind").args([&elsewhere, &inner]).status().unwrap();
    assert!(bound.success());
    let said = yard.fails(&["volume", "rm", "busy"], 125);
    assert!(said.contains("something is mounted on"), "{said}");
    assert!(elsewhere.join("x").exists());
    assert!(Command::new("umount").arg(&inner).status().unwrap().success());
    yard.prints(&["volume", "rm", "busy"]);
    yard.is_empty();
}

#[test]
fn a_volume_holds_no_more_than_its_size() {
    const TEST: &str = "a_volume_holds_no_more_than_its_size";
    let Some(yard) = Yard::new(TEST) else { return };
    if !Path::new("/dev/loop-control").exists() || !Path::new("/usr/sbin/mkfs.ext4").exists() {
        eprintln!("SKIPPED {TEST}: needs loop devices and mkfs.ext4");
        return;
    }
    yard.prints(&["volume", "create", "-o", "size=16m", "small"]);
    let fill =
        "ls -a /v; dd if=/dev/zero of=/v/x bs=1M count=20 2>/dev/null || echo full; rm /v/x; echo kept >/v/y";
    assert_eq!(yard.inside(&["-v", "small:/v"], fill), ".\n..\nfull");
    yard.made("later", &["-v", "small:/v"]);
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mounted = yard.base.join("root/volumes/small/_mounted");
    if mounts.contains(mounted.to_str().unwrap()) {
        // As after a start of the machine.
        assert!(Command::new("umount").arg(&mounted).status().unwrap().success());
    }
    yard.prints(&["start", "later"]);
    assert_eq!(yard.prints(&["exec", "later", "cat", "/v/y"]), "kept");
    yard.prints(&["rm", "-f", "later"]);
    yard.prints(&["volume", "rm", "small"]);
    assert!(yard.volumes().is_empty() && yard.scraps().is_empty());
    yard.is_empty();
}

#[test]
fn an_image_s_volumes_and_a_change_of_mounts() {
    const TEST: &str = "an_image_s_volumes_and_a_change_of_mounts";
    let Some(yard) = Yard::new(TEST) else { return };
    std::fs::create_dir_all(yard.tree().join("var/db")).unwrap();
    std::fs::write(yard.tree().join("var/db/seed"), "seed").unwrap();
    std::os::unix::fs::chown(yard.tree().join("var/db"), Some(33), Some(33)).unwrap();
    let store = yard.base.join("images");
    let holm = |args: &[&str]| {
        let output = yard.command(args).env("HOLM_IMAGES", &store).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {errors}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    };
    let tree = yard.tree();
    holm(&[
        "image",
        "import",
        "-c",
        "VOLUME /var/db",
        "-c",
        "EXPOSE 80",
        tree.to_str().unwrap(),
        "localhost/db:1",
    ]);
    let look = "echo own >>/var/db/seed; cat /var/db/seed; stat -c %u /var/db";
    assert_eq!(
        holm(&["run", "--rm", "localhost/db:1", "sh", "-c", look]),
        "seed\nown\n33".replace("seed\n", "seed")
    );
    assert_eq!(
        holm(&[
            "run",
            "--rm",
            "--read-only",
            "localhost/db:1",
            "sh",
            "-c",
            "echo x >/var/db/x && ls /var/db"
        ]),
        "seed\nx"
    );
    assert!(yard.volumes().is_empty());
    holm(&["create", "--name", "db", "-v", "named:/var/db", "localhost/db:1", "sleep", "1000"]);
    assert_eq!(yard.volumes(), ["named"], "what is given takes the place of the image's");
    holm(&["start", "db"]);
    holm(&["exec", "db", "sh", "-c", "echo keep >/note"]);
    let said = yard.fails(&["update", "-v", "more:/more", "db"], 125);
    assert!(said.contains("cannot change the mounts of container `db` while it runs"), "{said}");
    holm(&["stop", "db"]);
    holm(&["update", "-v", "more:/more", "--rm-volume", "named", "-v", "/var/db", "-e", "A=1", "db"]);
    let users = |name: &str| yard.prints(&["volume", "inspect", "--format", "{{json .UsedBy}}", name]);
    assert_eq!((users("more"), users("named")), ("[\"db\"]".to_owned(), "[]".to_owned()));
    holm(&["start", "db"]);
    assert_eq!(holm(&["exec", "db", "sh", "-c", "cat /note /var/db/seed; echo $A; ls /more"]), "keep\nseed1");
    yard.fails(&["update", "--unsetenv", "A", "db"], 125);
    holm(&["stop", "db"]);
    holm(&["update", "--unsetenv", "A", "--unmount", "/more", "db"]);
    yard.fails(&["update", "--unmount", "/more", "db"], 125);
    yard.fails(&["update", "--rm-volume", "more", "db"], 125);
    assert_eq!(users("more"), "[]");
    holm(&["rm", "-v", "db"]);
    assert_eq!(yard.volumes(), ["more", "named"]);
    holm(&["image", "rm", "localhost/db:1"]);
    yard.is_empty();
}
