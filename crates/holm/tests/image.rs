//! `holm image`, with the built program, and with the programs that it exchanges images with.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A store, taken away with its mounts.
struct Room(PathBuf);

impl Room {
    fn new(name: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("SKIPPED {name}: needs root");
            return None;
        }
        let path = std::env::temp_dir().join(format!("holm-image-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(path.join("rootfs/etc")).unwrap();
        std::fs::write(path.join("rootfs/etc/hello"), b"hello from the image\n").unwrap();
        std::os::unix::fs::symlink("hello", path.join("rootfs/etc/link")).unwrap();
        Some(Self(path))
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn try_holm(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_holm"))
            .args(args)
            .env("HOLM_IMAGES", self.path("store"))
            .env("HOLM_ROOT", self.path("root"))
            .env("HOLM_RUNROOT", self.path("run"))
            .output()
            .unwrap()
    }

    fn holm(&self, args: &[&str]) -> String {
        let output = self.try_holm(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn import(&self) -> String {
        let rootfs = self.path("rootfs");
        let args = [
            "image",
            "import",
            &rootfs,
            "mine/base:1",
            "-c",
            "CMD [\"/bin/true\"]",
            "--timestamp",
            "1700000000",
        ];
        self.holm(&args).trim().to_owned()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = self.try_holm(&["image", "unmount", "--all"]);
        let _ = self.try_holm(&["image", "prune", "--all"]);
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn installed(name: &str) -> bool {
    let found = ["/usr/bin", "/usr/sbin", "/bin"].iter().any(|dir| Path::new(dir).join(name).exists());
    if !found {
        println!("SKIPPED: {name} is not installed");
    }
    found
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_imported_directory_is_listed_shown_mounted_and_removed() {
    let Some(room) = Room::new("whole-life") else { return };
    let id = room.import();
    assert_eq!(id, room.import(), "the same directory at the same time is the same image");
    let list = room.holm(&["images"]);
    assert!(list.contains("mine/base") && list.contains(&id[7..19]), "{list}");
    assert_eq!(room.holm(&["images", "-q", "--no-trunc"]).trim(), id);
    let shown = room.holm(&["image", "inspect", "mine/base:1"]);
    assert!(shown.contains(r#""RepoTags""#) && shown.contains(r#""Form""#), "{shown}");
    assert!(room.holm(&["image", "history", "mine/base:1"]).contains("holm image import rootfs"));
    assert!(room.holm(&["image", "tree"]).contains("└─"));
    assert!(room.holm(&["image", "verify"]).contains("0 damaged"));
    let at = room.path("mounted");
    room.holm(&["image", "mount", &id, &at]);
    let text = std::fs::read_to_string(Path::new(&at).join("etc/link")).unwrap();
    assert_eq!(text, "hello from the image\n");
    assert!(std::fs::write(Path::new(&at).join("x"), b"x").is_err());
    room.holm(&["image", "unmount", &at]);
    room.holm(&["image", "tag", "mine/base:1", "mine/base:2"]);
    let refused = room.try_holm(&["image", "remove", &id]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("has 2 names"));
    room.holm(&["image", "remove", "mine/base:1", "mine/base:2"]);
    assert_eq!(room.holm(&["images", "-q"]), "");
    let unknown = room.try_holm(&["image", "inspect", "mine/base:1"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there is no image `mine/base:1`"));
    let left = std::fs::read_dir(room.0.join("store/blobs/sha256")).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn an_exported_tree_is_the_imported_one() {
    let Some(room) = Room::new("export") else { return };
    let id = room.import();
    let tar = room.path("tree.tar");
    room.holm(&["image", "export", &id, "-o", &tar]);
    let again = room.holm(&[
        "image",
        "import",
        &tar,
        "again:1",
        "-c",
        "CMD [\"/bin/true\"]",
        "--timestamp",
        "1700000000",
    ]);
    let layers = |name: &str| {
        let shown = room.holm(&["image", "inspect", name]);
        shown.lines().find(|line| line.contains("\"DiffId\"")).unwrap().to_owned()
    };
    assert_eq!(layers(&id), layers(again.trim()));
}

#[test]
fn images_survive_docker_archives_and_layouts_by_their_digests() {
    let Some(room) = Room::new("exchange") else { return };
    let id = room.import();
    let digest_of = |name: &str| {
        let shown = room.holm(&["image", "inspect", name]);
        let line = shown
            .lines()
            .find(|line| line.trim_start().starts_with("\"Digest\": \"sha256") && line.starts_with("    \""))
            .unwrap();
        line.trim().to_owned()
    };
    let before = digest_of(&id);
    let (oci, docker, layout) = (room.path("oci.tar"), room.path("docker.tar"), room.path("layout"));
    room.holm(&["image", "save", "mine/base:1", "-o", &oci]);
    room.holm(&["image", "save", "mine/base:1", "-o", &docker, "--format", "docker-archive"]);
    room.holm(&["image", "save", "mine/base:1", "-o", &layout, "--format", "oci-dir"]);
    for (from, same_digest) in [(&oci, true), (&layout, true), (&docker, false)] {
        room.holm(&["image", "remove", "--force", &id]);
        let said = room.holm(&["image", "load", "-i", from]);
        assert_eq!(said, "loaded mine/base:1\n", "{from}");
        assert_eq!(room.holm(&["images", "-q", "--no-trunc"]).trim(), id, "{from}");
        assert!(!same_digest || digest_of(&id) == before, "{from}");
    }
    assert!(room.holm(&["image", "verify"]).contains("0 damaged"));
}

#[test]
fn skopeo_reads_what_is_saved_and_is_read() {
    let Some(room) = Room::new("skopeo") else { return };
    if !installed("skopeo") {
        return;
    }
    let id = room.import();
    let (oci, docker) = (room.path("oci.tar"), room.path("docker.tar"));
    room.holm(&["image", "save", "mine/base:1", "-o", &oci]);
    room.holm(&["image", "save", "mine/base:1", "-o", &docker, "--format", "docker-archive"]);
    let copy = |from: &str, to: &str| run("skopeo", &["copy", "--insecure-policy", "-q", from, to]);
    let theirs = room.path("theirs");
    copy(&format!("oci-archive:{oci}"), &format!("oci:{theirs}:mine/base:3"));
    copy(
        &format!("docker-archive:{docker}"),
        &format!("docker-archive:{}:mine/base:4", room.path("theirs.tar")),
    );
    copy(
        &format!("oci:{theirs}:mine/base:3"),
        &format!("oci-archive:{}:mine/base:5", room.path("theirs-oci.tar")),
    );
    room.holm(&["image", "remove", "--force", &id]);
    for (from, name) in
        [("theirs", "mine/base:3"), ("theirs.tar", "mine/base:4"), ("theirs-oci.tar", "mine/base:5")]
    {
        assert_eq!(room.holm(&["image", "load", "-i", &room.path(from)]), format!("loaded {name}\n"));
        assert!(room.holm(&["image", "inspect", name]).contains("sha256"), "{name}");
    }
    let shown = room.holm(&["image", "inspect", "mine/base:4"]);
    assert!(shown.contains(&id), "docker's archive keeps the id: {shown}");
}

#[test]
fn umoci_reads_what_is_saved_and_is_read() {
    let Some(room) = Room::new("umoci") else { return };
    if !installed("umoci") {
        return;
    }
    room.import();
    let layout = room.path("layout");
    room.holm(&["image", "save", "mine/base:1", "-o", &layout, "--format", "oci-dir"]);
    // umoci takes tags, not whole names.
    let index = room.path("layout/index.json");
    let text = std::fs::read_to_string(&index).unwrap().replace("docker.io/mine/base:1", "one");
    std::fs::write(&index, text).unwrap();
    let bundle = room.path("bundle");
    run("umoci", &["unpack", "--image", &format!("{layout}:one"), &bundle]);
    assert_eq!(std::fs::read(room.0.join("bundle/rootfs/etc/hello")).unwrap(), b"hello from the image\n");
    std::fs::write(room.0.join("bundle/rootfs/etc/more"), b"more").unwrap();
    std::fs::remove_file(room.0.join("bundle/rootfs/etc/link")).unwrap();
    run("umoci", &["repack", "--image", &format!("{layout}:two"), &bundle]);
    let two = room.path("two");
    run("umoci", &["tag", "--image", &format!("{layout}:two"), "latest"]);
    run("umoci", &["rm", "--image", &format!("{layout}:one")]);
    run("umoci", &["rm", "--image", &format!("{layout}:two")]);
    room.holm(&["image", "load", "-i", &layout, "-t", "two:1"]);
    room.holm(&["image", "mount", "two:1", &two]);
    assert_eq!(std::fs::read(Path::new(&two).join("etc/more")).unwrap(), b"more");
    assert!(!Path::new(&two).join("etc/link").exists(), "a whiteout hides it");
    room.holm(&["image", "unmount", &two]);
}

#[test]
fn an_archive_without_an_image_changes_nothing() {
    let Some(room) = Room::new("nothing") else { return };
    for (name, content) in [("empty.tar", vec![0; 1024]), ("text", b"no archive".repeat(100))] {
        std::fs::write(room.0.join(name), content).unwrap();
        let output = room.try_holm(&["image", "load", "-i", &room.path(name)]);
        assert_eq!(output.status.code(), Some(125), "{name}");
        assert_eq!(
            String::from_utf8_lossy(&output.stderr).lines().next().unwrap().matches("error:").count(),
            1
        );
    }
    assert_eq!(room.holm(&["images", "-q"]), "");
}

#[test]
fn an_image_stays_as_long_as_a_container_is_made_of_it() {
    let Some(room) = Room::new("held") else { return };
    let Some(busybox) =
        ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists())
    else {
        println!("SKIPPED held: needs busybox");
        return;
    };
    std::fs::create_dir_all(room.0.join("rootfs/bin")).unwrap();
    std::fs::copy(busybox, room.0.join("rootfs/bin/true")).unwrap();
    room.import();
    room.holm(&["create", "--name", "kept", "mine/base:1"]);
    let refused = room.try_holm(&["image", "remove", "mine/base:1"]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("is used by 1 container"), "{told}");
    room.holm(&["image", "prune", "--all"]);
    // As after a start of the machine: nothing is mounted.
    room.try_holm(&["image", "unmount", "--all"]);
    room.holm(&["start", "kept"]);
    let status = room.holm(&["wait", "kept"]);
    let state = room.try_holm(&["inspect", "--format", "{{json .State}}", "kept"]).stdout;
    assert_eq!(status.trim(), "0", "{}", String::from_utf8_lossy(&state));
    room.holm(&["rm", "kept"]);
    room.holm(&["image", "remove", "mine/base:1"]);
}
