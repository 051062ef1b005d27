//! A web server that can misbehave: plain threads over plain sockets, so that nothing of the code under test vouches for
//! itself.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// How requests for files outside `.odi/` are answered. The layout itself is always served right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// As nginx would: ranges, Content-Length, keep-alive.
    Proper,
    /// One bit of every body is wrong.
    Flip,
    /// Keeps every request waiting until it is to behave otherwise, those for chunk lists too.
    Wait,
    /// Announces the whole length and closes after half of it.
    Truncate,
    /// Announces the whole length, sends half of it and then nothing.
    Stall,
    /// Answers every range request with 200 and the whole file.
    IgnoreRange,
    /// Marks the body as gzip.
    Gzip,
    /// Sends zeros for ever, without a length.
    Endless,
    /// 503 for everything.
    Refuse,
    /// A relay's word that the bytes are coming, for everything.
    Coming,
    /// A redirect to this machine's own port 1.
    RedirectInward,
    /// Right bytes from another place of the file.
    Shift,
    /// Every second answer about a file, beginning with the first, is of another one of the same length.
    Alternate,
}

/// One request that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) range: Option<String>,
}

struct Shared {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    behaviour: Mutex<Behaviour>,
    told: Condvar,
    seen: Mutex<Vec<Seen>>,
    body_bytes: AtomicU64,
    stop: AtomicBool,
}

/// A running server; dropping it stops it.
pub(crate) struct Web {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

impl Web {
    /// Serves `files`, keyed by decoded path without a leading slash.
    pub(crate) fn start(files: BTreeMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            files: Mutex::new(files),
            behaviour: Mutex::new(Behaviour::Proper),
            told: Condvar::new(),
            seen: Mutex::new(Vec::new()),
            body_bytes: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.stop.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let shared = Arc::clone(&accepting);
                std::thread::spawn(move || {
                    let _ = connection(stream, &shared);
                });
            }
        });
        Self { addr, shared }
    }

    /// `http://127.0.0.1:PORT/`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.addr)
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().unwrap() = behaviour;
        self.shared.told.notify_all();
    }

    /// Adds or replaces files.
    pub(crate) fn put(&self, files: impl IntoIterator<Item = (String, Vec<u8>)>) {
        self.shared.files.lock().unwrap().extend(files);
    }

    /// Changes one file's bytes in place.
    pub(crate) fn edit(&self, path: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        edit(self.shared.files.lock().unwrap().get_mut(path).unwrap());
    }

    /// Requests answered so far for paths that this accepts.
    pub(crate) fn seen(&self, path: impl Fn(&str) -> bool) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().iter().filter(|seen| path(&seen.path)).cloned().collect()
    }

    /// Bytes of bodies sent for files outside `.odi/`.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.shared.body_bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.behave(Behaviour::Proper);
        let _ = TcpStream::connect(self.addr);
    }
}

fn connection(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut words = line.split_whitespace();
        let method = words.next().unwrap_or_default().to_owned();
        let target = words.next().unwrap_or_default();
        let path = decode(target.split('?').next().unwrap_or_default().trim_start_matches('/'));
        let mut range = None;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            match header.trim_end().split_once(": ") {
                None => break,
                Some((name, value)) if name.eq_ignore_ascii_case("range") => range = Some(value.to_owned()),
                Some(_) => {}
            }
        }
        shared.seen.lock().unwrap().push(Seen {
            method: method.clone(),
            path: path.clone(),
            range: range.clone(),
        });
        let file = shared.files.lock().unwrap().get(&path).cloned();
        let is_layout = path.starts_with(".odi/") && !path.starts_with(".odi/blobs/");
        let behaviour = if is_layout && !path.contains("/chunks/") {
            Behaviour::Proper
        } else {
            let behaviour = shared.behaviour.lock().unwrap();
            let told = shared.told.wait_while(behaviour, |behaviour| *behaviour == Behaviour::Wait);
            let told = *told.unwrap();
            if is_layout { Behaviour::Proper } else { told }
        };
        let Some(file) = file else {
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        };
        let counts = !path.starts_with(".odi/");
        let seen = shared.seen.lock().unwrap().iter().filter(|seen| seen.path == path).count();
        let sent = answer(&mut stream, &method, &file, range.as_deref(), behaviour, seen)?;
        if counts {
            shared.body_bytes.fetch_add(sent, Ordering::Relaxed);
        }
        match behaviour {
            Behaviour::Truncate | Behaviour::Endless => return Ok(()),
            // Until the other side gives up.
            Behaviour::Stall => return reader.read_line(&mut String::new()).map(drop),
            _ => {}
        }
    }
}

fn answer(
    stream: &mut TcpStream,
    method: &str,
    file: &[u8],
    range: Option<&str>,
    behaviour: Behaviour,
    seen: usize,
) -> std::io::Result<u64> {
    let asked = range
        .and_then(|range| parse_range(range, file.len()))
        .filter(|_| behaviour != Behaviour::IgnoreRange);
    let (status, mut body) = match asked {
        Some((start, end)) => {
            let status =
                format!("206 Partial Content\r\nContent-Range: bytes {start}-{}/{}", end - 1, file.len());
            (status, file[start..end].to_vec())
        }
        None => ("200 OK".to_owned(), file.to_vec()),
    };
    let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nAccept-Ranges: bytes\r\n", body.len());
    match behaviour {
        Behaviour::Flip => {
            if let Some(byte) = body.last_mut() {
                *byte ^= 0x10;
            }
        }
        Behaviour::Truncate | Behaviour::Stall => body.truncate(body.len() / 2),
        Behaviour::Gzip => head.push_str("Content-Encoding: gzip\r\n"),
        Behaviour::Refuse => {
            stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")?;
            return Ok(0);
        }
        Behaviour::Coming => {
            stream.write_all(
                b"HTTP/1.1 503 Service Unavailable\r\nOdi-Pull: coming\r\nContent-Length: 0\r\n\r\n",
            )?;
            return Ok(0);
        }
        Behaviour::RedirectInward => {
            stream.write_all(
                b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            )?;
            return Ok(0);
        }
        Behaviour::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            let zeros = vec![0; 64 << 10];
            let mut sent = 0;
            while stream.write_all(&zeros).is_ok() {
                sent += zeros.len() as u64;
            }
            return Ok(sent);
        }
        Behaviour::Shift => {
            let (start, _) = asked.unwrap_or((0, file.len()));
            let from = (start + (256 << 10)) % file.len();
            let length = body.len();
            body = file.iter().cycle().skip(from).take(length).copied().collect();
        }
        Behaviour::Alternate if seen % 2 == 1 => body.iter_mut().for_each(|byte| *byte ^= 0x55),
        Behaviour::Proper | Behaviour::Wait | Behaviour::IgnoreRange | Behaviour::Alternate => {}
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if method == "HEAD" {
        return Ok(0);
    }
    stream.write_all(&body)?;
    Ok(body.len() as u64)
}

/// One `bytes=a-b` or `bytes=a-`, clipped to the file.
fn parse_range(text: &str, len: usize) -> Option<(usize, usize)> {
    let (start, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let start: usize = start.parse().ok()?;
    let end = if last.is_empty() { len } else { last.parse::<usize>().ok()?.checked_add(1)?.min(len) };
    (start < end).then_some((start, end))
}

fn decode(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let escape = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match (bytes[at], escape.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap()
}
