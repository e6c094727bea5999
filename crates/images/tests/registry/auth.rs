//! Who one is to a registry, and who else must not learn it.

use std::sync::atomic::Ordering;

use images::credentials::Credentials;
use images::registry::approved::Approved;
use images::registry::{Client, RegistryError};
use report::Explain as _;

use crate::fixture::{download, fetch, image, noise, upload};
use crate::proxy::{Fault, Middle};
use crate::room::{PASSWORD, Registry, Room, USER, auth, htpasswd};
use crate::token_server::{IDENTITY, TokenServer};

fn locked(room: &Room) -> Registry {
    room.registry_at(&format!("127.0.0.1:{}", room.port()), &htpasswd(room), "")
}

#[test]
fn a_password_opens_and_its_absence_is_told_from_a_wrong_one() {
    let Some(room) = Room::new("a_password_opens_and_its_absence_is_told_from_a_wrong_one") else { return };
    let registry = locked(&room);
    let (host, endpoint) = (registry.host(), registry.endpoint("a/b"));
    let client = room.client_as(room.credentials(host.as_str(), &auth(USER, PASSWORD)));
    client.login(&host, false).unwrap();
    let manifest = image(&client, &endpoint, "v1", &noise(1000, 1));
    assert_eq!(client.manifest(&endpoint, "v1").unwrap().bytes, manifest);

    let nobody = room.client().manifest(&endpoint, "v1").unwrap_err();
    assert!(matches!(nobody, RegistryError::Denied { known: false, .. }), "{nobody}");
    assert!(nobody.hint().unwrap().text().contains("holm login"), "{nobody}");
    let wrong = room
        .client_as(room.credentials(host.as_str(), &auth(USER, "guess")))
        .login(&host, false)
        .unwrap_err();
    assert!(matches!(wrong, RegistryError::Denied { known: true, .. }), "{wrong}");
    assert!(!report::render(&wrong).contains("guess"), "{wrong}");
    // The credentials of another port are not those of this one.
    let other =
        room.client_as(room.credentials(&format!("127.0.0.1:{}", room.port()), &auth(USER, PASSWORD)));
    assert!(matches!(other.login(&host, false), Err(RegistryError::Denied { known: false, .. })));
}

#[test]
fn a_redirect_does_not_carry_credentials_and_is_not_answered() {
    let Some(room) = Room::new("a_redirect_does_not_carry_credentials_and_is_not_answered") else { return };
    let registry = locked(&room);
    // It asks for a password, as if it were the registry.
    let thief = Middle::at("127.0.0.2:0", None, |_, _| {
        Fault::Answer(401, vec![("WWW-Authenticate", "Basic realm=\"give it to me\"".to_owned())], Vec::new())
    });
    let to = format!("http://{}/stolen", thief.address);
    let before = Middle::before(Some(registry.address), move |asked, _| match asked.method.as_str() {
        "GET" if asked.path.contains("/blobs/") && asked.header("authorization").is_some() => {
            Fault::Answer(307, vec![("Location", to.clone())], Vec::new())
        }
        _ => Fault::Pass,
    });
    let endpoint = crate::room::endpoint(before.address, "a/b");
    let client = room.client_as(room.credentials(&before.address.to_string(), &auth(USER, PASSWORD)));
    let bytes = noise(1000, 1);
    upload(&client, &endpoint, &bytes).unwrap();
    let error = download(&client, &[endpoint], &bytes).unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
    let stolen = thief.asked();
    assert!(!stolen.is_empty(), "the redirect was not followed, so nothing was tested");
    for asked in stolen {
        assert_eq!(asked.header("authorization"), None, "{asked:?}");
    }
}

#[test]
fn a_redirect_to_other_storage_is_followed() {
    let Some(room) = Room::new("a_redirect_to_other_storage_is_followed") else { return };
    let registry = room.registry();
    let bytes = noise(200_000, 1);
    let content = bytes.clone();
    let storage =
        Middle::at("127.0.0.2:0", None, move |_, _| Fault::Answer(200, Vec::new(), content.clone()));
    let to = format!("http://{}/signed?x=y", storage.address);
    let before = Middle::before(Some(registry.address), move |asked, _| {
        if asked.path.contains("/blobs/") {
            Fault::Answer(302, vec![("Location", to.clone())], Vec::new())
        } else {
            Fault::Pass
        }
    });
    let endpoint = crate::room::endpoint(before.address, "a/b");
    assert_eq!(download(&room.client(), &[endpoint], &bytes).unwrap(), bytes);
    // Round and round.
    let round = Middle::before(None, |asked, _| {
        Fault::Answer(302, vec![("Location", format!("{}x", asked.path))], Vec::new())
    });
    let error = room.client().manifest(&crate::room::endpoint(round.address, "a/b"), "v1").unwrap_err();
    assert!(error.to_string().contains("redirects"), "{error}");
}

