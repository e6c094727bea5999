//! HTTP as registries need it: one request, its redirects, its repetitions.
//!
//! [`Http::call`] sends a [`Request`] and returns an [`Answer`]; start there. A credential belongs to the origin (scheme, host, port) that the
//! request names and is left out as soon as a redirect leads elsewhere. What may pass by itself, such as a broken connection or an overloaded
//! server, is tried again with growing pauses, and a server that says how long to wait is left alone for that long.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use ureq::http::{self, Uri, header};
use ureq::{Agent, Body, Proxy};

use super::error::RegistryError;
use super::proxy::Proxies;
use super::tls;
use crate::credentials::Secret;

/// The most redirects that are followed for one request.
const MAX_REDIRECTS: usize = 5;
/// The longest pause that a server may ask for; a longer one is told to the person instead.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// The most of an answer that is looked at for the server's words.
const MAX_WORDS: u64 = 64 << 10;
/// What this program calls itself.
const USER_AGENT: &str = concat!("holm/", env!("CARGO_PKG_VERSION"));

/// How often and how long.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How often something is tried in all.
    pub attempts: u32,
    /// The pause before the second attempt; it doubles from then on.
    pub pause: Duration,
    /// The longest that a connection may take to be made.
    pub connect: Duration,
    /// The longest that a connection may be silent.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempts: 6,
            pause: Duration::from_millis(250),
            connect: Duration::from_secs(20),
            silence: Duration::from_secs(60),
        }
    }
}

/// What holds for all requests.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Directories with a directory for each registry (see [`tls`]).
    pub certificates: Vec<PathBuf>,
    /// Directories for one registry (`HOST[:PORT]`), besides.
    pub own: Vec<(String, PathBuf)>,
    /// HTTP proxies.
    pub proxies: Proxies,
    /// Repetitions and time limits.
    pub patience: Patience,
}

/// The connections of this process.
#[derive(Debug)]
pub struct Http {
    settings: Settings,
    /// By authority, whether it is spoken to with TLS, and whether certificates are verified.
    agents: Mutex<HashMap<(String, bool, bool), Agent>>,
    stopped: AtomicBool,
}

/// What is sent.
pub struct Request<'a> {
    /// What this is for, in words that fit after "cannot".
    pub doing: &'a str,
    /// GET and its like.
    pub method: http::Method,
    /// The address.
    pub uri: Uri,
    /// Headers other than the credential.
    pub headers: Vec<(header::HeaderName, String)>,
    /// The whole value of `Authorization`, for the origin of `uri` alone.
    pub authorization: Option<Secret>,
    /// The content.
    pub body: &'a [u8],
    /// Whether certificates are verified, at the host of `uri`. Hosts that a redirect leads to are always verified.
    pub verify: bool,
    /// Whether a redirect is followed.
    pub redirects: bool,
    /// How often it is tried; writes that are not to be repeated say 1.
    pub attempts: Option<u32>,
}

impl<'a> Request<'a> {
    /// A GET.
    pub fn get(doing: &'a str, uri: Uri, verify: bool) -> Self {
        Self {
            doing,
            method: http::Method::GET,
            uri,
            headers: Vec::new(),
            authorization: None,
            body: &[],
            verify,
            redirects: true,
            attempts: None,
        }
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status, the headers and the content.
    pub response: http::Response<Body>,
    /// Who answered.
    pub uri: Uri,
    /// Whether that is the origin that was asked.
    pub same_origin: bool,
}

/// Who is behind an address. A credential is for one of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Whether it speaks TLS.
    pub secure: bool,
    /// The host, in lower case.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Origin {
    /// The origin of an address.
    pub fn of(uri: &Uri) -> Option<Self> {
        let secure = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Some(Self { secure, host: uri.host()?.to_ascii_lowercase(), port })
    }
}

/// `HOST[:PORT]` of an address, as it is written.
pub fn authority(uri: &Uri) -> String {
    match (uri.host(), uri.port_u16()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        _ => String::new(),
    }
}

