//! A blob as a stream that goes on where it broke off.
//!
//! [`Blob`] is an ordinary reader. A connection that breaks is made again with a `Range` from the first byte that is missing, at the next
//! registry that has the blob if one stays silent. It gives exactly as many bytes as were announced; whether they are the right ones is for
//! its reader to find out, who hashes them anyway.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use ureq::BodyReader;
use ureq::http::{Method, header};

use super::client::{Client, Scope, text_of};
use super::conf::Endpoint;
use super::error::RegistryError;
use super::http::{Request, in_words, is_passing_io};
use crate::digest::Digest;

/// How far a transfer has to get for the count of its failures to begin anew.
const PROGRESS: u64 = 64 << 10;

/// The content of a blob.
pub struct Blob<'a> {
    client: &'a Client,
    endpoints: &'a [Endpoint],
    /// Which of them serves.
    place: usize,
    digest: Digest,
    size: u64,
    /// How many bytes have been given.
    at: u64,
    body: Option<BodyReader<'static>>,
    failures: u32,
    /// Where the last failure happened.
    failed_at: u64,
    failure: Failure,
    /// Told how often the transfer was taken up again.
    resumed: &'a (dyn Fn(&Digest, u64) + Sync),
}

/// The reason why a [`Blob`] ended, for whoever started the transfer.
#[derive(Clone, Default)]
pub struct Failure(Arc<Mutex<Option<RegistryError>>>);

impl Failure {
    /// The reason, once.
    pub fn take(&self) -> Option<RegistryError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, error: RegistryError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

impl<'a> Blob<'a> {
    /// The blob `digest` of `size` bytes, from the first of `endpoints` that has it. Nothing is asked before the first read.
    pub fn new(
        client: &'a Client,
        endpoints: &'a [Endpoint],
        digest: Digest,
        size: u64,
        resumed: &'a (dyn Fn(&Digest, u64) + Sync),
    ) -> Self {
        Self {
            client,
            endpoints,
            place: 0,
            digest,
            size,
            at: 0,
            body: None,
            failures: 0,
            failed_at: 0,
            failure: Failure::default(),
            resumed,
        }
    }

    /// Where the reason for a failed read will be.
    pub fn failure(&self) -> Failure {
        self.failure.clone()
    }

    fn doing(&self) -> String {
        format!("fetch {}", self.digest)
    }

    /// Opens the rest of the blob, trying one registry after the other.
    fn open(&mut self) -> Result<BodyReader<'static>, RegistryError> {
        let mut last = None;
        for turn in 0..self.endpoints.len() {
            let place = (self.place + turn) % self.endpoints.len();
            match self.open_at(&self.endpoints[place]) {
                Ok(body) => {
                    self.place = place;
                    return Ok(body);
                }
                Err(error) if !error.another_may_help() => return Err(error),
                // The registry's own answer counts more than that of a mirror.
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| RegistryError::BadAnswer {
            doing: self.doing(),
            host: String::new(),
            problem: "there is no registry to ask".to_owned(),
        }))
    }

    fn open_at(&self, endpoint: &Endpoint) -> Result<BodyReader<'static>, RegistryError> {
        let doing = self.doing();
        let uri = self.client.address(endpoint, &format!("blobs/{}", self.digest), &doing)?;
        let mut request = Request::get(&doing, uri, true);
        if self.at > 0 {
            request.headers.push((header::RANGE, format!("bytes={}-", self.at)));
        }
        let answer = self.client.send(endpoint, &Scope::pull(&endpoint.repository), request)?;
        let answer =
            self.client.expect(endpoint, &doing, answer, if self.at > 0 { &[200, 206] } else { &[200] })?;
        let bad = |problem: String| RegistryError::BadAnswer {
            doing: doing.clone(),
            host: endpoint.host.to_string(),
            problem,
        };
        let partial = answer.response.status().as_u16() == 206;
        if partial {
            let range = text_of(&answer, header::CONTENT_RANGE).unwrap_or_default();
            let (start, total) = content_range(&range)
                .ok_or_else(|| bad(format!("`{}` is no range", range.escape_debug())))?;
            if start != self.at || total.is_some_and(|total| total != self.size) {
                return Err(bad(format!(
                    "asked for byte {} of {}, it sends `{}`",
                    self.at,
                    self.size,
                    range.escape_debug()
                )));
            }
        }
        let expected = if partial { self.size - self.at } else { self.size };
        let length = answer.response.body().content_length();
        if let Some(length) = length.filter(|length| *length != expected) {
            return Err(bad(format!("the blob has {length} bytes, {expected} were announced")));
        }
        // The bound is the announced size, which `read` holds; ureq's own is smaller than many a layer.
        let mut body = answer.response.into_body().into_with_config().limit(u64::MAX).reader();
        if self.at > 0 && !partial {
            // It knows no ranges: what was read before goes by once more.
            let skipped = io::copy(&mut (&mut body).take(self.at), &mut io::sink());
            if skipped.as_ref().is_ok_and(|skipped| *skipped < self.at) || skipped.is_err() {
                return Err(RegistryError::Unreachable {
                    doing: doing.clone(),
                    host: endpoint.host.to_string(),
                    problem: "the connection was broken off".to_owned(),
                    passing: true,
                });
            }
        }
        Ok(body)
    }

    /// Counts a failure and waits; the error if there were too many.
    fn again(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        self.body = None;
        if self.at >= self.failed_at + PROGRESS {
            self.failures = 0;
        }
        self.failed_at = self.at;
        self.failures += 1;
        if self.failures >= self.client.http.patience().attempts || self.client.http.is_stopped() {
            return Err(error);
        }
        self.client.http.pause(self.failures, None);
        (self.resumed)(&self.digest, self.at);
        Ok(())
    }

    fn fail(&self, error: RegistryError) -> io::Error {
        let text = report::one_line(&error);
        self.failure.put(error);
        io::Error::other(text)
    }

    fn broken(&self, problem: String, passing: bool) -> RegistryError {
        if self.client.http.is_stopped() {
            return RegistryError::Stopped { doing: self.doing() };
        }
        let host =
            self.endpoints.get(self.place).map(|endpoint| endpoint.host.to_string()).unwrap_or_default();
        RegistryError::Unreachable { doing: self.doing(), host, problem, passing }
    }
}

