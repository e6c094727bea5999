//! `holm diff` and `holm commit`.

use crate::room::Room;

const CHANGES: &str = "cd /srv; echo new >new; rm one; rm -r old/deep; mkdir old/deep; echo four >old/deep/four; rm old/two; mkdir old/two; touch old/two/in; chown 12:34 new; chmod 640 new; ln -s new link; ln new hard; mkfifo pipe; rm -r /usr";

/// All of it, as `diff` tells of it.
const TOLD: &str = "A /srv/hard\nA /srv/link\nA /srv/new\nA /srv/old/deep/four\nA /srv/old/two/in\nA /srv/pipe\nC /srv\nC /srv/old\nC /srv/old/deep\nC /srv/old/two\nD /srv/old/deep/three\nD /srv/one\nD /usr";

fn told(room: &Room, name: &str) -> String {
    let text = room.prints(&["diff", name]);
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[test]
fn changes_are_told_and_become_an_image_that_runs() {
    let Some(room) = Room::new("changes_are_told_and_become_an_image_that_runs") else { return };
    room.prints(&[
        "run",
        "-d",
        "--name",
        "kept",
        "-e",
        "A=b",
        "-w",
        "/srv",
        "--stop-signal",
        "KILL",
        "box:1",
    ]);
    // What goes with its end has its changes in memory: they are found by comparing.
    room.prints(&["run", "-d", "--rm", "--name", "gone", "box:1"]);
    for name in ["kept", "gone"] {
        assert_eq!(room.prints(&["diff", name]), "", "{name}");
        room.inside(name, CHANGES);
        assert_eq!(told(&room, name), TOLD, "{name}");
        let image = format!("{name}-image:1");
        let id = room.prints(&[
            "commit",
            "-a",
            "somebody",
            "-m",
            "a note",
            "-c",
            "LABEL x=y",
            "-c",
            "CMD [\"/bin/cat\", \"/srv/new\"]",
            name,
            &image,
        ]);
        assert!(id.starts_with("sha256:"), "{id}");
        assert_eq!(room.prints(&["run", "--rm", &image]), "new");
        let script =
            "cd /srv; ls -R .; stat -c '%n %u:%g %a %h' new pipe; ls /usr 2>/dev/null || echo no usr";
        let listing = room.prints(&["run", "--rm", &image, "sh", "-c", script]);
        let expected = ".:\nhard\nlink\nnew\nold\npipe\n\n./old:\ndeep\ntwo\n\n./old/deep:\nfour\n\n./old/two:\nin\nnew 12:34 640 2\npipe 0:0 644 1\nno usr";
        assert_eq!(listing, expected, "{name}");
        let history = room.prints(&["image", "history", "--no-trunc", &image]);
        assert!(history.contains("a note"), "{history}");
        let about = room.prints(&["image", "inspect", &image]);
        assert!(about.contains("somebody") && about.contains("\"x\""), "{about}");
    }
    let script = "echo $A; pwd";
    assert_eq!(room.prints(&["run", "--rm", "kept-image:1", "sh", "-c", script]), "b\n/srv");
    // One that has ended, and in another form.
    room.prints(&["stop", "kept"]);
    assert_eq!(told(&room, "kept"), TOLD);
    let json = room.prints(&["diff", "--format", "json", "kept"]);
    assert!(json.contains(r#"{"Kind":2,"Path":"/usr"}"#), "{json}");
    assert_eq!(room.prints(&["diff", "--format", "{{.Kind}}{{.Path}}", "kept"]).lines().count(), 13);
    let text = room.prints(&["commit", "--format", "{{.ID}} {{.Digest}}", "kept"]);
    assert_eq!(text.matches("sha256:").count(), 2, "{text}");
    // A layer on a layer.
    room.prints(&[
        "run",
        "--rm=false",
        "--name",
        "second",
        "kept-image:1",
        "sh",
        "-c",
        "echo again >/srv/again; rm /srv/hard",
    ]);
    room.prints(&["commit", "second", "second-image"]);
    assert_eq!(room.prints(&["run", "--rm", "second-image", "ls", "/srv"]), "again\nlink\nnew\nold\npipe");
}

#[test]
fn what_cannot_be_committed_is_told() {
    let Some(room) = Room::new("what_cannot_be_committed_is_told") else { return };
    room.prints(&["create", "--rootfs", "/", "--name", "bare", "--", "true"]);
    assert!(room.fails(&["commit", "bare", "x"]).contains("not made of an image"));
    assert!(room.fails(&["commit", "none"]).contains("there is no container"));
    room.prints(&["create", "--name", "c", "box:1"]);
    assert!(room.fails(&["commit", "c", "UPPER/Case"]).contains("error"));
    assert!(room.fails(&["commit", "-c", "RUN x", "c"]).contains("RUN x"));
    assert!(room.fails(&["diff", "none"]).contains("there is no container"));
    let error = room.fails(&["export", "none", "-o", "x.tar"]);
    assert!(error.contains("there is no container") && !room.base.join("x.tar").exists());
}