#[test]
fn tokens_are_fetched_for_what_is_done_and_again_when_they_end() {
    let Some(room) = Room::new("tokens_are_fetched_for_what_is_done_and_again_when_they_end") else { return };
    let tokens = TokenServer::at("127.0.0.1:0");
    let registry = room.registry_at(&format!("127.0.0.1:{}", room.port()), &tokens.config(&room), "");
    let (host, public, private) =
        (registry.host(), registry.endpoint("public/app"), registry.endpoint("private/app"));
    let client = room.client_as(room.credentials(host.as_str(), &auth(USER, PASSWORD)));
    client.login(&host, false).unwrap();
    let layer = noise(50_000, 1);
    image(&client, &public, "v1", &layer);
    image(&client, &private, "v1", &layer);
    let asked = tokens.server.asked();
    assert!(asked.iter().all(|asked| asked.path.contains("service=registry")), "{asked:?}");
    // One for the login, and one for each repository: they are kept.
    assert_eq!(asked.len(), 3, "{asked:?}");

    // A stranger reads what is public.
    let stranger = room.client();
    stranger.manifest(&public, "v1").unwrap();
    assert_eq!(download(&stranger, std::slice::from_ref(&public), &layer).unwrap(), layer);
    assert!(matches!(stranger.manifest(&private, "v1"), Err(RegistryError::Denied { known: false, .. })));
    let wrong = room
        .client_as(room.credentials(host.as_str(), &auth(USER, "guess")))
        .manifest(&private, "v1")
        .unwrap_err();
    assert!(matches!(wrong, RegistryError::Denied { known: true, .. }), "{wrong}");
    assert!(wrong.to_string().contains("incorrect username or password"), "{wrong}");

    // Tokens that have ended by the time they arrive are not sent.
    tokens.life.store(0, Ordering::SeqCst);
    let before = tokens.server.asked().len();
    let client = room.client();
    client.manifest(&public, "v1").unwrap();
    assert_eq!(tokens.server.asked().len(), before + 1, "a life of 0 is no life, so the usual one holds");

    // An identity token is exchanged, in the content of a POST.
    let client =
        room.client_as(room.credentials(host.as_str(), &format!(r#"{{"identitytoken": "{IDENTITY}"}}"#)));
    let _ = client.manifest(&private, "v1");
    let posts = tokens.server.about("POST", "/token");
    assert!(!posts.is_empty());
    assert!(
        posts.iter().all(|asked| !asked.path.contains(IDENTITY) && asked.header("authorization").is_none()),
        "{posts:?}"
    );
}

#[test]
fn a_token_that_ends_on_the_way_is_renewed() {
    let Some(room) = Room::new("a_token_that_ends_on_the_way_is_renewed") else { return };
    let tokens = TokenServer::at("127.0.0.1:0");
    let registry = room.registry_at(&format!("127.0.0.1:{}", room.port()), &tokens.config(&room), "");
    // The registry forgets a token of its own once, which it then says with a 401 in the middle of things.
    let realm = format!(
        "Bearer realm=\"http://{}/token\",service=\"registry\",scope=\"repository:public/app:pull\"",
        tokens.address()
    );
    let before = Middle::before(Some(registry.address), move |asked, times| {
        if asked.path.contains("/manifests/") && times == 2 {
            return Fault::Answer(401, vec![("WWW-Authenticate", realm.clone())], Vec::new());
        }
        Fault::Pass
    });
    let endpoint = crate::room::endpoint(before.address, "public/app");
    let writer = room.client_as(room.credentials(registry.host().as_str(), &auth(USER, PASSWORD)));
    image(&writer, &registry.endpoint("public/app"), "v1", &noise(1000, 1));
    let client = room.client();
    let fetched = tokens.server.asked().len();
    client.manifest(&endpoint, "v1").unwrap();
    client.manifest(&endpoint, "v1").unwrap();
    assert_eq!(tokens.server.asked().len() - fetched, 2);
}

#[test]
fn a_token_server_of_another_host_gets_no_password_unless_it_is_approved() {
    let Some(room) = Room::new("a_token_server_of_another_host_gets_no_password_unless_it_is_approved")
    else {
        return;
    };
    let thief = TokenServer::at("127.0.0.2:0");
    let registry = room.registry_at(&format!("127.0.0.1:{}", room.port()), &thief.config(&room), "");
    let (host, endpoint) = (registry.host(), registry.endpoint("private/app"));
    let credentials = || room.credentials(host.as_str(), &auth(USER, PASSWORD));
    let error = room.client_as(credentials()).manifest(&endpoint, "v1").unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
    for asked in thief.server.asked() {
        assert_eq!(asked.header("authorization"), None, "{asked:?}");
        assert!(!asked.path.contains("account="), "not even the name: {asked:?}");
    }
    let identity = room.credentials(host.as_str(), &format!(r#"{{"identitytoken": "{IDENTITY}"}}"#));
    let _ = room.client_as(identity).manifest(&endpoint, "v1");
    assert!(thief.server.about("POST", "").is_empty());

    let mut approved = Approved::default();
    approved.add(&host, &images::reference::Host::parse("127.0.0.2").unwrap());
    let client = Client::new(room.settings(), credentials(), approved);
    let missing = client.manifest(&endpoint, "v1").unwrap_err();
    assert!(missing.is_missing(), "{missing}");
    assert!(thief.server.asked().iter().any(|asked| asked.header("authorization").is_some()));
}

#[test]
fn credentials_that_cannot_be_read_stop_the_request() {
    let Some(room) = Room::new("credentials_that_cannot_be_read_stop_the_request") else { return };
    let registry = locked(&room);
    let credentials = Credentials::at(room.file("auth.json", "{"));
    let error = fetch(&room.client_as(credentials), &[registry.endpoint("a/b")], &images::Digest::of(b""), 1)
        .unwrap_err();
    assert!(matches!(error, RegistryError::Credentials { .. }), "{error}");
}
