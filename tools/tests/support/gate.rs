//! The door of a relay: a TCP proxy at its public address. It notes what ordinary clients ask for, and kills the relay behind it in the
//! middle of an answer to one of them, once the [`Fuse`] that all gates share has burnt down. Nobody listens at a dead relay's address.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Bytes of answers to clients until the relay that gives the last of them dies; none while nobody shall.
#[derive(Debug, Default)]
pub(crate) struct Fuse(Mutex<Option<u64>>);

#[allow(dead_code, reason = "each test binary uses some of it")]
impl Fuse {
    pub(crate) fn light(&self, bytes: u64) {
        *self.0.lock().unwrap() = Some(bytes);
    }

    pub(crate) fn put_out(&self) {
        *self.0.lock().unwrap() = None;
    }

    /// How many of these bytes may pass, and whether those were the last.
    fn burn(&self, bytes: usize) -> (usize, bool) {
        let mut left = self.0.lock().unwrap();
        match *left {
            Some(few) if few <= bytes as u64 => {
                *left = None;
                (usize::try_from(few).unwrap(), true)
            }
            Some(many) => {
                *left = Some(many - bytes as u64);
                (bytes, false)
            }
            None => (bytes, false),
        }
    }
}

/// What one client asked one relay for.
#[derive(Clone, Debug)]
#[allow(dead_code, reason = "not every test binary looks")]
pub(crate) struct Visit {
    pub(crate) client: String,
    pub(crate) target: String,
}

/// See the module. It ends with the process.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) addr: SocketAddr,
    behind: Arc<Behind>,
}

struct Behind {
    addr: SocketAddr,
    relay: Mutex<Option<Child>>,
    is_dead: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
    seen: Mutex<(Vec<Visit>, u64)>,
    fuse: Arc<Fuse>,
}

#[allow(dead_code, reason = "each test binary uses some of it")]
impl Gate {
    /// A gate at one address to another, where nobody has to listen yet.
    pub(crate) fn start(at: SocketAddr, to: SocketAddr, fuse: &Arc<Fuse>) -> Self {
        let gate = Self { addr: at, behind: Arc::new(Behind::new(to, fuse)) };
        gate.open();
        gate
    }

    /// Listens, until the relay dies.
    fn open(&self) {
        let listener = TcpListener::bind(self.addr).unwrap();
        let behind = Arc::clone(&self.behind);
        behind.is_dead.store(false, Ordering::SeqCst);
        thread::spawn(move || {
            for client in listener.incoming() {
                if behind.is_dead.load(Ordering::SeqCst) {
                    return;
                }
                let behind = Arc::clone(&behind);
                // A side that goes away is its own affair.
                thread::spawn(move || client.and_then(|client| behind.connect(&client)));
            }
        });
    }

    /// The process that dies here; a dead one comes back as this.
    pub(crate) fn guard(&self, relay: Child) {
        *self.behind.relay.lock().unwrap() = Some(relay);
        if self.is_dead() {
            self.open();
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.behind.is_dead.load(Ordering::SeqCst)
    }

    /// What clients asked for here since the last look, and how many bytes they got.
    pub(crate) fn take_seen(&self) -> (Vec<Visit>, u64) {
        std::mem::take(&mut self.behind.seen.lock().unwrap())
    }

    /// `kill -9` of the relay, and of all that its clients still have of it.
    pub(crate) fn kill(&self) {
        self.behind.kill(self.addr);
    }
}

impl Behind {
    fn new(addr: SocketAddr, fuse: &Arc<Fuse>) -> Self {
        let (relay, open, seen, is_dead) = Default::default();
        Self { addr, relay, is_dead, open, seen, fuse: Arc::clone(fuse) }
    }

    fn kill(&self, gate: SocketAddr) {
        if let Some(mut relay) = self.relay.lock().unwrap().take() {
            let _ = relay.kill();
            let _ = relay.wait();
        }
        if !self.is_dead.swap(true, Ordering::SeqCst) {
            for stream in self.open.lock().unwrap().drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
            // Wakes the listener, which sees it and closes.
            while TcpStream::connect(gate).is_ok() {}
        }
    }

    fn connect(self: &Arc<Self>, client: &TcpStream) -> std::io::Result<()> {
        let gate = client.local_addr()?;
        let relay = TcpStream::connect(self.addr)?;
        self.open.lock().unwrap().extend([client.try_clone()?, relay.try_clone()?]);
        let is_client = Arc::new(AtomicBool::new(false));
        let (mut asks, mut to, noted) = (client.try_clone()?, relay.try_clone()?, Arc::clone(&is_client));
        let behind = Arc::clone(self);
        thread::spawn(move || -> std::io::Result<()> {
            let (mut heads, mut buffer) = (Heads::default(), [0; 16 * 1024]);
            loop {
                let count = asks.read(&mut buffer)?;
                for visit in heads.read(&buffer[..count]) {
                    noted.store(true, Ordering::SeqCst);
                    behind.seen.lock().unwrap().0.push(visit);
                }
                to.write_all(&buffer[..count])?;
                if count == 0 {
                    return to.shutdown(Shutdown::Write);
                }
            }
        });
        let (mut answers, mut client, mut buffer) = (relay, client, [0; 16 * 1024]);
        loop {
            let count = answers.read(&mut buffer)?;
            let counts = is_client.load(Ordering::SeqCst);
            let (pass, is_last) = if counts { self.fuse.burn(count) } else { (count, false) };
            client.write_all(&buffer[..pass])?;
            if counts {
                self.seen.lock().unwrap().1 += pass as u64;
            }
            if is_last {
                self.kill(gate);
            }
            if count == 0 || is_last {
                return client.shutdown(Shutdown::Both);
            }
        }
    }
}

/// Request heads in a stream of requests.
#[derive(Default)]
struct Heads {
    unread: Vec<u8>,
    body: usize,
}

impl Heads {
    /// The visits that these bytes complete; ODI's own daemons and tools do not count as clients.
    fn read(&mut self, bytes: &[u8]) -> Vec<Visit> {
        self.unread.extend_from_slice(bytes);
        let mut visits = Vec::new();
        loop {
            let body = self.body.min(self.unread.len());
            self.unread.drain(..body);
            self.body -= body;
            let Some(end) = self.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
                return visits;
            };
            let head: Vec<u8> = self.unread.drain(..end + 4).collect();
            let head = String::from_utf8_lossy(&head).into_owned();
            let field = |name: &str| {
                let mut fields = head.lines().filter_map(|line| line.split_once(':'));
                fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
            };
            self.body = field("content-length").map_or(0, |length| length.parse().unwrap());
            let client = field("user-agent").unwrap_or("nameless").to_owned();
            let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
            if !client.starts_with("odi") {
                visits.push(Visit { client, target });
            }
        }
    }
}
