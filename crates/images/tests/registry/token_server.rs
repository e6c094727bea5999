//! A token server: gives JSON web tokens that Debian's registry believes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};

use crate::proxy::{Asked, Fault, Middle};
use crate::room::{PASSWORD, Room, USER};

pub(crate) const IDENTITY: &str = "an-identity-token";

pub(crate) struct TokenServer {
    pub(crate) server: Middle,
    certificate: String,
    /// How long tokens hold, in seconds.
    pub(crate) life: Arc<AtomicU64>,
}

impl TokenServer {
    /// Listens at `address`. Known users get everything they ask for, strangers may read `public/*`.
    pub(crate) fn at(address: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["token".to_owned()]).unwrap().self_signed(&key).unwrap();
        let random = SystemRandom::new();
        let signer =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der(), &random)
                .unwrap();
        let der = STANDARD.encode(certificate.der());
        let life = Arc::new(AtomicU64::new(300));
        let seconds = Arc::clone(&life);
        let server = Middle::at(address, None, move |asked, _| {
            let Some(access) = access(asked) else {
                return Fault::Answer(
                    401,
                    Vec::new(),
                    br#"{"details":"incorrect username or password"}"#.to_vec(),
                );
            };
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            let header = format!(r#"{{"typ":"JWT","alg":"ES256","x5c":["{der}"]}}"#);
            let claims = format!(
                r#"{{"iss":"holm-test","sub":"x","aud":"registry","exp":{},"nbf":{},"iat":{now},"jti":"1","access":[{access}]}}"#,
                now + 3600,
                now - 60
            );
            let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
            let signature = signer.sign(&random, signed.as_bytes()).unwrap();
            let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
            let life = seconds.load(Ordering::SeqCst);
            Fault::Answer(
                200,
                Vec::new(),
                format!(r#"{{"token":"{token}","expires_in":{life}}}"#).into_bytes(),
            )
        });
        Self { server, certificate: certificate.pem(), life }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// What a registry is told of this server.
    pub(crate) fn config(&self, room: &Room) -> String {
        let bundle = room.file("token.pem", &self.certificate);
        format!(
            "auth: {{token: {{realm: 'http://{}/token', service: registry, issuer: holm-test, rootcertbundle: {}}}}}\n",
            self.address(),
            bundle.display()
        )
    }
}

/// The claims that are granted; none if whoever asks is not who they say.
fn access(asked: &Asked) -> Option<String> {
    let query = asked.path.split_once('?').map_or("", |(_, query)| query);
    let known = match (asked.method.as_str(), asked.header("authorization")) {
        ("POST", _) => true,
        (_, Some(value)) if value == format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}"))) => {
            true
        }
        (_, Some(_)) => return None,
        (_, None) => false,
    };
    let scopes = query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("scope="))
        .map(|text| text.replace("%3A", ":").replace("%2F", "/").replace("%2C", ","));
    let mut granted = Vec::new();
    for scope in scopes {
        let parts: Vec<&str> = scope.split(':').collect();
        let [kind, name, actions] = parts[..] else { continue };
        if known || name.starts_with("public/") {
            let actions: Vec<&str> = actions.split(',').filter(|action| known || *action == "pull").collect();
            granted.push(format!(r#"{{"type":"{kind}","name":"{name}","actions":{actions:?}}}"#));
        }
    }
    Some(granted.join(","))
}
