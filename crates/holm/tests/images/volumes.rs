//! Volumes that images declare.

use crate::room::Room;

#[test]
fn a_volume_of_an_image_has_what_its_layers_have_there_together() {
    let Some(mut room) = Room::new("a_volume_of_an_image_has_what_its_layers_have_there_together") else {
        return;
    };
    let host = room.registry(false);
    let name = format!("{host}/app:1");
    let below = room.layer("mkdir -p srv/d; echo below >srv/x; echo below >srv/y; echo below >srv/d/z; ln -s /etc/hosts srv/link");
    let above = room.layer("mkdir -p srv/d; echo above >srv/x; : >srv/.wh.y; echo new >srv/d/new; chown -h 33:44 srv/x; chmod 0751 srv");
    room.image(&name, r#"{"Volumes":{"/srv":{}}}"#, &[&room.busybox(), &below, &above]);
    let holm = |args: &[&str]| {
        let output = room.holm(args);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    };
    let look = "cat /srv/x; ls /srv /srv/d; busybox stat -c '%u:%g' /srv/x; busybox stat -c %a /srv";
    let seen = "above\n/srv:\nd\nlink\nx\n\n/srv/d:\nnew\nz\n33:44\n751\n";
    let quiet = ["run", "-q", "--network", "none", "--rm"];
    assert_eq!(holm(&[&quiet[..], &[&name, "sh", "-c", look]].concat()), seen);
    assert_eq!(holm(&["volume", "ls", "-q"]), "");
    assert_eq!(holm(&[&quiet[..], &["-v", "kept:/srv", &name, "sh", "-c", look]].concat()), seen);
    assert_eq!(holm(&[&quiet[..], &["-v", "kept:/else", &name, "ls", "/else"]].concat()), "d\nlink\nx\n");
    holm(&["volume", "rm", "kept"]);
}
