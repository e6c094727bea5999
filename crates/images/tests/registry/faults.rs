//! What goes wrong on the way, and how little comes of it.

use std::time::Duration;

use images::digest::Digest;
use images::registry::push::{Arrived, CHUNK};
use images::registry::{Client, Endpoint, RegistryError};

use crate::fixture::{download, fetch, image, noise, upload};
use crate::proxy::{Asked, Fault, Middle};
use crate::room::{Registry, Room, endpoint};

/// A registry with a blob, and somebody in between.
struct Scene {
    _registry: Registry,
    middle: Middle,
    endpoint: Endpoint,
    blob: Vec<u8>,
    client: Client,
}

fn scene(room: &Room, decide: impl Fn(&Asked, usize) -> Fault + Send + Sync + 'static) -> Scene {
    let registry = room.registry();
    let blob = noise(1_000_000, 7);
    let client = room.client();
    image(&client, &registry.endpoint("a/b"), "v1", &blob);
    let middle = Middle::before(Some(registry.address), decide);
    let endpoint = endpoint(middle.address, "a/b");
    Scene { _registry: registry, middle, endpoint, blob, client }
}

/// What happens to the first downloads of the blob, one after the other; the rest passes.
fn downloads(list: Vec<Fault>) -> impl Fn(&Asked, usize) -> Fault + Send + Sync {
    move |asked, times| match asked.path.contains("/blobs/") && asked.method == "GET" {
        true => list.get(times).cloned().unwrap_or(Fault::Pass),
        false => Fault::Pass,
    }
}

fn ranges(scene: &Scene) -> Vec<Option<String>> {
    scene
        .middle
        .about("GET", "/blobs/")
        .iter()
        .map(|asked| asked.header("range").map(str::to_owned))
        .collect()
}

#[test]
fn a_broken_download_goes_on_where_it_broke() {
    let Some(room) = Room::new("a_broken_download_goes_on_where_it_broke") else { return };
    let faults = vec![Fault::ResetAfter(300_000), Fault::CloseAfter(200_000), Fault::CloseAfter(0)];
    let scene = scene(&room, downloads(faults));
    assert_eq!(
        download(&scene.client, std::slice::from_ref(&scene.endpoint), &scene.blob).unwrap(),
        scene.blob
    );
    let ranges = ranges(&scene);
    assert_eq!(ranges.len(), 4, "{ranges:?}");
    assert_eq!(ranges[0], None);
    // A reset may take some of what was sent with it.
    assert!(
        ranges[1].as_deref().is_some_and(|range| range.starts_with("bytes=") && range != "bytes=0-"),
        "{ranges:?}"
    );
    assert_eq!(ranges[2], ranges[3], "nothing came in between");
}

#[test]
fn a_registry_without_ranges_sends_all_again() {
    let Some(room) = Room::new("a_registry_without_ranges_sends_all_again") else { return };
    let faults = vec![Fault::CloseAfter(300_000), Fault::Without("range")];
    let scene = scene(&room, downloads(faults));
    assert_eq!(
        download(&scene.client, std::slice::from_ref(&scene.endpoint), &scene.blob).unwrap(),
        scene.blob
    );
    assert_eq!(ranges(&scene).len(), 2);
}

#[test]
fn silence_is_not_waited_out() {
    let Some(room) = Room::new("silence_is_not_waited_out") else { return };
    let scene = scene(&room, downloads(vec![Fault::StallAfter(300_000, Duration::from_secs(120))]));
    let mut settings = room.settings();
    settings.patience.silence = Duration::from_millis(500);
    let client = Client::new(
        settings,
        images::credentials::Credentials::none(),
        images::registry::approved::Approved::default(),
    );
    assert_eq!(download(&client, std::slice::from_ref(&scene.endpoint), &scene.blob).unwrap(), scene.blob);
    assert_eq!(ranges(&scene), [None, Some("bytes=300000-".to_owned())]);
}

#[test]
fn a_way_that_stays_broken_is_given_up() {
    let Some(room) = Room::new("a_way_that_stays_broken_is_given_up") else { return };
    let scene = scene(&room, downloads(vec![Fault::CloseAfter(10); 50]));
    let error = download(&scene.client, std::slice::from_ref(&scene.endpoint), &scene.blob).unwrap_err();
    assert!(error.to_string().contains("of 1000000 bytes"), "{error}");
    assert_eq!(ranges(&scene).len(), 4, "as often as was settled");
}

#[test]
fn a_server_that_asks_for_a_pause_gets_it() {
    let Some(room) = Room::new("a_server_that_asks_for_a_pause_gets_it") else { return };
    let scene = scene(&room, |asked, times| match (asked.path.contains("/manifests/"), times) {
        (true, 0) => Fault::Answer(429, vec![("Retry-After", "1".to_owned())], Vec::new()),
        (true, 1) => Fault::Answer(503, Vec::new(), Vec::new()),
        (true, 2) => Fault::ResetAfter(0),
        _ => Fault::Pass,
    });
    scene.client.manifest(&scene.endpoint, "v1").unwrap();
    let asked = scene.middle.about("GET", "/manifests/");
    assert_eq!(asked.len(), 4);
    assert!(asked[1].at.duration_since(asked[0].at) >= Duration::from_millis(990), "it came back too early");
}

#[test]
fn a_server_that_asks_for_too_long_a_pause_is_left() {
    let Some(room) = Room::new("a_server_that_asks_for_too_long_a_pause_is_left") else { return };
    let scene = scene(&room, |asked, _| match asked.path.contains("/manifests/") {
        true => Fault::Answer(429, vec![("Retry-After", "7200".to_owned())], Vec::new()),
        false => Fault::Pass,
    });
    let error = scene.client.manifest(&scene.endpoint, "v1").unwrap_err();
    assert!(matches!(error, RegistryError::Busy { .. }), "{error}");
    assert!(error.to_string().contains("7200 s"), "{error}");
    assert_eq!(scene.middle.about("GET", "/manifests/").len(), 1);
}

