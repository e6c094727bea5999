//! A registry without any locks.

use images::digest::Digest;
use images::media;
use images::reference::Repository;
use images::registry::push::{Arrived, CHUNK};
use report::Explain as _;

use crate::fixture::{download, fetch, image, noise, upload, upload_from};
use crate::room::Room;

#[test]
fn what_is_pushed_is_pulled_byte_for_byte() {
    let Some(room) = Room::new("what_is_pushed_is_pulled_byte_for_byte") else { return };
    let registry = room.registry();
    let (client, endpoint) = (room.client(), registry.endpoint("team/app"));
    let layer = noise(300_000, 1);
    let manifest = image(&client, &endpoint, "v1", &layer);
    // Another client: nothing is remembered.
    let client = room.client();
    let got = client.manifest(&endpoint, "v1").unwrap();
    assert_eq!(got.bytes, manifest);
    assert_eq!(got.media_type, media::OCI_MANIFEST);
    assert_eq!(client.manifest_digest(&endpoint, "v1").unwrap(), Some(got.digest));
    assert_eq!(client.manifest(&endpoint, &got.digest.to_string()).unwrap().bytes, manifest);
    assert_eq!(download(&client, std::slice::from_ref(&endpoint), &layer).unwrap(), layer);
    assert_eq!(client.small_blob(&[endpoint], &Digest::of(b"{}"), 2).unwrap(), b"{}");
}

#[test]
fn an_upload_is_skipped_mounted_or_cut_into_chunks() {
    let Some(room) = Room::new("an_upload_is_skipped_mounted_or_cut_into_chunks") else { return };
    let registry = room.registry();
    let (client, first, second) = (room.client(), registry.endpoint("a/one"), registry.endpoint("b/two"));
    for (size, seed) in
        [(0, 1), (1, 2), (CHUNK as usize, 3), (CHUNK as usize + 1, 4), (3 * CHUNK as usize - 7, 5)]
    {
        let bytes = noise(size, seed);
        assert_eq!(upload(&client, &first, &bytes).unwrap(), Arrived::Uploaded, "{size}");
        assert_eq!(upload(&client, &first, &bytes).unwrap(), Arrived::Existed, "{size}");
        assert_eq!(download(&client, std::slice::from_ref(&first), &bytes).unwrap(), bytes, "{size}");
    }
    let bytes = noise(3 * CHUNK as usize - 7, 5);
    let known = [Repository::parse("a/nothing-here").unwrap(), Repository::parse("a/one").unwrap()];
    let arrived = upload_from(&client, &second, &bytes, &known).unwrap();
    assert_eq!(arrived, Arrived::Mounted(known[1].clone()));
    assert_eq!(download(&client, &[second], &bytes).unwrap(), bytes);
}

#[test]
fn what_is_not_there_is_said_to_be_missing() {
    let Some(room) = Room::new("what_is_not_there_is_said_to_be_missing") else { return };
    let registry = room.registry();
    let (client, endpoint) = (room.client(), registry.endpoint("team/app"));
    let error = client.manifest(&endpoint, "v1").unwrap_err();
    assert!(error.is_missing(), "{error}");
    assert_eq!(error.kind(), report::Kind::NotFound);
    assert!(
        error.to_string().contains("team/app:v1") && error.to_string().contains(&registry.host().to_string()),
        "{error}"
    );
    let error = fetch(&client, &[endpoint], &Digest::of(b"nothing"), 7).unwrap_err();
    assert!(error.is_missing(), "{error}");
}

#[test]
fn nobody_listening_is_told_at_once() {
    let Some(room) = Room::new("nobody_listening_is_told_at_once") else { return };
    let registry = room.registry();
    let endpoint = registry.endpoint("team/app");
    drop(registry);
    let error = room.client().manifest(&endpoint, "v1").unwrap_err();
    assert!(error.to_string().ends_with("nobody listens there"), "{error}");
}

#[test]
fn a_mirror_that_fails_or_lacks_something_is_passed_over() {
    let Some(room) = Room::new("a_mirror_that_fails_or_lacks_something_is_passed_over") else { return };
    let (mirror, registry) = (room.registry(), room.registry());
    let (client, layer) = (room.client(), noise(100_000, 9));
    let (gone, empty, own) = (
        crate::room::endpoint(([127, 0, 0, 1], room.port()).into(), "a/b"),
        mirror.endpoint("a/b"),
        registry.endpoint("a/b"),
    );
    image(&client, &own, "v1", &layer);
    assert_eq!(download(&client, &[gone.clone(), empty.clone(), own], &layer).unwrap(), layer);
    let error = fetch(&client, &[empty, gone], &Digest::of(&layer), layer.len() as u64).unwrap_err();
    assert!(error.to_string().contains("nobody listens"), "the last one's answer counts: {error}");
}