/// The address that `location` means, seen from `base`.
///
/// # Errors
/// What is wrong with it.
pub fn resolve(base: &Uri, location: &str) -> Result<Uri, String> {
    let scheme = base.scheme_str().unwrap_or("https");
    let base_authority = base.authority().map_or("", |authority| authority.as_str());
    let text = if location.starts_with("http://") || location.starts_with("https://") {
        location.to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if location.starts_with('/') {
        format!("{scheme}://{base_authority}{location}")
    } else if location.starts_with('?') {
        format!("{scheme}://{base_authority}{}{location}", base.path())
    } else if location.contains("://") {
        return Err("it leads to something that is not HTTP".to_owned());
    } else {
        let directory = base.path().rsplit_once('/').map_or("", |(directory, _)| directory);
        format!("{scheme}://{base_authority}{directory}/{location}")
    };
    // A fragment is for the reader's eyes only.
    let text = text.split('#').next().unwrap_or_default();
    let uri: Uri = text.parse().map_err(|_| "it leads to no address".to_owned())?;
    match uri.authority() {
        // A user name in an address is a way to make it look like another one.
        Some(authority) if authority.as_str().contains('@') => {
            Err("it leads to an address with a user in it".to_owned())
        }
        Some(_) => Ok(uri),
        None => Err("it leads to an address without a host".to_owned()),
    }
}

impl Http {
    /// No connection is made, and no file read, before the first request.
    pub fn new(settings: Settings) -> Self {
        Self { settings, agents: Mutex::default(), stopped: AtomicBool::new(false) }
    }

    /// Repetitions and time limits.
    pub fn patience(&self) -> Patience {
        self.settings.patience
    }

    /// Ends all transfers of all threads, now and from now on.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        for agent in self.agents.lock().unwrap_or_else(PoisonError::into_inner).values() {
            agent.clone().shutdown();
        }
    }

    /// Whether [`Http::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Sends a request and follows redirects. An answer of the registry is an answer, whatever its status; only what may pass is tried again.
    ///
    /// # Errors
    /// No answer, or one that makes no sense.
    pub fn call(&self, request: &Request<'_>) -> Result<Answer, RegistryError> {
        let attempts = request.attempts.unwrap_or(self.settings.patience.attempts);
        let mut attempt = 1;
        loop {
            let outcome = self.follow(request);
            let pause = match &outcome {
                Ok(answer) if is_passing(answer.response.status().as_u16()) => {
                    let asked = retry_after(answer.response.headers());
                    let busy = matches!(answer.response.status().as_u16(), 429 | 503);
                    match asked {
                        Some(wait) if busy && (wait > MAX_PAUSE || attempt >= attempts) => {
                            return Err(RegistryError::Busy {
                                doing: request.doing.to_owned(),
                                host: authority(&answer.uri),
                                wait: Some(wait),
                            });
                        }
                        _ => asked.filter(|wait| *wait <= MAX_PAUSE),
                    }
                }
                Err(RegistryError::Unreachable { passing: true, .. }) => None,
                _ => return outcome,
            };
            if attempt >= attempts || self.is_stopped() {
                return outcome;
            }
            self.pause(attempt, pause);
            attempt += 1;
        }
    }

    /// Waits before attempt `attempt` + 1: as long as the server asked for, or longer each time, and never for all clients at the same moment.
    pub fn pause(&self, attempt: u32, asked: Option<Duration>) {
        let base = self.settings.patience.pause.saturating_mul(1 << (attempt - 1).min(6));
        let jitter =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.subsec_nanos())
                % 1000;
        let own = base.min(MAX_PAUSE).mul_f64(0.75 + f64::from(jitter) / 2000.0);
        let until = Instant::now() + asked.map_or(own, |asked| asked.max(Duration::from_millis(10)));
        while !self.is_stopped() && Instant::now() < until {
            thread::sleep((until - Instant::now()).min(Duration::from_millis(50)));
        }
    }

    fn follow(&self, request: &Request<'_>) -> Result<Answer, RegistryError> {
        let bad = |uri: &Uri, problem: String| RegistryError::BadAnswer {
            doing: request.doing.to_owned(),
            host: authority(uri),
            problem,
        };
        let first = Origin::of(&request.uri)
            .ok_or_else(|| bad(&request.uri, "the address is not HTTP".to_owned()))?;
        let mut uri = request.uri.clone();
        for _ in 0..=MAX_REDIRECTS {
            let here = Origin::of(&uri)
                .ok_or_else(|| bad(&uri, "a redirect leads to something that is not HTTP".to_owned()))?;
            let same_origin = here == first;
            let response = self.once(request, &uri, same_origin)?;
            let redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
            if !redirect || !request.redirects {
                return Ok(Answer { response, uri, same_origin });
            }
            if !matches!(request.method, http::Method::GET | http::Method::HEAD) {
                return Err(bad(&uri, "it redirects what is written, which is not followed".to_owned()));
            }
            let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            let location = location.ok_or_else(|| bad(&uri, "it redirects to nowhere".to_owned()))?;
            let next =
                resolve(&uri, location).map_err(|problem| bad(&uri, format!("a redirect: {problem}")))?;
            let secure = next.scheme_str() == Some("https");
            if here.secure && !secure && request.verify {
                return Err(bad(
                    &uri,
                    format!("it redirects from HTTPS to plain HTTP at {}", authority(&next)),
                ));
            }
            uri = next;
        }
        Err(bad(&uri, format!("more than {MAX_REDIRECTS} redirects")))
    }

    fn once(
        &self,
        request: &Request<'_>,
        uri: &Uri,
        same_origin: bool,
    ) -> Result<http::Response<Body>, RegistryError> {
        if self.is_stopped() {
            return Err(RegistryError::Stopped { doing: request.doing.to_owned() });
        }
        let agent = self.agent(uri, request.verify || !same_origin)?;
        let mut builder = http::Request::builder().method(request.method.clone()).uri(uri.clone());
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if let Some(authorization) = request.authorization.as_ref().filter(|_| same_origin) {
            builder = builder.header(header::AUTHORIZATION, authorization.reveal());
        }
        let bad = |error: http::Error| RegistryError::BadAnswer {
            doing: request.doing.to_owned(),
            host: authority(uri),
            problem: error.to_string(),
        };
        let writes = !matches!(request.method, http::Method::GET | http::Method::HEAD | http::Method::DELETE);
        let sent = if writes {
            agent.run(builder.body(request.body).map_err(bad)?)
        } else {
            agent.run(builder.body(()).map_err(bad)?)
        };
        sent.map_err(|error| self.failed(request.doing, uri, error))
    }

    fn certificates_of(&self, authority: &str) -> Vec<PathBuf> {
        let common = self.settings.certificates.iter().map(|directory| directory.join(authority));
        let own = self.settings.own.iter().filter(|(host, _)| host == authority);
        common.chain(own.map(|(_, directory)| directory.clone())).collect()
    }

    fn agent(&self, uri: &Uri, verify: bool) -> Result<Agent, RegistryError> {
        let secure = uri.scheme_str() == Some("https");
        let key = (authority(uri), secure, verify);
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = agents.get(&key) {
            return Ok(agent.clone());
        }
        let patience = self.settings.patience;
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let proxy = match self.settings.proxies.of(secure, uri.host().unwrap_or_default(), port) {
            None => None,
            Some(text) => {
                let problem = |problem: &str| RegistryError::Setting {
                    what: format!("the proxy `{}`", without_user(text)),
                    problem: problem.to_owned(),
                };
                if text.starts_with("socks") {
                    return Err(problem("only HTTP proxies are supported"));
                }
                Some(Proxy::new(text).map_err(|_| problem("it is no address of a proxy"))?)
            }
        };
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy)
            .user_agent(USER_AGENT)
            .accept("")
            .accept_encoding("")
            .no_delay(true)
            // One layer streams through one connection: a large buffer saves system calls, and a few of them stay small beside 64 MiB.
            .input_buffer_size(256 << 10)
            .output_buffer_size(256 << 10)
            .max_response_header_size(64 << 10)
            .max_idle_connections(8)
            .max_idle_connections_per_host(8)
            .timeout_connect(Some(patience.connect))
            .timeout_resolve(Some(patience.connect))
            .timeout_recv_response(Some(patience.silence))
            .timeout_per_read(Some(patience.silence))
            .timeout_per_write(Some(patience.silence));
        if secure {
            config = config.tls_config(tls::config(&self.certificates_of(&key.0), verify)?);
        }
        let agent = config.build().new_agent();
        if self.is_stopped() {
            agent.clone().shutdown();
        }
        agents.insert(key, agent.clone());
        Ok(agent)
    }

    fn failed(&self, doing: &str, uri: &Uri, error: ureq::Error) -> RegistryError {
        let (doing, host) = (doing.to_owned(), authority(uri));
        if self.is_stopped() {
            return RegistryError::Stopped { doing };
        }
        let unreachable = |problem: String, passing| RegistryError::Unreachable {
            doing: doing.clone(),
            host: host.clone(),
            problem,
            passing,
        };
        match error {
            ureq::Error::Rustls(cause) => tls_failed(doing, host, &cause),
            ureq::Error::Tls(problem) => {
                RegistryError::Tls { doing, host, problem: problem.to_owned(), plain: false }
            }
            ureq::Error::Io(cause) => match inner_tls(&cause) {
                Some(tls) => tls_failed(doing, host, tls),
                None => unreachable(in_words(&cause), is_passing_io(&cause)),
            },
            ureq::Error::Timeout(_) => unreachable("it does not answer in time".to_owned(), true),
            ureq::Error::HostNotFound => unreachable("there is no host of this name".to_owned(), false),
            ureq::Error::ConnectionFailed => unreachable("no connection".to_owned(), true),
            ureq::Error::ConnectProxyFailed(problem) => {
                unreachable(format!("the proxy refuses: {problem}"), false)
            }
            ureq::Error::BodyStalled => unreachable("the connection stalled".to_owned(), true),
            ureq::Error::Protocol(problem) => RegistryError::BadAnswer {
                doing,
                host,
                problem: format!("its answer is not HTTP: {problem}"),
            },
            other => RegistryError::BadAnswer { doing, host, problem: other.to_string() },
        }
    }
}

