//! Short names, mirrors, and registries that are blocked.

use crate::room::Room;

#[test]
fn a_short_name_stays_with_the_registry_it_was_found_at() {
    let Some(mut room) = Room::new("a_short_name_stays_with_the_registry_it_was_found_at") else { return };
    let (first, second) = (room.registry(false), room.registry(false));
    let layer = room.busybox();
    room.image(&format!("{second}/tool:1"), r#"{"Cmd":["echo","second"]}"#, &[&layer]);
    let search = |list: &str, mode: &str| {
        room.file(
            "registries.conf",
            &format!("unqualified-search-registries = [{list}]\nshort-name-mode = \"{mode}\"\n"),
        );
    };
    let both = format!("\"{first}\", \"{second}\"");
    search(&both, "enforcing");
    let error = room.fails(&["pull", "tool:1"]);
    assert!(error.contains("could be any of") && error.contains(&second), "{error}");
    search(&both, "permissive");
    assert_eq!(room.prints(&["run", "-q", "tool:1"]), "second\n");
    // Somebody takes the name at the registry that is searched first.
    room.image(&format!("{first}/tool:1"), r#"{"Cmd":["echo","first"]}"#, &[&layer]);
    assert_eq!(room.prints(&["run", "-q", "--pull", "always", "tool:1"]), "second\n");
    search(&format!("\"{first}\""), "enforcing");
    assert_eq!(room.prints(&["run", "-q", "--pull", "always", "tool:1"]), "second\n");
    search("", "enforcing");
    let error = room.fails(&["pull", "other:1"]);
    assert!(error.contains("none is searched"), "{error}");
}

#[test]
fn a_registry_that_cannot_be_asked_is_not_passed_over_for_the_next() {
    let Some(mut room) = Room::new("a_registry_that_cannot_be_asked_is_not_passed_over_for_the_next") else {
        return;
    };
    let second = room.registry(false);
    room.image(&format!("{second}/tool:1"), r#"{"Cmd":["echo","second"]}"#, &[&room.busybox()]);
    room.file(
        "registries.conf",
        &format!("unqualified-search-registries = [\"127.0.0.1:1\", \"{second}\"]\nshort-name-mode = \"permissive\"\n"),
    );
    let error = room.fails(&["pull", "tool:1"]);
    assert!(error.contains("nobody listens"), "{error}");
}

#[test]
fn mirrors_are_asked_first_and_a_blocked_registry_never() {
    let Some(mut room) = Room::new("mirrors_are_asked_first_and_a_blocked_registry_never") else { return };
    let (mirror, own) = (room.registry(false), room.registry(false));
    let layer = room.busybox();
    room.image(&format!("{mirror}/copies/app:1"), r#"{"Cmd":["echo","mirror"]}"#, &[&layer]);
    room.image(&format!("{own}/app:1"), r#"{"Cmd":["echo","own"]}"#, &[&layer]);
    room.image(&format!("{own}/app:2"), r#"{"Cmd":["echo","own"]}"#, &[&layer]);
    room.file(
        "registries.conf",
        &format!("[[registry]]\nlocation = \"{own}\"\n[[registry.mirror]]\nlocation = \"127.0.0.1:1\"\n[[registry.mirror]]\nlocation = \"{mirror}/copies\"\n[[registry]]\nlocation = \"evil.example\"\nblocked = true\n"),
    );
    assert_eq!(room.prints(&["run", "-q", &format!("{own}/app:1")]), "mirror\n");
    assert_eq!(room.prints(&["run", "-q", &format!("{own}/app:2")]), "own\n");
    let error = room.fails(&["pull", "evil.example/app:1"]);
    assert!(error.contains("blocked"), "{error}");
    room.file("registries.conf", "[[registry]\n");
    let error = room.fails(&["pull", &format!("{own}/app:1")]);
    assert!(error.contains("registries.conf") && error.contains("line 1"), "{error}");
}