impl Read for Blob<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let left = self.size - self.at;
            if buffer.is_empty() || (left == 0 && (self.body.is_none() || self.size == 0)) {
                return Ok(0);
            }
            let body = match &mut self.body {
                Some(body) => body,
                None => match self.open() {
                    Ok(body) => self.body.insert(body),
                    Err(error) => return Err(self.fail(error)),
                },
            };
            if left == 0 {
                // All is here; what an honest registry sends now is the end, which also gives the connection back for the next blob.
                let mut more = [0];
                let surplus = body.read(&mut more).is_ok_and(|more| more > 0);
                self.body = None;
                if surplus {
                    let host = self.endpoints[self.place].host.to_string();
                    let problem = format!("it sends more than the {} bytes that were announced", self.size);
                    return Err(self.fail(RegistryError::BadAnswer { doing: self.doing(), host, problem }));
                }
                return Ok(0);
            }
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let error = match body.read(&mut buffer[..most]) {
                Ok(0) => self
                    .broken(format!("the connection ended after {} of {} bytes", self.at, self.size), true),
                Ok(read) => {
                    self.at += read as u64;
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let passing = is_passing_io(&error);
                    self.broken(
                        format!("{}, after {} of {} bytes", in_words(&error), self.at, self.size),
                        passing,
                    )
                }
            };
            if let Err(error) = self.again(error) {
                return Err(self.fail(error));
            }
        }
    }
}

/// `bytes FIRST-LAST/TOTAL`: the first byte and the total.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    let total = match total.trim() {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    (first <= last).then_some((first, total))
}

impl Client {
    /// A small blob as a whole, verified.
    ///
    /// # Errors
    /// No registry has it, or what comes is something else.
    pub fn small_blob(
        &self,
        endpoints: &[Endpoint],
        digest: &Digest,
        size: u64,
    ) -> Result<Vec<u8>, RegistryError> {
        let nobody = |_: &Digest, _: u64| {};
        let mut blob = Blob::new(self, endpoints, *digest, size, &nobody);
        let failure = blob.failure();
        let mut bytes = Vec::with_capacity(usize::try_from(size.min(1 << 20)).unwrap_or(0));
        let read = blob.read_to_end(&mut bytes);
        let host = endpoints.get(blob.place).map(|endpoint| endpoint.host.to_string()).unwrap_or_default();
        if let Err(error) = read {
            let doing = format!("fetch {digest}");
            return Err(failure.take().unwrap_or(RegistryError::Unreachable {
                doing,
                host,
                problem: in_words(&error),
                passing: true,
            }));
        }
        let mut hasher = crate::digest::Hasher::new(digest.algorithm());
        hasher.update(&bytes);
        let found = hasher.finish();
        if found != *digest {
            let problem = format!("the content has the digest {found}");
            return Err(RegistryError::BadAnswer { doing: format!("fetch {digest}"), host, problem });
        }
        Ok(bytes)
    }

    /// Whether the registry has a blob already.
    ///
    /// # Errors
    /// No answer, or one that is neither yes nor no.
    pub fn has_blob(
        &self,
        endpoint: &Endpoint,
        digest: &Digest,
        scope: &Scope,
    ) -> Result<bool, RegistryError> {
        let doing = format!("look for {digest}");
        let uri = self.address(endpoint, &format!("blobs/{digest}"), &doing)?;
        let request = Request { method: Method::HEAD, ..Request::get(&doing, uri, true) };
        let answer = self.send(endpoint, scope, request)?;
        match self.expect(endpoint, &doing, answer, &[200]) {
            Ok(_) => Ok(true),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_or_refused() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        for bad in ["", "bytes", "bytes */10", "bytes 9-5/10", "bytes 5-/10", "items 5-9/10", "bytes -5-9/10"]
        {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }
}
