//! Who is believed: the system's authorities, those of one registry, and what one shows in turn.
//!
//! `certs.d/HOST[:PORT]/` may hold `*.crt` (authorities), and pairs `NAME.cert` and `NAME.key` (a certificate of one's own), as docker and podman have
//! it. [`config`] reads all that for one host (a parsed name, which has no slash); nothing is read for a registry that speaks plain HTTP.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::sign::CertifiedKey;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use super::error::RegistryError;

/// Where the directories of registries are looked for; a later one adds to an earlier one.
pub fn directories() -> Vec<PathBuf> {
    let mut list = vec![PathBuf::from("/etc/docker/certs.d"), PathBuf::from("/etc/containers/certs.d")];
    list.extend(super::conf::config_home().map(|home| home.join("certs.d")));
    list
}

/// What TLS with a registry is set up with. `directories` are its own, by the name `HOST[:PORT]`; they need not exist.
///
/// # Errors
/// A file in `certs.d` that cannot be used.
pub fn config(directories: &[PathBuf], verify: bool) -> Result<TlsConfig, RegistryError> {
    let own = Own::read(directories)?;
    let builder = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .client_cert(own.client)
        .disable_verification(!verify);
    if !verify {
        return Ok(builder.root_certs(RootCerts::new_with_certs(&[])).build());
    }
    let mut roots = system().to_vec();
    roots.extend(own.authorities);
    Ok(builder.root_certs(RootCerts::new_with_certs(&roots)).build())
}

/// The system's authorities, read once. `SSL_CERT_FILE` and `SSL_CERT_DIR` name others.
fn system() -> &'static [Certificate<'static>] {
    static ROOTS: OnceLock<Vec<Certificate<'static>>> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        found.certs.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect()
    })
}

#[derive(Default)]
struct Own {
    authorities: Vec<Certificate<'static>>,
    client: Option<ClientCert>,
}

impl Own {
    fn read(directories: &[PathBuf]) -> Result<Self, RegistryError> {
        let mut own = Self::default();
        for directory in directories {
            let entries = match fs::read_dir(directory) {
                Ok(entries) => entries,
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
                {
                    continue;
                }
                Err(error) => return Err(unusable(directory, error.to_string())),
            };
            let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            files.sort();
            for path in &files {
                match path.extension().and_then(|end| end.to_str()) {
                    Some("crt") => own.authorities.extend(certificates(path)?),
                    Some("cert") => own.client = Some(pair(path, &path.with_extension("key"))?),
                    Some("key") if !path.with_extension("cert").exists() => {
                        return Err(unusable(path, "the certificate beside it, NAME.cert, is missing"));
                    }
                    _ => {}
                }
            }
        }
        Ok(own)
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, RegistryError> {
    let text = read(path)?;
    let mut list = Vec::new();
    for item in parse_pem(&text) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| unusable(path, error.to_string()))? {
            list.push(certificate);
        }
    }
    if list.is_empty() {
        return Err(unusable(path, "it holds no certificate in PEM form"));
    }
    Ok(list)
}

fn pair(path: &Path, key_path: &Path) -> Result<ClientCert, RegistryError> {
    let chain = certificates(path)?;
    let text = read(key_path)?;
    let key =
        PrivateKey::from_pem(&text).map_err(|_| unusable(key_path, "it holds no private key in PEM form"))?;
    // A pair that does not fit is told here, with its name, and not in the middle of a handshake.
    let der = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|_| unusable(key_path, "it holds no private key in PEM form"))?;
    let signing =
        ring::sign::any_supported_type(&der).map_err(|error| unusable(key_path, error.to_string()))?;
    let certified = CertifiedKey::new(chain.iter().map(|one| one.der().to_vec().into()).collect(), signing);
    certified
        .keys_match()
        .map_err(|_| unusable(key_path, format!("it does not belong to {}", path.display())))?;
    Ok(ClientCert::new_with_certs(&chain, key))
}

fn read(path: &Path) -> Result<Vec<u8>, RegistryError> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(super::conf::MAX_FILE).read_to_end(&mut bytes));
    read.map(|_| bytes).map_err(|error| unusable(path, error.to_string()))
}

fn unusable(path: &Path, problem: impl Into<String>) -> RegistryError {
    RegistryError::Setting { what: path.display().to_string(), problem: problem.into() }
}
