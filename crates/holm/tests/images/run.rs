//! `holm run IMAGE`.

use crate::room::Room;

#[test]
fn an_image_says_how_its_program_is_run_and_flags_say_otherwise() {
    let Some(mut room) = Room::new("an_image_says_how_its_program_is_run_and_flags_say_otherwise") else {
        return;
    };
    let host = room.registry(false);
    let name = format!("{host}/app:1");
    // The user is of the lowest layer; the highest has nothing of /etc.
    let config = r#"{"Entrypoint":["/bin/sh","-c"],"Cmd":["id -u; id -g; pwd; echo $COLOR $HOME"],"Env":["COLOR=blue"],"User":"web","WorkingDir":"/srv/app"}"#;
    room.image(&name, config, &[&room.busybox(), &room.layer("mkdir -p opt; echo hi >opt/hi")]);
    // It is not here, so it is fetched.
    assert_eq!(room.prints(&["run", "-q", &name]), "33\n44\n/srv/app\nblue /srv\n");
    assert_eq!(room.prints(&["run", &name, "echo $COLOR; cat /opt/hi"]), "blue\nhi\n");
    let flags = [
        "run",
        "-e",
        "COLOR=red",
        "-u",
        "0:7",
        "-w",
        "/tmp",
        "--entrypoint",
        "/bin/sh",
        &name,
        "-c",
        "id -u; id -g; pwd; echo $COLOR",
    ];
    assert_eq!(room.prints(&flags), "0\n7\n/tmp\nred\n");
    assert_eq!(room.prints(&["run", "--entrypoint", "", &name, "/bin/echo", "bare"]), "bare\n");
    let error = room.fails(&["run", "-u", "nobody", &name]);
    assert!(error.contains("nobody"), "{error}");
    assert_eq!(room.holm(&["run", &name, "exit 7"]).status.code(), Some(7));
    assert_eq!(room.holm(&["run", "--entrypoint", "/no/such", &name]).status.code(), Some(127));
}

#[test]
fn layers_lie_over_each_other_and_changes_are_gone_afterwards() {
    let Some(mut room) = Room::new("layers_lie_over_each_other_and_changes_are_gone_afterwards") else {
        return;
    };
    let host = room.registry(false);
    let name = format!("{host}/app:1");
    let below = room.layer("mkdir -p a b; echo below >a/x; echo below >a/y; echo below >b/z");
    let above = room.layer("mkdir -p a b; echo above >a/x; : >a/.wh.y; : >b/.wh..wh..opq; echo above >b/new");
    room.image(&name, "{}", &[&room.busybox(), &below, &above]);
    let script = "cat /a/x; ls /a /b; echo more >/a/x; cat /a/x";
    let seen = "above\n/a:\nx\n\n/b:\nnew\nmore\n";
    assert_eq!(room.prints(&["run", "-q", &name, "sh", "-c", script]), seen);
    assert_eq!(room.prints(&["run", &name, "sh", "-c", script]), seen, "a change outlived its container");
    let kept = room.dir.join("kept");
    std::fs::create_dir(&kept).unwrap();
    let keep = ["run", "--keep-changes", kept.to_str().unwrap(), &name, "sh", "-c"];
    room.prints(&[&keep[..], &["echo kept >/a/kept"]].concat());
    assert_eq!(room.prints(&[&keep[..], &["cat /a/kept"]].concat()), "kept\n");
    let error = room.fails(&[
        "run",
        "--read-only",
        &name,
        "sh",
        "-c",
        "echo x >/a/x || { echo error: refused >&2; exit 1; }",
    ]);
    assert!(error.contains("Read-only"), "{error}");
}

#[test]
fn the_registry_is_asked_when_the_policy_says_so() {
    let Some(mut room) = Room::new("the_registry_is_asked_when_the_policy_says_so") else { return };
    let host = room.registry(false);
    let name = format!("{host}/app:1");
    let layer = room.busybox();
    let error = room.fails(&["run", "--pull", "never", &name]);
    assert!(error.contains("holm pull"), "{error}");
    room.image(&name, r#"{"Cmd":["echo","old"]}"#, &[&layer]);
    let says = |policy: &str| room.prints(&["run", "-q", "--pull", policy, &name]);
    assert_eq!(says("missing"), "old\n");
    room.image(&name, r#"{"Cmd":["echo","new"]}"#, &[&layer]);
    assert_eq!(says("missing"), "old\n");
    assert_eq!(says("never"), "old\n");
    assert_eq!(says("newer"), "new\n");
    room.image(&name, r#"{"Cmd":["echo","newest"]}"#, &[&layer]);
    assert_eq!(says("always"), "newest\n");
    // Nobody can be asked: what is here serves those who did not insist.
    let gone = format!("127.0.0.1:1/{}", "app:1");
    assert!(room.fails(&["run", "--pull", "newer", &gone]).contains("nobody listens"));
}

#[test]
fn what_an_image_must_not_say_is_refused() {
    let Some(mut room) = Room::new("what_an_image_must_not_say_is_refused") else { return };
    let host = room.registry(false);
    let layer = room.busybox();
    let name = |number: usize| format!("{host}/app:{number}");
    let configs = [
        (r#"{"Cmd":["env"],"Env":["SECRET_OF_MINE"]}"#, "SECRET_OF_MINE"),
        (r#"{"Cmd":["env"],"User":"4294967295"}"#, "user"),
        (r#"{"Cmd":["env"],"WorkingDir":"/../../etc"}"#, "working directory"),
        (r#"{}"#, "names no program"),
    ];
    for (number, (config, words)) in configs.iter().enumerate() {
        room.image(&name(number), config, &[&layer]);
        let output = room.command(&["run", &name(number)]).env("SECRET_OF_MINE", "hunter2").output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains(words), "{config}: {errors}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("hunter2"));
    }
    for (args, words) in [
        (vec!["run"], "nothing to run"),
        (vec!["run", "--rootfs-write", "x"], "--keep-changes"),
        (vec!["run", "--rootfs", "/", "--pull", "always", "true"], "contradict"),
        (vec!["run", "UPPER case"], "cannot"),
    ] {
        let error = room.fails(&args);
        assert!(error.contains(words), "{args:?}: {error}");
    }
}
