//! `holm cp` and `holm export`.

use std::io::Write as _;
use std::process::Stdio;

use crate::room::Room;

/// A container that runs and one that was never started: both are to be the same to whoever copies.
fn both(room: &Room) -> [&'static str; 2] {
    room.prints(&["run", "-d", "--name", "runs", "box:1"]);
    room.prints(&["create", "--name", "made", "box:1"]);
    ["runs", "made"]
}

/// What a container that does not run has at a path, and whose it is: it is started for that.
fn seen(room: &Room, name: &str, script: &str) -> String {
    room.prints(&["start", name]);
    let seen = room.inside(name, script);
    if name == "made" {
        room.prints(&["stop", "-t", "0", name]);
    }
    seen
}

#[test]
fn what_goes_in_is_where_docker_puts_it_and_belongs_to_root_there() {
    let Some(room) = Room::new("what_goes_in_is_where_docker_puts_it_and_belongs_to_root_there") else {
        return;
    };
    room.sh("mkdir -p d/sub; echo x >d/sub/file; echo f >f; chown 1234:4321 f; chmod 4711 f; ln -s f link; mkdir empty");
    for name in both(&room) {
        let to = |path: &str| format!("{name}:{path}");
        room.prints(&["cp", "f", &to("/srv")]);
        room.prints(&["cp", "f", &to("/srv/renamed")]);
        room.prints(&["cp", "d", &to("/srv/copy")]);
        room.prints(&["cp", "d", &to("/srv/copy")]);
        room.prints(&["cp", "d/.", &to("srv/old/")]);
        room.prints(&["cp", "d/.", &to("/srv/whole")]);
        room.prints(&["cp", "link", &to("/srv/")]);
        room.prints(&["cp", "-L", "link", &to("/srv/followed")]);
        room.prints(&["cp", "-a", "f", &to("/srv/archived")]);
        assert!(room.fails(&["cp", "f", &to("/srv/none/")]).contains("no such directory"));
        assert!(room.fails(&["cp", "f", &to("/no/such/dir")]).contains("is not there"));
        assert!(room.fails(&["cp", "d", &to("/srv/one")]).contains("directory cannot be copied over a file"));
        assert!(room.fails(&["cp", "none", &to("/srv")]).contains("there is no none"));
        assert!(room.fails(&["cp", "f/", &to("/srv")]).contains("no directory"));
        let script = "cd /srv; stat -c '%n %u:%g %a' f renamed archived copy; ls copy copy/d old whole; cat followed copy/sub/file; ls -l link | sed 's/.*link/link/'";
        let expected = "f 0:0 711\nrenamed 0:0 711\narchived 1234:4321 4711\ncopy 0:0 755\ncopy:\nd\nsub\n\ncopy/d:\nsub\n\nold:\ndeep\nsub\ntwo\n\nwhole:\nsub\nf\nx";
        let script = script.replace("; ls -l link | sed 's/.*link/link/'", "");
        assert_eq!(seen(&room, name, &script), expected, "{name}");
    }
}

#[test]
fn what_comes_out_is_the_callers() {
    let Some(room) = Room::new("what_comes_out_is_the_callers") else { return };
    for name in both(&room) {
        if name == "runs" {
            room.inside(
                name,
                "chown 33:44 /srv/one; chmod 4755 /srv/one; ln -s /srv/one /srv/link; ln -s old /srv/dir",
            );
        } else {
            room.sh("mkdir -p own; echo one >own/one; chown 33:44 own/one; chmod 4755 own/one; ln -s /srv/one own/link; ln -s old own/dir");
            room.prints(&["cp", "-a", "own/.", "made:/srv"]);
        }
        let from = |path: &str| format!("{name}:{path}");
        room.sh("rm -rf out; mkdir out; chmod 700 out");
        room.prints(&["cp", &from("/srv/one"), "out"]);
        room.prints(&["cp", "-a", &from("/srv/one"), "out/archived"]);
        room.prints(&["cp", &from("/srv/old"), "out/tree"]);
        room.prints(&["cp", &from("/srv/old"), "out/tree"]);
        room.prints(&["cp", &from("/srv/old/."), "out"]);
        room.prints(&["cp", &from("/srv/link"), "out/"]);
        room.prints(&["cp", "-L", &from("/srv/link"), "out/followed"]);
        room.prints(&["cp", &from("/srv/dir/"), "out/through"]);
        assert!(room.fails(&["cp", &from("/srv/none"), "out"]).contains("there is no"));
        assert!(room.fails(&["cp", &from("/srv/old"), "out/one"]).contains("over a file"));
        assert!(room.fails(&["cp", &from("/srv/one/"), "out"]).contains("no directory"));
        assert!(room.fails(&["cp", &from("/srv/one"), "out/none/"]).contains("no such directory"));
        let listing = room.sh("cd out; find . | sort | tr '\\n' ' '; stat -c '%n %u:%g %a' one archived; readlink link; cat followed; stat -c %a .");
        let expected = ". ./archived ./deep ./deep/three ./followed ./link ./one ./through ./through/deep ./through/deep/three ./through/two ./tree ./tree/deep ./tree/deep/three ./tree/old ./tree/old/deep ./tree/old/deep/three ./tree/old/two ./tree/two ./two one 0:0 755\narchived 33:44 4755\n/srv/one\none\n700\n";
        assert_eq!(listing, expected, "{name}");
    }
}