#[test]
fn what_is_not_what_was_announced_is_refused() {
    let Some(room) = Room::new("what_is_not_what_was_announced_is_refused") else { return };
    let scene = scene(&room, |asked, times| {
        match (asked.path.contains("/blobs/") || asked.path.contains("sha256:"), times) {
            (true, _) => Fault::Flip,
            (false, 0) if asked.path.contains("/manifests/v1") => Fault::Flip,
            _ => Fault::Pass,
        }
    });
    // The manifest of a tag, by the header that says what it is.
    let error = scene.client.manifest(&scene.endpoint, "v1").unwrap_err();
    assert!(error.to_string().contains("digest"), "{error}");
    let good = scene.client.manifest(&scene.endpoint, "v1").unwrap();
    let error = scene.client.manifest(&scene.endpoint, &good.digest.to_string()).unwrap_err();
    assert!(error.to_string().contains(&good.digest.to_string()), "{error}");
    let error =
        scene.client.small_blob(std::slice::from_ref(&scene.endpoint), &Digest::of(b"{}"), 2).unwrap_err();
    assert!(error.to_string().contains("digest"), "{error}");
    // Sizes.
    for size in [999_999, 1_000_001] {
        let error =
            fetch(&scene.client, std::slice::from_ref(&scene.endpoint), &Digest::of(&scene.blob), size)
                .unwrap_err();
        assert!(error.to_string().contains("announced"), "{error}");
    }
}

#[test]
fn an_answer_that_makes_no_sense_is_one_clear_line() {
    let Some(room) = Room::new("an_answer_that_makes_no_sense_is_one_clear_line") else { return };
    let answers: Vec<Fault> = vec![
        Fault::Answer(206, vec![("Content-Range", "bytes 5-6/9".to_owned())], b"xx".to_vec()),
        Fault::Answer(307, Vec::new(), Vec::new()),
        Fault::Answer(307, vec![("Location", "gopher://x/".to_owned())], Vec::new()),
        Fault::Answer(307, vec![("Location", "http://u:p@127.0.0.1:1/".to_owned())], Vec::new()),
        Fault::Answer(401, Vec::new(), Vec::new()),
        Fault::Answer(401, vec![("WWW-Authenticate", "Bearer nonsense".to_owned())], Vec::new()),
        Fault::Answer(401, vec![("WWW-Authenticate", "Digest realm=x".to_owned())], Vec::new()),
        Fault::Answer(
            403,
            Vec::new(),
            br#"{"errors":[{"code":"DENIED","message":"no\nway\u001b[2J"}]}"#.to_vec(),
        ),
        Fault::Answer(418, Vec::new(), vec![b'x'; 1 << 20]),
        Fault::Answer(200, Vec::new(), vec![b'{'; 5 << 20]),
    ];
    for fault in answers {
        let told = fault.clone();
        let middle = Middle::before(None, move |asked, _| {
            if asked.path.ends_with("/v2/") {
                Fault::Answer(200, Vec::new(), Vec::new())
            } else {
                told.clone()
            }
        });
        let error = room.client().manifest(&endpoint(middle.address, "a/b"), "v1").unwrap_err();
        let text = report::one_line(&error);
        assert!(!text.contains(['\n', '\u{1b}']) && text.len() < 400, "{text}");
    }
}

#[test]
fn a_broken_upload_goes_on_where_it_broke() {
    let Some(room) = Room::new("a_broken_upload_goes_on_where_it_broke") else { return };
    let scene = scene(&room, |asked, _| {
        let first =
            asked.header("content-range").is_some_and(|range| range.starts_with(&format!("{CHUNK}-")));
        match asked.method.as_str() {
            // The second chunk breaks once: its session has a new state in its address each time.
            "PATCH" if first && !BROKEN.swap(true, std::sync::atomic::Ordering::SeqCst) => {
                Fault::ResetRequestAfter(100_000)
            }
            _ => Fault::Pass,
        }
    });
    static BROKEN: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    let bytes = noise(3 * CHUNK as usize + 5, 11);
    assert_eq!(upload(&scene.client, &scene.endpoint, &bytes).unwrap(), Arrived::Uploaded);
    assert_eq!(download(&scene.client, std::slice::from_ref(&scene.endpoint), &bytes).unwrap(), bytes);
    assert!(BROKEN.load(std::sync::atomic::Ordering::SeqCst));
    assert_eq!(scene.middle.about("POST", "/uploads/").len(), 1, "it was begun only once");
    assert_eq!(scene.middle.about("PATCH", "/uploads/").len(), 4);
}

#[test]
fn a_stop_ends_transfers_of_other_threads() {
    let Some(room) = Room::new("a_stop_ends_transfers_of_other_threads") else { return };
    let scene = scene(&room, downloads(vec![Fault::StallAfter(300_000, Duration::from_secs(120)); 9]));
    std::thread::scope(|scope| {
        let transfer =
            scope.spawn(|| download(&scene.client, std::slice::from_ref(&scene.endpoint), &scene.blob));
        while scene.middle.about("GET", "/blobs/").is_empty() {
            std::thread::sleep(Duration::from_millis(10));
        }
        scene.client.stop();
        let error = transfer.join().unwrap().unwrap_err();
        assert!(matches!(error, RegistryError::Stopped { .. }), "{error}");
    });
}
