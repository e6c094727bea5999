//! Blobs and manifests on their way to a registry (distribution specification, "Pushing").
//!
//! [`Client::upload`] brings a blob there in the cheapest way that works: not at all, by mounting it from another repository of the same
//! registry, in one piece, or in chunks that go on where they broke off. [`Client::put_manifest`] comes last, when all that it names is there.

use std::io;

use ureq::http::{Method, Uri, header};

use super::client::{Client, Scope, announced_digest, text_of};
use super::conf::Endpoint;
use super::error::RegistryError;
use super::http::{Answer, Request, resolve};
use crate::digest::Digest;
use crate::reference::Repository;

/// The size of a chunk, which is held in memory so that it can be sent again. A smaller blob goes in one piece.
pub const CHUNK: u64 = 4 << 20;
/// The largest chunk that a registry may insist on.
const MAX_CHUNK: u64 = 16 << 20;
/// How often an upload is begun anew when the registry has lost it.
const MAX_RESTARTS: u32 = 3;

/// Bytes that can be read from any place.
pub trait Source: Sync {
    /// Fills `buffer` from byte `at` on, whole.
    ///
    /// # Errors
    /// What the place that holds them says.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()>;
}

impl Source for std::fs::File {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, at)
    }
}

impl Source for [u8] {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let start = usize::try_from(at).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let bytes = self
            .get(start..)
            .and_then(|rest| rest.get(..buffer.len()))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

/// How a blob got to a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrived {
    /// It was there.
    Existed,
    /// It was taken over from another repository there.
    Mounted(Repository),
    /// It was sent.
    Uploaded,
}

/// A blob to bring to a registry.
pub struct Outgoing<'a> {
    /// Its digest.
    pub digest: Digest,
    /// Its size.
    pub size: u64,
    /// Its content.
    pub source: &'a dyn Source,
    /// Repositories of the same registry that are known to have it.
    pub elsewhere: &'a [Repository],
    /// Told how many bytes are there.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

