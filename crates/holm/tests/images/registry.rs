//! Fetching, bringing, logging in.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use crate::room::{Room, in_path};

#[test]
fn an_image_is_fetched_once_and_its_id_is_printed() {
    let Some(mut room) = Room::new("an_image_is_fetched_once_and_its_id_is_printed") else { return };
    let host = room.registry(false);
    let name = format!("{host}/team/app:1");
    let digest = room.image(&name, r#"{"Cmd":["sh"]}"#, &[&room.busybox()]);
    let first = room.prints(&["pull", "-q", &name]);
    assert!(first.starts_with("sha256:") && first.lines().count() == 1, "{first}");
    let again = room.holm(&["pull", "--progress", "plain", &name]);
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(said.contains("is there already"), "{said}");
    assert_eq!(String::from_utf8(again.stdout).unwrap(), first);
    // By digest it is the same image.
    let by_digest = format!("{host}/team/app@{digest}");
    assert_eq!(room.prints(&["pull", "-q", &by_digest]), first);
}

#[test]
fn progress_for_programs_is_one_object_a_line() {
    let Some(mut room) = Room::new("progress_for_programs_is_one_object_a_line") else { return };
    let host = room.registry(false);
    let name = format!("{host}/app:1");
    room.image(&name, "{}", &[&room.busybox()]);
    let text = room.prints(&["pull", "--progress", "json", &name]);
    let events: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!((kinds.first(), kinds.last()), (Some(&"asking"), Some(&"pulled")), "{text}");
    for kind in ["found", "started", "arrived", "done"] {
        assert!(kinds.contains(&kind), "{kind}: {text}");
    }
    let layers = events[1]["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 1);
    assert!(layers[0]["size"].as_u64().unwrap() > 100_000);
}

#[test]
fn the_platform_is_chosen_and_one_that_is_not_there_is_told() {
    let Some(mut room) = Room::new("the_platform_is_chosen_and_one_that_is_not_there_is_told") else {
        return;
    };
    let host = room.registry(false);
    let layer = room.busybox();
    let (amd, arm) = (format!("{host}/app:amd"), format!("{host}/app:arm"));
    let first = room.image_for(&amd, r#"{"Cmd":["amd"]}"#, &[&layer], "amd64");
    let second = room.image_for(&arm, r#"{"Cmd":["arm"]}"#, &[&layer], "arm64");
    let name = format!("{host}/app:1");
    room.index(
        &name,
        &[(first, room.manifest_size(&amd), "amd64"), (second, room.manifest_size(&arm), "arm64")],
    );
    let amd = room.prints(&["pull", "-q", "--platform", "linux/amd64", &name]);
    let arm = room.prints(&["pull", "-q", "--platform", "arm64", &name]);
    assert_ne!(amd, arm);
    let error = room.fails(&["pull", "--platform", "linux/s390x", &name]);
    assert!(error.contains("linux/amd64, linux/arm64"), "{error}");
    let error = room.fails(&["pull", "--platform", "x/y/z/a", &name]);
    assert!(error.contains("platform"), "{error}");
}

#[test]
fn what_is_not_what_it_should_be_leaves_no_image() {
    let Some(mut room) = Room::new("what_is_not_what_it_should_be_leaves_no_image") else { return };
    let host = room.registry(false);
    let (good, other) = (room.busybox(), room.layer("echo x >x"));
    // The configuration says another content than the layer has.
    let name = format!("{host}/liar:1");
    room.image(&name, "{}", &[&(good.0.clone(), other.1)]);
    let error = room.fails(&["pull", &name]);
    assert!(error.contains("digest"), "{error}");
    // A layer that is no archive.
    let junk = format!("{host}/junk:1");
    room.image(&junk, "{}", &[&(b"\x1f\x8bnonsense".to_vec(), other.1)]);
    room.fails(&["pull", &junk]);
    // No tag, no repository, no registry.
    for missing in [format!("{host}/liar:2"), format!("{host}/nothing:1"), "127.0.0.1:1/x:1".to_owned()] {
        room.fails(&["pull", &missing]);
    }
    for name in [&name, &junk] {
        let error = room.fails(&["run", "--pull", "never", name]);
        assert!(error.contains("there is no image"), "{error}");
    }
    // What was interrupted so leaves nothing that stands in the way.
    room.image(&name, r#"{"Cmd":["sh"]}"#, &[&good]);
    room.prints(&["pull", "-q", &name]);
}

#[test]
fn a_pull_that_is_killed_can_be_repeated() {
    let Some(mut room) = Room::new("a_pull_that_is_killed_can_be_repeated") else { return };
    let host = room.registry(false);
    let name = format!("{host}/big:1");
    let layer = room.layer("head -c 20000000 /dev/urandom >noise");
    room.image(&name, "{}", &[&layer, &room.busybox()]);
    for pause in [5, 20, 60, 120] {
        let mut child =
            room.command(&["pull", "-q", &name]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(pause));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    room.prints(&["pull", "-q", &name]);
    assert_eq!(
        room.prints(&["run", "--pull", "never", &name, "sh", "-c", "cat /noise | busybox wc -c"]).trim(),
        "20000000"
    );
}

#[test]
fn logging_in_is_verified_kept_and_forgotten() {
    let Some(mut room) = Room::new("logging_in_is_verified_kept_and_forgotten") else { return };
    let host = room.registry(true);
    let login = |password: &str| {
        let mut command = room.command(&["login", "-u", "holm", "--password-stdin", &host]);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), password.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let wrong = login("guess\n");
    assert!(!wrong.status.success());
    assert!(!String::from_utf8_lossy(&wrong.stderr).contains("guess"));
    let file = room.dir.join("home/.config/containers/auth.json");
    assert!(!file.exists(), "refused credentials were kept");
    assert!(room.fails(&["login", "--get-login", &host]).contains("nobody"));

    let right = login("s3cret\n");
    assert!(right.status.success(), "{}", String::from_utf8_lossy(&right.stderr));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(room.prints(&["login", "--get-login", &host]), "holm\n");
    // What podman's and skopeo's readers of the same file make of it.
    if in_path("skopeo") {
        let listing = Command::new("skopeo")
            .args(["list-tags", "--tls-verify=false", "--authfile"])
            .arg(&file)
            .arg(format!("docker://{host}/nothing"))
            .output()
            .unwrap();
        assert!(!String::from_utf8_lossy(&listing.stderr).contains("unauthorized"), "{listing:?}");
    }
    let missing = room.fails(&["pull", &format!("{host}/x:1")]);
    assert!(missing.contains("does not have it"), "{missing}");
    room.prints(&["logout", &host]);
    let denied = room.fails(&["pull", &format!("{host}/x:1")]);
    assert!(denied.contains("holm login"), "{denied}");
    // Once, by the command line.
    let once = room.fails(&["pull", "--creds", "holm:s3cret", &format!("{host}/x:1")]);
    assert!(once.contains("does not have it"), "{once}");
}

#[test]
fn an_image_is_brought_to_another_registry_byte_for_byte() {
    let Some(mut room) = Room::new("an_image_is_brought_to_another_registry_byte_for_byte") else { return };
    let (here, there) = (room.registry(false), room.registry(false));
    let name = format!("{here}/app:1");
    let digest = room.image(&name, r#"{"Cmd":["sh"]}"#, &[&room.busybox(), &room.layer("echo one >one")]);
    room.prints(&["pull", "-q", &name]);
    let pushed = room.prints(&["push", "-q", &name, &format!("{there}/copies/app:2")]);
    assert_eq!(pushed.trim(), digest.to_string());
    // All of it exists there: a second time, and under another name, nothing is sent.
    let text = room.prints(&["push", "--progress", "json", &name, &format!("{there}/copies/app:3")]);
    assert!(!text.contains(r#""event":"done""#), "{text}");
    if in_path("skopeo") {
        let seen = Command::new("skopeo")
            .args([
                "inspect",
                "--tls-verify=false",
                "--format",
                "{{.Digest}}",
                &format!("docker://{there}/copies/app:2"),
            ])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&seen.stdout).trim(), digest.to_string(), "{seen:?}");
    }
    for (args, words) in [
        (vec!["push", "nothing:1", "127.0.0.1:1/x:1"], "no image"),
        (vec!["push", name.as_str(), "short:1"], "names no registry"),
        (vec!["push", name.as_str(), "127.0.0.1:1/x:1"], "nobody listens"),
    ] {
        let error = room.fails(&args);
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn an_index_is_brought_whole_or_not_at_all() {
    let Some(mut room) = Room::new("an_index_is_brought_whole_or_not_at_all") else { return };
    let (here, there) = (room.registry(false), room.registry(false));
    let layer = room.busybox();
    let (amd, arm) = (format!("{here}/app:amd"), format!("{here}/app:arm"));
    let first = room.image_for(&amd, r#"{"Cmd":["amd"]}"#, &[&layer], "amd64");
    let second = room.image_for(&arm, r#"{"Cmd":["arm"]}"#, &[&layer], "arm64");
    let name = format!("{here}/app:1");
    let index = room.index(
        &name,
        &[(first, room.manifest_size(&amd), "amd64"), (second, room.manifest_size(&arm), "arm64")],
    );
    room.prints(&["pull", "-q", "--platform", "amd64", &name]);
    let target = format!("{there}/app:1");
    let error = room.fails(&["push", "--all", &name, &target]);
    assert!(error.contains("linux/arm64"), "{error}");
    assert_eq!(room.prints(&["push", "-q", &name, &target]).trim(), first.to_string());
    room.prints(&["pull", "-q", "--platform", "arm64", &arm]);
    assert_eq!(room.prints(&["push", "-q", "--all", &name, &target]).trim(), index.to_string());
}