/// A proxy's address may have a password in it.
fn without_user(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, rest)) => rest.to_owned(),
        None => text.to_owned(),
    }
}

fn inner_tls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref::<rustls::Error>()
}

fn tls_failed(doing: String, host: String, error: &rustls::Error) -> RegistryError {
    let plain = matches!(error, rustls::Error::InvalidMessage(_));
    let problem = match error {
        rustls::Error::InvalidMessage(_) => "it does not speak TLS".to_owned(),
        rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => {
            "its certificate is of an authority that is not known here".to_owned()
        }
        rustls::Error::InvalidCertificate(problem) => format!("its certificate is not valid: {problem}"),
        rustls::Error::AlertReceived(
            rustls::AlertDescription::CertificateRequired | rustls::AlertDescription::BadCertificate,
        ) => "it wants a certificate of yours".to_owned(),
        other => other.to_string(),
    };
    RegistryError::Tls { doing, host, problem, plain }
}

/// A failure of a connection in words without numbers.
pub(super) fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "nobody listens there".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
            "the connection was broken off".to_owned()
        }
        io::ErrorKind::UnexpectedEof => "the connection ended too early".to_owned(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "it does not answer in time".to_owned(),
        _ => error.to_string(),
    }
}

/// Whether a broken connection may be whole the next time. A name that is not known, or a host that listens nowhere, is not waited for long.
pub(super) fn is_passing_io(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::NotFound
    )
}

fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// `Retry-After`: seconds, or a date.
fn retry_after(headers: &http::HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO))
}

/// The beginning of an answer's content.
pub(super) fn some_of(body: &mut Body, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What cannot be read is not worth a second error.
    let _ = body.as_reader().take(most).read_to_end(&mut bytes);
    bytes
}

/// The registry's own words: `errors[].message` of the distribution specification, on one line.
pub(super) fn words(answer: &mut Answer) -> String {
    let bytes = some_of(answer.response.body_mut(), MAX_WORDS);
    message(&bytes)
}

fn message(bytes: &[u8]) -> String {
    let value: Option<serde_json::Value> = serde_json::from_slice(bytes).ok();
    let text = |value: &serde_json::Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let errors =
        value.as_ref().and_then(|value| value.get("errors")?.as_array().cloned()).unwrap_or_default();
    let list: Vec<String> = errors
        .iter()
        .filter_map(|error| error.get("message").and_then(text).or_else(|| error.get("code").and_then(text)))
        .take(3)
        .collect();
    let joined = if list.is_empty() {
        let details = value
            .as_ref()
            .and_then(|value| value.get("details").or_else(|| value.get("message")).and_then(text));
        details.unwrap_or_default()
    } else {
        list.join("; ")
    };
    // Somebody else's text goes to a terminal.
    joined.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_seen_from_where_it_was_said() {
        let base: Uri = "https://a.b:5/v2/x/blobs/uploads/1?s=2".parse().unwrap();
        let seen = |location| resolve(&base, location).map(|uri| uri.to_string());
        assert_eq!(seen("http://c.d/e").unwrap(), "http://c.d/e");
        assert_eq!(seen("//c.d/e").unwrap(), "https://c.d/e");
        assert_eq!(seen("/v2/y").unwrap(), "https://a.b:5/v2/y");
        assert_eq!(seen("2").unwrap(), "https://a.b:5/v2/x/blobs/uploads/2");
        assert_eq!(seen("?t=3#frag").unwrap(), "https://a.b:5/v2/x/blobs/uploads/1?t=3");
        for bad in ["ftp://a.b/", "https://u@c.d/", "https://u:p@c.d/x", "https://", "javascript://x"] {
            assert!(resolve(&base, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let origin = |text: &str| Origin::of(&text.parse().unwrap());
        assert_eq!(origin("https://A.b/x"), origin("https://a.b:443/y"));
        assert_ne!(origin("https://a.b/"), origin("http://a.b/"));
        assert_ne!(origin("https://a.b/"), origin("https://a.b:444/"));
        assert_ne!(origin("https://a.b/"), origin("https://x.a.b/"));
    }

    #[test]
    fn the_words_of_a_registry_are_on_one_line_without_control_characters() {
        let json = br#"{"errors":[{"code":"DENIED","message":"no \u001b[31maccess\n"},{"code":"X"}]}"#;
        assert_eq!(message(json), "no [31maccess; X");
        assert_eq!(
            message(br#"{"details":"incorrect username or password"}"#),
            "incorrect username or password"
        );
        assert_eq!(message(b"<html>"), "");
        assert!(
            message(format!(r#"{{"errors":[{{"message":"{}"}}]}}"#, "x".repeat(1000)).as_bytes()).len()
                <= 200
        );
    }

    #[test]
    fn a_server_may_say_seconds_or_a_date() {
        let after = |text: &str| {
            let mut headers = http::HeaderMap::new();
            headers.insert(header::RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers)
        };
        assert_eq!(after("3"), Some(Duration::from_secs(3)));
        assert_eq!(after("Thu, 01 Jan 1970 00:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(after("soon"), None);
        let later = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(30));
        assert!(after(&later).is_some_and(|wait| wait.as_secs() >= 28));
    }

    #[test]
    fn a_password_of_a_proxy_is_not_shown() {
        assert_eq!(without_user("http://me:secret@proxy:3128"), "proxy:3128");
    }
}
