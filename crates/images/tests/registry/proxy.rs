//! A man in the middle: passes HTTP on, does what a test tells it to, and remembers what was asked.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// What is done to one answer.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Nothing.
    Pass,
    /// The connection is reset after this many bytes of content.
    ResetAfter(usize),
    /// It is closed in good order after this many.
    CloseAfter(usize),
    /// Nothing more comes after this many, for this long.
    StallAfter(usize, Duration),
    /// One bit of the content is another one.
    Flip,
    /// This answer instead, with these headers.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// The request goes on without this header.
    Without(&'static str),
    /// The request is read in part, and the connection reset.
    ResetRequestAfter(usize),
}

#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) at: Instant,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

type Decide = dyn Fn(&Asked, usize) -> Fault + Send + Sync;

pub(crate) struct Middle {
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<Vec<Asked>>>,
}

impl Middle {
    /// Stands in front of `upstream`. `decide` sees each request and how many there were before with the same method and path.
    pub(crate) fn before(
        upstream: Option<SocketAddr>,
        decide: impl Fn(&Asked, usize) -> Fault + Send + Sync + 'static,
    ) -> Self {
        Self::at("127.0.0.1:0", upstream, decide)
    }

    pub(crate) fn at(
        address: &str,
        upstream: Option<SocketAddr>,
        decide: impl Fn(&Asked, usize) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let log: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (kept, decide): (_, Arc<Decide>) = (Arc::clone(&log), Arc::new(decide));
        // It ends with the process of the tests: nothing of the host is kept by it but a port.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, decide) = (Arc::clone(&kept), Arc::clone(&decide));
                thread::spawn(move || {
                    // The other side breaks connections on purpose.
                    let _ = serve(stream, upstream, &log, &*decide);
                });
            }
        });
        Self { address, log }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }

    /// The requests whose path contains `part`.
    pub(crate) fn about(&self, method: &str, part: &str) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| asked.method == method && asked.path.contains(part)).collect()
    }
}

fn serve(
    mut client: TcpStream,
    upstream: Option<SocketAddr>,
    log: &Mutex<Vec<Asked>>,
    decide: &Decide,
) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let Some((mut head, asked)) = read_head(&mut reader)? else { return Ok(()) };
    let before = {
        let mut log = log.lock().unwrap();
        let before = log.iter().filter(|one| one.method == asked.method && one.path == asked.path).count();
        log.push(asked.clone());
        before
    };
    let length: usize = asked.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let fault = decide(&asked, before);
    if let Fault::ResetRequestAfter(most) = fault {
        io::copy(&mut (&mut reader).take(most as u64), &mut io::sink())?;
        return reset(&client);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    if let Fault::Answer(status, headers, content) = fault {
        let mut text =
            format!("HTTP/1.1 {status} Told\r\nContent-Length: {}\r\nConnection: close\r\n", content.len());
        headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
        client.write_all(text.as_bytes())?;
        client.write_all(b"\r\n")?;
        return client.write_all(&content);
    }
    let Some(upstream) = upstream else { return Ok(()) };
    let mut server = TcpStream::connect(upstream)?;
    if let Fault::Without(name) = &fault {
        head.retain(|line| !line.to_ascii_lowercase().starts_with(&name.to_ascii_lowercase()));
    }
    head.retain(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    server.write_all(head.concat().as_bytes())?;
    server.write_all(b"Connection: close\r\n\r\n")?;
    server.write_all(&body)?;
    let mut answer = BufReader::new(server);
    let mut line = String::new();
    loop {
        line.clear();
        if answer.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        client.write_all(line.as_bytes())?;
    }
    client.write_all(b"\r\n")?;
    relay(&mut answer, &mut client, &fault)
}

fn relay(from: &mut impl Read, to: &mut TcpStream, fault: &Fault) -> io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    let mut sent = 0;
    loop {
        let limit = match fault {
            Fault::ResetAfter(most) | Fault::CloseAfter(most) | Fault::StallAfter(most, _) => most - sent,
            _ => buffer.len(),
        };
        if limit == 0 {
            return match fault {
                Fault::ResetAfter(_) => {
                    // What was written has to be on its way before a reset throws it away.
                    thread::sleep(Duration::from_millis(100));
                    reset(to)
                }
                Fault::StallAfter(_, time) => {
                    thread::sleep(*time);
                    Ok(())
                }
                _ => Ok(()),
            };
        }
        let most = limit.min(buffer.len());
        let read = from.read(&mut buffer[..most])?;
        if read == 0 {
            return Ok(());
        }
        if matches!(fault, Fault::Flip) && sent == 0 {
            buffer[0] ^= 1;
        }
        to.write_all(&buffer[..read])?;
        sent += read;
    }
}

/// Closes with a reset instead of an end.
fn reset(stream: &TcpStream) -> io::Result<()> {
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO))?;
    Ok(())
}

fn read_head(reader: &mut impl io::BufRead) -> io::Result<Option<(Vec<String>, Asked)>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if line == "\r\n" {
            break;
        }
        lines.push(line);
    }
    let mut words = lines[0].split_whitespace();
    let (method, path) =
        (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let headers = lines[1..].iter().filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect();
    Ok(Some((lines, Asked { method, path, headers, at: Instant::now() })))
}

/// A proxy that knows CONNECT, and remembers to whom.
pub(crate) fn tunnel() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let log: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&log);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let log = Arc::clone(&kept);
            thread::spawn(move || -> io::Result<()> {
                let mut client = stream;
                let mut reader = BufReader::new(client.try_clone()?);
                let Some((_, asked)) = read_head(&mut reader)? else { return Ok(()) };
                log.lock().unwrap().push(format!("{} {}", asked.method, asked.path));
                let mut server = TcpStream::connect(&asked.path)?;
                client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
                let (mut up, mut down) = (server.try_clone()?, client.try_clone()?);
                thread::spawn(move || {
                    let _ = io::copy(&mut reader, &mut up);
                    let _ = up.shutdown(std::net::Shutdown::Write);
                });
                io::copy(&mut server, &mut down)?;
                Ok(())
            });
        }
    });
    (address, log)
}
