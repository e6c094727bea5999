//! Registries that speak TLS, and proxies.

use std::fs;
use std::process::Command;

use images::credentials::Credentials;
use images::registry::approved::Approved;
use images::registry::proxy::Proxies;
use images::registry::{Client, Endpoint, RegistryError};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use report::Explain as _;

use crate::fixture::{image, noise};
use crate::proxy::tunnel;
use crate::room::{PASSWORD, Room, USER, auth, htpasswd};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate and its key, in PEM form.
    fn issue(&self, name: &str, purpose: ExtendedKeyUsagePurpose) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![purpose];
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }
}

/// The configuration of a registry that speaks TLS.
fn tls(room: &Room, authority: &Authority, clients: Option<&Authority>) -> String {
    let (certificate, key) = authority.issue("127.0.0.1", ExtendedKeyUsagePurpose::ServerAuth);
    let (certificate, key) = (room.file("server.crt", &certificate), room.file("server.key", &key));
    let clients = clients
        .map(|clients| format!("    clientcas: [{}]\n", room.file("clients.crt", &clients.pem()).display()));
    format!(
        "  tls:\n    certificate: {}\n    key: {}\n{}",
        certificate.display(),
        key.display(),
        clients.unwrap_or_default()
    )
}

#[test]
fn an_unknown_authority_is_refused_until_it_is_known_or_not_asked_for() {
    let Some(room) = Room::new("an_unknown_authority_is_refused_until_it_is_known_or_not_asked_for") else {
        return;
    };
    let authority = Authority::new("room");
    let address = format!("127.0.0.1:{}", room.port());
    let registry = room.registry_at(&address, &htpasswd(&room), &tls(&room, &authority, None));
    let (host, endpoint) = (registry.host(), registry.endpoint("a/b"));
    let client = || room.client_as(room.credentials(host.as_str(), &auth(USER, PASSWORD)));

    let error = client().manifest(&endpoint, "v1").unwrap_err();
    assert!(matches!(error, RegistryError::Tls { plain: false, .. }), "{error}");
    assert!(error.to_string().contains("authority"), "{error}");
    assert!(error.hint().unwrap().text().contains("certs.d"), "{error}");
    let trusting = Endpoint { insecure: true, ..endpoint.clone() };
    image(&client(), &trusting, "v1", &noise(1000, 1));

    room.file(&format!("certs.d/{address}/ca.crt"), &authority.pem());
    let client = client();
    client.login(&host, false).unwrap();
    client.manifest(&endpoint, "v1").unwrap();

    // Another authority of the same name is another one.
    room.file(&format!("certs.d/{address}/ca.crt"), &Authority::new("room").pem());
    assert!(matches!(room.client().manifest(&endpoint, "v1"), Err(RegistryError::Tls { .. })));
    let nonsense = room.file(&format!("certs.d/{address}/ca.crt"), "nonsense");
    let error = room.client().manifest(&endpoint, "v1").unwrap_err();
    assert!(
        matches!(&error, RegistryError::Setting { .. })
            && error.to_string().contains(nonsense.to_str().unwrap()),
        "{error}"
    );
}

#[test]
fn a_registry_that_wants_a_certificate_gets_the_one_meant_for_it() {
    let Some(room) = Room::new("a_registry_that_wants_a_certificate_gets_the_one_meant_for_it") else {
        return;
    };
    let (authority, clients) = (Authority::new("room"), Authority::new("clients"));
    let address = format!("127.0.0.1:{}", room.port());
    let registry = room.registry_at(&address, "", &tls(&room, &authority, Some(&clients)));
    let endpoint = registry.endpoint("a/b");
    room.file(&format!("certs.d/{address}/ca.crt"), &authority.pem());
    let error = room.client().manifest(&endpoint, "v1").unwrap_err();
    assert!(matches!(error, RegistryError::Tls { .. }), "{error}");

    let (certificate, key) = clients.issue("me", ExtendedKeyUsagePurpose::ClientAuth);
    room.file(&format!("certs.d/{address}/me.cert"), &certificate);
    room.file(&format!("certs.d/{address}/me.key"), &key);
    let missing = room.client().manifest(&endpoint, "v1").unwrap_err();
    assert!(missing.is_missing(), "{missing}");

    let (_, other) = clients.issue("me", ExtendedKeyUsagePurpose::ClientAuth);
    room.file(&format!("certs.d/{address}/me.key"), &other);
    let error = room.client().manifest(&endpoint, "v1").unwrap_err();
    assert!(error.to_string().contains("does not belong to"), "{error}");
    fs::remove_file(room.dir.join(format!("certs.d/{address}/me.cert"))).unwrap();
    let error = room.client().manifest(&endpoint, "v1").unwrap_err();
    assert!(error.to_string().contains("me.key"), "{error}");
}

#[test]
fn plain_http_beyond_this_machine_has_to_be_permitted_and_may_go_through_a_proxy() {
    let Some(room) =
        Room::new("plain_http_beyond_this_machine_has_to_be_permitted_and_may_go_through_a_proxy")
    else {
        return;
    };
    if !room.alone {
        eprintln!(
            "SKIPPED plain_http_beyond_this_machine_has_to_be_permitted_and_may_go_through_a_proxy: no network of its own"
        );
        return;
    }
    // An address that is not this machine's own as far as anybody can tell from its look.
    assert!(
        Command::new("ip").args(["address", "add", "10.98.7.6/32", "dev", "lo"]).status().unwrap().success()
    );
    let registry = room.registry_at("10.98.7.6:5000", "", "");
    let endpoint = registry.endpoint("a/b");
    let error = room.client().manifest(&endpoint, "v1").unwrap_err();
    assert!(matches!(error, RegistryError::Tls { plain: true, .. }), "{error}");
    assert!(error.hint().unwrap().text().contains("--tls-verify=false"), "{error}");
    let trusting = Endpoint { insecure: true, ..endpoint };
    image(&room.client(), &trusting, "v1", &noise(1000, 1));

    let (proxy, asked) = tunnel();
    let mut settings = room.settings();
    let set = |none: &str| {
        let none = none.to_owned();
        Proxies::from(move |name| match name {
            "http_proxy" | "https_proxy" => Some(format!("http://{proxy}")),
            "no_proxy" => Some(none.clone()),
            _ => None,
        })
    };
    settings.proxies = set("");
    let client = Client::new(settings.clone(), Credentials::none(), Approved::default());
    client.manifest(&trusting, "v1").unwrap();
    let through = asked.lock().unwrap().len();
    assert!(through > 0, "the proxy was not asked");
    assert!(asked.lock().unwrap().iter().all(|line| line == "CONNECT 10.98.7.6:5000"), "{asked:?}");
    settings.proxies = set("10.0.0.0/8");
    let client = Client::new(settings, Credentials::none(), Approved::default());
    client.manifest(&trusting, "v1").unwrap();
    assert_eq!(asked.lock().unwrap().len(), through);
}