impl Client {
    /// Brings a blob to a registry.
    ///
    /// # Errors
    /// The registry refuses, or the way to it stays broken.
    pub fn upload(&self, endpoint: &Endpoint, blob: &Outgoing<'_>) -> Result<Arrived, RegistryError> {
        let doing = format!("push {}", blob.digest);
        let scope = Scope::push(&endpoint.repository);
        if self.has_blob(endpoint, &blob.digest, &scope)? {
            return Ok(Arrived::Existed);
        }
        for repository in
            blob.elsewhere.iter().filter(|repository| **repository != endpoint.repository).take(3)
        {
            if self.mount(endpoint, &doing, blob, repository)? {
                return Ok(Arrived::Mounted(repository.clone()));
            }
        }
        let mut restarts = 0;
        loop {
            match self.send_all(endpoint, &doing, &scope, blob) {
                Ok(()) => return Ok(Arrived::Uploaded),
                // The registry has lost the upload, as one does that was started anew.
                Err(RegistryError::Missing { .. }) if restarts < MAX_RESTARTS => {
                    restarts += 1;
                    self.http.pause(restarts, None);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks the registry to take the blob over from another repository. A registry that cannot, or that does not let us read there, says no.
    fn mount(
        &self,
        endpoint: &Endpoint,
        doing: &str,
        blob: &Outgoing<'_>,
        from: &Repository,
    ) -> Result<bool, RegistryError> {
        let query = format!("blobs/uploads/?mount={}&from={from}", blob.digest);
        let scope = Scope::push(&endpoint.repository).and_pull(from);
        let uri = self.address(endpoint, &query, doing)?;
        let request = Request { method: Method::POST, redirects: false, ..Request::get(doing, uri, true) };
        let answer = match self.send(endpoint, &scope, request) {
            Ok(answer) => answer,
            Err(RegistryError::Denied { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        match answer.response.status().as_u16() {
            201 => Ok(true),
            202 => {
                // It opened an upload instead, which we do not use: what is not needed is given back.
                if let Ok(session) = self.location(endpoint, doing, &answer) {
                    let request = Request {
                        method: Method::DELETE,
                        redirects: false,
                        attempts: Some(1),
                        ..Request::get(doing, session, true)
                    };
                    let _ = self.send(endpoint, &Scope::push(&endpoint.repository), request);
                }
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    fn send_all(
        &self,
        endpoint: &Endpoint,
        doing: &str,
        scope: &Scope,
        blob: &Outgoing<'_>,
    ) -> Result<(), RegistryError> {
        let uri = self.address(endpoint, "blobs/uploads/", doing)?;
        let request = Request { method: Method::POST, redirects: false, ..Request::get(doing, uri, true) };
        let answer = self.send(endpoint, scope, request)?;
        let answer = self.expect(endpoint, doing, answer, &[202])?;
        let least = text_of(&answer, header::HeaderName::from_static("oci-chunk-min-length"));
        let least = least.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        if least > MAX_CHUNK {
            return Err(RegistryError::BadAnswer {
                doing: doing.to_owned(),
                host: endpoint.host.to_string(),
                problem: format!("it wants chunks of at least {least} bytes, {MAX_CHUNK} is the most"),
            });
        }
        let chunk = CHUNK.max(least);
        let mut session = self.location(endpoint, doing, &answer)?;
        let mut at = 0;
        let mut failures = 0;
        let mut buffer = Vec::new();
        while blob.size - at > chunk {
            self.fill(endpoint, doing, blob, at, chunk, &mut buffer)?;
            match self.patch(endpoint, doing, scope, &session, at, &buffer) {
                Ok((next, has)) => {
                    session = next;
                    at = self.checked(endpoint, doing, blob, has.unwrap_or(at + chunk))?;
                    failures = 0;
                }
                Err(
                    error @ (RegistryError::Unreachable { passing: true, .. } | RegistryError::Status { .. }),
                ) => {
                    failures += 1;
                    if failures >= self.http.patience().attempts {
                        return Err(error);
                    }
                    self.http.pause(failures, None);
                    // How much arrived only the registry knows.
                    let (next, has) = self.progress_of(endpoint, doing, scope, &session)?;
                    session = next;
                    at = self.checked(endpoint, doing, blob, has)?;
                }
                Err(error) => return Err(error),
            }
            (blob.progress)(at);
        }
        self.finish(endpoint, doing, scope, &session, blob, at, &mut buffer)
    }

    /// Sends one chunk, and returns where the next one goes and how much is there.
    fn patch(
        &self,
        endpoint: &Endpoint,
        doing: &str,
        scope: &Scope,
        session: &Uri,
        at: u64,
        bytes: &[u8],
    ) -> Result<(Uri, Option<u64>), RegistryError> {
        let request = Request {
            method: Method::PATCH,
            headers: vec![
                (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
                (header::CONTENT_RANGE, format!("{at}-{}", at + bytes.len() as u64 - 1)),
            ],
            body: bytes,
            redirects: false,
            // The same bytes twice would be wrong: what arrived is asked for first.
            attempts: Some(1),
            ..Request::get(doing, session.clone(), true)
        };
        let answer = self.send(endpoint, scope, request)?;
        let answer = self.expect(endpoint, doing, answer, &[202, 204])?;
        let next = self.location(endpoint, doing, &answer)?;
        Ok((next, uploaded(&answer)))
    }

    /// How much of an upload has arrived.
    fn progress_of(
        &self,
        endpoint: &Endpoint,
        doing: &str,
        scope: &Scope,
        session: &Uri,
    ) -> Result<(Uri, u64), RegistryError> {
        let request = Request { redirects: false, ..Request::get(doing, session.clone(), true) };
        let answer = self.send(endpoint, scope, request)?;
        let answer = self.expect(endpoint, doing, answer, &[202, 204])?;
        let next = self.location(endpoint, doing, &answer).unwrap_or_else(|_| session.clone());
        Ok((next, uploaded(&answer).unwrap_or(0)))
    }

    /// The last piece and the digest, which makes a blob of the upload.
    #[expect(clippy::too_many_arguments, reason = "the state of one upload, taken apart")]
    fn finish(
        &self,
        endpoint: &Endpoint,
        doing: &str,
        scope: &Scope,
        session: &Uri,
        blob: &Outgoing<'_>,
        at: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<(), RegistryError> {
        self.fill(endpoint, doing, blob, at, blob.size - at, buffer)?;
        let joint = if session.query().is_some() { '&' } else { '?' };
        let text = format!("{session}{joint}digest={}", blob.digest);
        let uri: Uri = text.parse().map_err(|_| RegistryError::BadAnswer {
            doing: doing.to_owned(),
            host: endpoint.host.to_string(),
            problem: "the address of the upload cannot take a digest".to_owned(),
        })?;
        let mut headers = vec![(header::CONTENT_TYPE, "application/octet-stream".to_owned())];
        if at > 0 && !buffer.is_empty() {
            headers.push((header::CONTENT_RANGE, format!("{at}-{}", blob.size - 1)));
        }
        let request = |headers| Request {
            method: Method::PUT,
            headers,
            body: buffer,
            redirects: false,
            attempts: Some(1),
            ..Request::get(doing, uri.clone(), true)
        };
        let answer = match self.send(endpoint, scope, request(headers)) {
            Ok(answer) => answer,
            // It may have arrived before the connection broke.
            Err(error @ RegistryError::Unreachable { passing: true, .. }) => {
                self.http.pause(1, None);
                if self.has_blob(endpoint, &blob.digest, scope)? {
                    (blob.progress)(blob.size);
                    return Ok(());
                }
                return Err(match error {
                    RegistryError::Unreachable { doing, host, problem, .. } => {
                        // Begun anew by the caller, as if the registry had lost it.
                        RegistryError::Missing { doing, host, message: problem }
                    }
                    other => other,
                });
            }
            Err(error) => return Err(error),
        };
        self.expect(endpoint, doing, answer, &[201, 202, 204])?;
        (blob.progress)(blob.size);
        Ok(())
    }

    fn fill(
        &self,
        endpoint: &Endpoint,
        doing: &str,
        blob: &Outgoing<'_>,
        at: u64,
        length: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<(), RegistryError> {
        buffer.resize(usize::try_from(length).unwrap_or(usize::MAX), 0);
        blob.source.read_at(buffer, at).map_err(|error| RegistryError::BadAnswer {
            doing: doing.to_owned(),
            host: endpoint.host.to_string(),
            problem: format!("read what is to be sent: {error}"),
        })
    }

    fn checked(
        &self,
        endpoint: &Endpoint,
        doing: &str,
        blob: &Outgoing<'_>,
        has: u64,
    ) -> Result<u64, RegistryError> {
        if has <= blob.size {
            return Ok(has);
        }
        Err(RegistryError::BadAnswer {
            doing: doing.to_owned(),
            host: endpoint.host.to_string(),
            problem: format!("it says that it has {has} of {} bytes", blob.size),
        })
    }

    /// Where the upload goes on. It may be another host; that one gets no credentials.
    fn location(&self, endpoint: &Endpoint, doing: &str, answer: &Answer) -> Result<Uri, RegistryError> {
        let bad = |problem: String| RegistryError::BadAnswer {
            doing: doing.to_owned(),
            host: endpoint.host.to_string(),
            problem,
        };
        let text = text_of(answer, header::LOCATION)
            .ok_or_else(|| bad("it does not say where the upload goes on".to_owned()))?;
        let next = resolve(&answer.uri, &text)
            .map_err(|problem| bad(format!("where the upload goes on: {problem}")))?;
        if self.origin(endpoint, doing)?.secure && next.scheme_str() != Some("https") {
            return Err(bad("it wants the upload to go on over plain HTTP".to_owned()));
        }
        Ok(next)
    }

    /// Names a manifest or an index `version`: a tag, or its digest.
    ///
    /// # Errors
    /// The registry refuses it; what it had under this name stays.
    pub fn put_manifest(
        &self,
        endpoint: &Endpoint,
        version: &str,
        media_type: &str,
        bytes: &[u8],
        digest: &Digest,
    ) -> Result<(), RegistryError> {
        let doing = format!("push the manifest {}:{version}", endpoint.repository);
        let uri = self.address(endpoint, &format!("manifests/{version}"), &doing)?;
        let request = Request {
            method: Method::PUT,
            headers: vec![(header::CONTENT_TYPE, media_type.to_owned())],
            body: bytes,
            redirects: false,
            ..Request::get(&doing, uri, true)
        };
        let answer = self.send(endpoint, &Scope::push(&endpoint.repository), request)?;
        let answer = self.expect(endpoint, &doing, answer, &[200, 201, 202])?;
        match announced_digest(&answer) {
            Some(other) if other != *digest && other.algorithm() == digest.algorithm() => {
                Err(RegistryError::BadAnswer {
                    doing,
                    host: endpoint.host.to_string(),
                    problem: format!("it keeps the manifest as {other}, and not as {digest}"),
                })
            }
            _ => Ok(()),
        }
    }
}

/// `Range: 0-LAST`: how many bytes have arrived.
fn uploaded(answer: &Answer) -> Option<u64> {
    let text = text_of(answer, header::RANGE)?;
    last_of(&text)
}

fn last_of(text: &str) -> Option<u64> {
    let (first, last) = text.trim().trim_start_matches("bytes=").split_once('-')?;
    if first != "0" {
        return None;
    }
    // `0-0` is said for one byte and, by Debian's registry, for none: the smaller one is right in both cases, because chunks are larger.
    match last.parse::<u64>().ok()? {
        0 => Some(0),
        last => last.checked_add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_arrived_is_told_by_its_last_byte() {
        assert_eq!(last_of("0-99"), Some(100));
        assert_eq!(last_of("bytes=0-99"), Some(100));
        assert_eq!(last_of("0-0"), Some(0));
        for bad in ["", "5-9", "0-", "x-y", "0-18446744073709551615"] {
            assert_eq!(last_of(bad), None, "{bad}");
        }
    }
}
