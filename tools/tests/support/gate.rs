//! The door of a relay: a TCP proxy at its public address. It notes what ordinary clients ask for, and kills the relay behind it in the
//! middle of an answer to one of them, once the [`Fuse`] that all gates share has burnt down. Nobody listens at a dead relay's address.
//! What ODI's own programs ask for does not count: they say who they are, or are among the [`Callers`]. Where it cannot read what passes,
//! for that is TLS, a second gate behind what ends TLS reads it for the first.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::callers::{Callers, Ends};

/// Bytes of answers to clients until the relay that gives the last of them dies; none while nobody shall.
#[derive(Default)]
pub(crate) struct Fuse {
    left: Mutex<Option<u64>>,
    /// Who is no client.
    pub(crate) others: Callers,
    /// The lines of all gates, by their parts behind those.
    lines: Mutex<HashMap<Ends, Line>>,
}

/// A connection through a gate.
#[derive(Clone)]
struct Line {
    gate: Arc<Behind>,
    /// Its part before the gate.
    before: Ends,
    /// Whether an ordinary client has asked for something here.
    is_client: Arc<AtomicBool>,
}

impl Line {
    fn note(&self, visit: Visit) {
        if !self.gate.fuse.others.made(self.before) {
            self.is_client.store(true, Ordering::SeqCst);
            self.gate.seen.lock().unwrap().0.push(visit);
        }
    }
}

#[allow(dead_code, reason = "each test binary uses some of it")]
impl Fuse {
    pub(crate) fn light(&self, bytes: u64) {
        *self.left.lock().unwrap() = Some(bytes);
    }

    pub(crate) fn put_out(&self) {
        *self.left.lock().unwrap() = None;
    }

    /// How many of these bytes may pass, and whether those were the last.
    fn burn(&self, bytes: usize) -> (usize, bool) {
        let mut left = self.left.lock().unwrap();
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
    /// How it came to what ends TLS, if it did.
    through: Option<Ends>,
}

/// See the module. It ends with the process.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) addrs: Vec<SocketAddr>,
    behind: Arc<Behind>,
}

/// An address of a gate, and who listens there.
type Door = (SocketAddr, JoinHandle<()>);

struct Behind {
    /// Held by whoever opens or closes them.
    doors: Mutex<Vec<Door>>,
    addr: SocketAddr,
    mortal: Mutex<Vec<Child>>,
    is_dead: AtomicBool,
    /// Both ends of what passes, by its part behind the gate.
    open: Mutex<HashMap<Ends, [TcpStream; 2]>>,
    seen: Mutex<(Vec<Visit>, u64)>,
    fuse: Arc<Fuse>,
}

#[allow(dead_code, reason = "each test binary uses some of it")]
impl Gate {
    /// A gate at some addresses to another, where nobody has to listen yet.
    pub(crate) fn start(at: Vec<SocketAddr>, to: SocketAddr, fuse: &Arc<Fuse>) -> Self {
        let gate = Self { behind: Arc::new(Behind::new(to, fuse)), addrs: at };
        gate.open(&mut gate.behind.doors.lock().unwrap());
        gate
    }

    /// Listens, until the relay dies.
    fn open(&self, doors: &mut Vec<Door>) {
        self.behind.is_dead.store(false, Ordering::SeqCst);
        *doors = Vec::from_iter(self.addrs.iter().map(|addr| {
            let listener = TcpListener::bind(addr).unwrap();
            let behind = Arc::clone(&self.behind);
            (*addr, thread::spawn(move || behind.listen(&listener)))
        }));
    }

    /// The processes that die here, the first first; dead ones come back as these.
    pub(crate) fn guard(&self, mortal: Vec<Child>) {
        // Whoever has just died here is not done with that yet, perhaps.
        let mut doors = self.behind.doors.lock().unwrap();
        *self.behind.mortal.lock().unwrap() = mortal;
        if self.is_dead() {
            self.open(&mut doors);
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
        self.behind.kill();
    }
}

impl Behind {
    fn new(addr: SocketAddr, fuse: &Arc<Fuse>) -> Self {
        let (doors, mortal, open, seen, is_dead) = Default::default();
        Self { doors, addr, mortal, is_dead, open, seen, fuse: Arc::clone(fuse) }
    }

