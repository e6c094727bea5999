//! Containers that want to get at the host through whoever copies their files.

use std::time::{Duration, Instant};

use crate::room::Room;

/// A directory that is a link to a directory of the host every other moment (CVE-2018-15664).
#[test]
fn a_directory_that_becomes_a_link_while_it_is_copied_never_leads_to_the_host() {
    let test = "a_directory_that_becomes_a_link_while_it_is_copied_never_leads_to_the_host";
    let Some(room) = Room::new(test) else { return };
    room.sh("mkdir outside; echo HOST >outside/secret; echo evil >planted");
    let outside = room.path("outside");
    let script = format!(
        "mkdir -p /r/a /r/b; echo box >/r/a/secret; ln -s {outside} /r/l; ln -s ../../../../../../..{outside} /r/m
         while :; do mv -T /r/a /r/d; mv -T /r/d /r/a; mv -T /r/l /r/d; mv -T /r/d /r/l; mv -T /r/m /r/d; mv -T /r/d /r/m; done"
    );
    room.prints(&["run", "-d", "--name", "evil", "box:1", "sh", "-c", &script]);
    let until = Instant::now() + Duration::from_millis(1200);
    let mut tries = 0;
    while Instant::now() < until || tries < 12 {
        tries += 1;
        room.sh("rm -rf got; mkdir got");
        let _ = room.holm(&["cp", "evil:/r/d/secret", "got/"]);
        let _ = room.holm(&["cp", "evil:/r", "got/"]);
        let _ = room.holm(&["cp", "planted", "evil:/r/d/"]);
        let _ = room.holm(&["cp", "planted", "evil:/r/d/secret"]);
        let leaked = room.sh("grep -rls HOST got || true");
        assert_eq!(leaked, "", "content of the host came out");
    }
    assert_eq!(room.sh("ls outside; cat outside/secret"), "secret\nHOST\n", "the host was written to");
}

/// Whatever a careless program would open of the container is a pipe that blocks whoever opens it (CVE-2019-14271).
#[test]
fn nothing_of_a_container_is_loaded_or_consulted() {
    let Some(room) = Room::new("nothing_of_a_container_is_loaded_or_consulted") else { return };
    room.prints(&["run", "-d", "--name", "trap", "box:1"]);
    let traps = "for dir in /lib /lib64 /usr/lib /lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu /etc; do mkdir -p $dir; for lib in libnss_files.so.2 libnss_compat.so.2 libc.so.6 libgcc_s.so.1 ld-linux-x86-64.so.2; do mkfifo $dir/$lib; done; done
        rm /etc/passwd; for file in passwd group nsswitch.conf ld.so.cache ld.so.preload localtime resolv.conf.x; do mkfifo /etc/$file; done";
    room.inside("trap", traps);
    room.sh("echo x >x; mkdir tree; touch tree/a tree/b");
    for args in [
        &["cp", "-a", "trap:/srv/old", "out"][..],
        &["cp", "-a", "x", "trap:/srv/x"],
        &["cp", "tree", "trap:/srv/tree"],
        &["export", "trap", "-o", "root.tar"],
        &["diff", "trap"],
    ] {
        let mut child = room.command(args).stdout(std::process::Stdio::null()).spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(40);
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "{args:?}");
                break;
            }
            if Instant::now() > until {
                let _ = child.kill();
                let _ = child.wait();
                panic!("{args:?} waits for something of the container's");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn an_archive_stays_where_it_belongs_and_the_kernel_is_not_written_to() {
    let Some(room) = Room::new("an_archive_stays_where_it_belongs_and_the_kernel_is_not_written_to") else {
        return;
    };
    room.prints(&["run", "-d", "--name", "c", "box:1"]);
    room.inside(
        "c",
        "ln -s /proc/sys/kernel/hostname /srv/k; ln -s /proc/1/root/etc /srv/magic; ln -s / /srv/root",
    );
    room.sh("echo evil >evil; mkdir pack; cd pack; echo x >x; tar cf ../up.tar --transform 's,^,../../,' -P x; mkdir d; ln -s /tmp d/l; tar cf ../l.tar d; rm d/l; mkdir d/l; echo y >d/l/y; tar rf ../l.tar d/l/y");
    for archive in ["up.tar", "l.tar"] {
        let file = std::fs::File::open(room.base.join(archive)).unwrap();
        let output = room.command(&["cp", "-", "c:/srv"]).stdin(file).output().unwrap();
        assert!(!output.status.success(), "{archive}");
    }
    assert_eq!(room.inside("c", "ls /tmp /x /y 2>/dev/null || true"), "/tmp:");
    let error = room.fails(&["cp", "evil", "c:/srv/k"]);
    assert!(error.contains("file system of the kernel's own"), "{error}");
    room.fails(&["cp", "evil", "c:/srv/magic/"]);
    room.prints(&["cp", "evil", "c:/srv/root/srv/landed"]);
    assert_eq!(room.inside("c", "cat /srv/landed"), "evil");
    // A device that a container could make is not made on the host, and its set-user-id bits do not come along.
    room.prints(&["cp", "c:/dev/null", "null"]);
    assert!(!room.base.join("null").exists());
}

/// Killed at any moment, a copy leaves no process behind.
#[test]
fn a_killed_copy_leaves_nothing_running() {
    let Some(room) = Room::new("a_killed_copy_leaves_nothing_running") else { return };
    room.prints(&["run", "-d", "--name", "c", "box:1"]);
    let house = room.base.display().to_string();
    for delay in [0, 1, 3, 7, 12, 20] {
        let mut child = room
            .command(&["cp", "-", "c:/srv"])
            .stdin(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        child.kill().unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
    }
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let left: Vec<String> = std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| {
                let line = std::fs::read(entry.path().join("cmdline")).ok()?;
                let env = std::fs::read(entry.path().join("environ")).unwrap_or_default();
                let line = String::from_utf8_lossy(&line).into_owned();
                (line.contains("--files") && String::from_utf8_lossy(&env).contains(&house)).then_some(line)
            })
            .collect();
        if left.is_empty() {
            break;
        }
        assert!(Instant::now() < until, "{left:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(room.inside("c", "ls -a /srv"), ".\n..\nold\none");
}
