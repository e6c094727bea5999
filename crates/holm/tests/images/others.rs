//! What other programs keep and make: credential helpers, docker's manifests, and what is no image.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use crate::room::{Room, in_path};

/// Keeps what it is given in files, and writes down what it was asked.
const HELPER: &str = r#"#!/bin/sh
cd "${0%/*}" || exit 1
echo "$1" >>asked
case $1 in
store) cat >kept ;;
get) read -r host; grep -q "\"$host\"" kept 2>/dev/null && cat kept || { echo "credentials not found in native keychain"; exit 1; } ;;
erase) rm -f kept ;;
esac
"#;

#[test]
fn a_credential_helper_keeps_what_login_is_given() {
    let Some(mut room) = Room::new("a_credential_helper_keeps_what_login_is_given") else { return };
    let host = room.registry(true);
    let helper = room.file("bin/docker-credential-test", HELPER);
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let config = room.file("home/.docker/config.json", r#"{"credsStore": "test", "mine": true}"#);
    let path = format!("{}:{}", room.dir.join("bin").display(), std::env::var("PATH").unwrap());
    let holm = |args: &[&str], input: &str| {
        let mut command = room.command(args);
        command.env("PATH", &path).env("DOCKER_CONFIG", config.parent().unwrap());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes());
        let output = child.wait_with_output().unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        )
    };
    let authfile = config.display().to_string();
    let flags = ["--authfile", &authfile];
    let name = format!("{host}/x:1");
    let (_, denied) = holm(&[&["pull"][..], &flags, &[&name]].concat(), "");
    assert!(denied.contains("holm login"), "{denied}");
    let login = ["login", "-u", "holm", "--password-stdin"];
    let (good, said) = holm(&[&login[..], &flags, &[&host]].concat(), "s3cret\n");
    assert!(good, "{said}");
    let kept = fs::read_to_string(room.dir.join("bin/kept")).unwrap();
    assert!(kept.contains("s3cret") && kept.contains(&host), "{kept}");
    let text = fs::read_to_string(&config).unwrap();
    assert!(!text.contains("s3cret") && text.contains("mine"), "{text}");
    // It is let in, and what is asked for is not there.
    let (_, missing) = holm(&[&["pull"][..], &flags, &[&name]].concat(), "");
    assert!(missing.contains("does not have it"), "{missing}");
    let (good, said) = holm(&[&["logout"][..], &flags, &[&host]].concat(), "");
    assert!(good && !room.dir.join("bin/kept").exists(), "{said}");
    let asked = fs::read_to_string(room.dir.join("bin/asked")).unwrap();
    assert!(["get", "store", "erase"].iter().all(|word| asked.lines().any(|line| line == *word)), "{asked}");
}

#[test]
fn docker_s_manifests_are_read() {
    let Some(mut room) = Room::new("docker_s_manifests_are_read") else { return };
    if !in_path("skopeo") {
        eprintln!("SKIPPED docker_s_manifests_are_read: there is no skopeo");
        return;
    }
    let host = room.registry(false);
    let name = format!("{host}/app:1");
    room.image(&name, r#"{"Cmd":["echo","docker"]}"#, &[&room.busybox()]);
    let copy = |format: &str, from: &str, to: &str| {
        let output = Command::new("skopeo")
            .args(["copy", "-q", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false"])
            .args(["--format", format, &format!("docker://{from}"), &format!("docker://{to}")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let docker = format!("{host}/docker:2");
    copy("v2s2", &name, &docker);
    assert_eq!(room.prints(&["run", "-q", &docker]), "docker\n");
    let media = room.prints(&["image", "inspect", &docker]);
    assert!(media.contains("application/vnd.docker.distribution.manifest.v2+json"), "{media}");
    // What is brought somewhere else is what came.
    let there = format!("{host}/again:2");
    room.prints(&["push", "-q", &docker, &there]);
    assert_eq!(room.manifest_size(&there), room.manifest_size(&docker));
    copy("oci", &there, &format!("{host}/back:1"));
    assert_eq!(room.prints(&["run", "-q", &format!("{host}/back:1")]), "docker\n");
}

#[test]
fn what_is_no_image_is_told_and_not_kept() {
    let Some(mut room) = Room::new("what_is_no_image_is_told_and_not_kept") else { return };
    let name = format!("{}/notes:1", room.registry(false));
    room.artifact(&name);
    let error = room.fails(&["pull", "-q", &name]);
    assert!(error.contains("artifact"), "{error}");
    assert_eq!(room.prints(&["images", "-q"]), "");
    room.prints(&["image", "prune", "--all"]);
    let blobs = room.dir.join("store/blobs/sha256");
    assert_eq!(fs::read_dir(blobs).map_or(0, Iterator::count), 0);
}

#[test]
fn limits_of_layers_are_flags_of_a_pull() {
    let Some(mut room) = Room::new("limits_of_layers_are_flags_of_a_pull") else { return };
    let name = format!("{}/app:1", room.registry(false));
    room.image(&name, "{}", &[&room.busybox()]);
    for (flag, value) in [("--max-layer-size", "10k"), ("--max-layer-entries", "3")] {
        let error = room.fails(&["pull", "-q", flag, value, &name]);
        assert!(error.contains(flag), "{flag}: {error}");
    }
    room.prints(&["pull", "-q", "--max-layer-size", "100m", "--form", "tree", &name]);
    assert!(room.prints(&["image", "inspect", &name]).contains("\"Form\": \"tree\""));
}