    fn kill(&self) {
        let mut doors = self.doors.lock().unwrap();
        // Said first: nobody may notice the death before it can be seen here.
        let was_dead = self.is_dead.swap(true, Ordering::SeqCst);
        for mut process in self.mortal.lock().unwrap().drain(..) {
            let _ = process.kill();
            let _ = process.wait();
        }
        if !was_dead {
            for stream in self.open.lock().unwrap().drain().flat_map(|(_, ends)| ends) {
                let _ = stream.shutdown(Shutdown::Both);
            }
            for (door, listener) in doors.drain(..) {
                // Wakes it, and it sees that and closes.
                while !listener.is_finished() {
                    let _ = TcpStream::connect(door);
                }
            }
        }
    }

    /// Takes connections until the relay is dead.
    fn listen(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            if self.is_dead.load(Ordering::SeqCst) {
                return;
            }
            let behind = Arc::clone(self);
            // A side that goes away is its own affair.
            thread::spawn(move || client.and_then(|client| behind.connect(&client)));
        }
    }

    /// Passes one connection on, until it ends.
    fn connect(self: &Arc<Self>, client: &TcpStream) -> std::io::Result<()> {
        let relay = TcpStream::connect(self.addr)?;
        let (before, name) = (Ends::taken(client)?, Ends::made(&relay)?);
        let line = Line { gate: Arc::clone(self), before, is_client: Arc::default() };
        self.open.lock().unwrap().insert(name, [client.try_clone()?, relay.try_clone()?]);
        self.fuse.lines.lock().unwrap().insert(name, line.clone());
        let (asks, to, fuse, is_client) =
            (client.try_clone()?, relay.try_clone()?, Arc::clone(&self.fuse), Arc::clone(&line.is_client));
        thread::spawn(move || pass_requests(asks, to, &fuse, &line));
        let ended = self.pass_answers(&relay, client, &is_client);
        // Or files stay open here for each connection that there ever was.
        self.open.lock().unwrap().remove(&name);
        self.fuse.lines.lock().unwrap().remove(&name);
        let _ = (relay.shutdown(Shutdown::Both), client.shutdown(Shutdown::Both));
        ended
    }

    /// Passes answers on as long as the relay lives.
    fn pass_answers(
        &self,
        mut relay: &TcpStream,
        mut client: &TcpStream,
        is_client: &AtomicBool,
    ) -> std::io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        loop {
            let count = relay.read(&mut buffer)?;
            let counts = is_client.load(Ordering::SeqCst);
            let (pass, is_last) = if counts { self.fuse.burn(count) } else { (count, false) };
            client.write_all(&buffer[..pass])?;
            if counts {
                self.seen.lock().unwrap().1 += pass as u64;
            }
            if is_last {
                self.kill();
            }
            if count == 0 || is_last {
                return Ok(());
            }
        }
    }
}

/// Passes requests on, and notes what they are.
fn pass_requests(mut asks: TcpStream, mut to: TcpStream, fuse: &Fuse, line: &Line) -> std::io::Result<()> {
    let (mut heads, mut buffer) = (Heads::default(), [0; 16 * 1024]);
    loop {
        let count = asks.read(&mut buffer)?;
        for visit in heads.read(&buffer[..count]) {
            let outer = visit.through.and_then(|from| fuse.lines.lock().unwrap().get(&from).cloned());
            outer.as_ref().unwrap_or(line).note(visit);
        }
        to.write_all(&buffer[..count])?;
        if count == 0 {
            return to.shutdown(Shutdown::Write);
        }
    }
}

/// How TLS begins, and no request.
const HANDSHAKE: u8 = 22;

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
        if self.unread.first() == Some(&HANDSHAKE) {
            self.unread.truncate(1);
            return Vec::new();
        }
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
            let end = |name: &str| field(name).map(|addr| addr.parse().unwrap());
            let through = end("odi-lab-caller").zip(end("odi-lab-listener"));
            let through = through.map(|(caller, listener)| Ends { caller, listener });
            if !client.starts_with("odi") {
                visits.push(Visit { client, target, through });
            }
        }
    }
}