#[test]
fn archives_go_through_the_standard_streams() {
    let Some(room) = Room::new("archives_go_through_the_standard_streams") else { return };
    for name in both(&room) {
        let out = room.holm(&["cp", &format!("{name}:/srv/old"), "-"]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        std::fs::write(room.base.join("old.tar"), &out.stdout).unwrap();
        assert_eq!(room.sh("tar tf old.tar"), "old/\nold/deep/\nold/deep/three\nold/two\n");
        room.sh("mkdir -p in; echo owned >in/owned; tar c --owner=7 --group=8 -C in owned | gzip >in.tar.gz");
        let give = |archive: &str, to: &str| {
            let file = std::fs::File::open(room.base.join(archive)).unwrap();
            room.command(&["cp", "-", &format!("{name}:{to}")]).stdin(Stdio::from(file)).output().unwrap()
        };
        let output = give("in.tar.gz", "/srv/old");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(!give("in.tar.gz", "/srv/one").status.success(), "a file is no place for an archive");
        assert!(!give("in.tar.gz", "/srv/none").status.success());
        assert_eq!(seen(&room, name, "stat -c %u:%g /srv/old/owned; cat /srv/old/owned"), "7:8\nowned");
    }
    assert!(room.fails(&["cp", "a", "b"]).contains("neither of both is in a container"));
    room.prints(&["cp", "runs:/srv/one", "made:/srv/other"]);
    assert_eq!(seen(&room, "made", "cat /srv/other; stat -c %u /srv/other"), "one\n0");
    // A pipe that nobody reads to its end is no reason to hang.
    let mut child =
        room.command(&["cp", "runs:/bin", "-"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(!child.wait().unwrap().success());
    // An archive that ends too early is told of, and one that never comes leaves nothing running.
    let mut child =
        room.command(&["cp", "-", "runs:/srv"]).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&[b'x'; 700]).unwrap();
    assert!(!child.wait().unwrap().success());
}

#[test]
fn what_is_mounted_is_part_of_a_container_and_not_of_its_root() {
    let Some(room) = Room::new("what_is_mounted_is_part_of_a_container_and_not_of_its_root") else { return };
    room.sh("mkdir data; echo mine >data/mine; echo more >more");
    let volume = format!("{}:/data", room.path("data"));
    let fixed = format!("{}:/fixed:ro", room.path("data"));
    for name in ["v", "w"] {
        room.prints(&["create", "--name", name, "-v", &volume, "-v", &fixed, "box:1"]);
        if name == "v" {
            room.prints(&["start", name]);
        }
        room.prints(&["cp", &format!("{name}:/data/mine"), "got"]);
        assert_eq!(room.read("got"), "mine\n");
        room.prints(&["cp", "more", &format!("{name}:/data/{name}")]);
        assert_eq!(room.read(&format!("data/{name}")), "more\n");
        let error = room.fails(&["cp", "more", &format!("{name}:/fixed/")]);
        assert!(error.contains("EROFS"), "{error}");
        room.prints(&["export", name, "-o", "root.tar"]);
        let listing = room.sh("tar tf root.tar");
        assert!(listing.contains("srv/old/deep/three\n") && listing.contains("bin/busybox\n"), "{listing}");
        assert!(!listing.contains("data/mine") && !listing.contains("proc/1"), "{listing}");
    }
    // What is mounted over a file is written and not replaced.
    let before = room.inside("v", "stat -c %i /etc/hosts; echo own >>/etc/hosts");
    room.sh("echo changed >hosts");
    room.prints(&["cp", "hosts", "v:/etc/hosts"]);
    assert_eq!(room.inside("v", "stat -c %i /etc/hosts; cat /etc/hosts"), format!("{before}\nchanged"));
    // With the image of an export one can go on.
    room.prints(&["import", "root.tar", "again:1", "-c", "CMD [\"/bin/cat\", \"/srv/one\"]"]);
    assert_eq!(room.prints(&["run", "--rm", "again:1"]), "one");
}

#[test]
fn a_callers_umask_does_not_close_a_container_to_its_users() {
    let Some(room) = Room::new("a_callers_umask_does_not_close_a_container_to_its_users") else { return };
    let holm = env!("CARGO_BIN_EXE_holm");
    let env = format!("HOLM_IMAGES={0}/store HOLM_ROOT={0}/root HOLM_RUNROOT={0}/run", room.base.display());
    room.sh(&format!(
        "umask 077; echo x >x; {env} {holm} run -d --network none --name c box:1; {env} {holm} cp x c:/srv/"
    ));
    assert_eq!(room.prints(&["exec", "-u", "33", "c", "ls", "/srv"]), "old\none\nx");
}
