//! A bad line: a TCP proxy that cuts connections after so many bytes of answers, whatever they were in the middle of.
#![allow(clippy::unwrap_used, reason = "a test helper may panic on what it did not expect")]

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// The line. It ends with the process.
#[derive(Clone)]
pub(crate) struct CuttingProxy {
    pub(crate) addr: SocketAddr,
    line: Arc<Line>,
}

#[derive(Default)]
struct Line {
    /// Bytes of answers until a connection is cut, one for each to come; later ones are not cut.
    cuts: Mutex<VecDeque<u64>>,
    cut: AtomicUsize,
    /// Bytes of answers that went through.
    bytes: AtomicU64,
}

impl CuttingProxy {
    /// A line to `server`, for now a good one.
    pub(crate) fn start(server: SocketAddr) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").unwrap(), server)
    }

    /// The same from a listener of one's own.
    pub(crate) fn start_on(listener: TcpListener, server: SocketAddr) -> Self {
        let proxy = Self { addr: listener.local_addr().unwrap(), line: Arc::default() };
        let line = Arc::clone(&proxy.line);
        thread::spawn(move || {
            for client in listener.incoming() {
                // Here, so that cuts go by the order of connections.
                let (line, cut) = (Arc::clone(&line), line.cuts.lock().unwrap().pop_front());
                // A side that goes away is its own affair.
                thread::spawn(move || client.and_then(|client| line.connect(&client, server, cut)));
            }
        });
        proxy
    }

    /// Cuts the next connections, each after so many bytes, and counts anew.
    pub(crate) fn cut(&self, after: impl IntoIterator<Item = u64>) {
        *self.line.cuts.lock().unwrap() = after.into_iter().collect();
        self.line.cut.store(0, Ordering::SeqCst);
        self.line.bytes.store(0, Ordering::SeqCst);
    }

    /// How many connections were cut since, and how many bytes of answers went through.
    pub(crate) fn seen(&self) -> (usize, u64) {
        (self.line.cut.load(Ordering::SeqCst), self.line.bytes.load(Ordering::SeqCst))
    }
}

impl Line {
    fn connect(&self, client: &TcpStream, server: SocketAddr, cut: Option<u64>) -> std::io::Result<()> {
        let upstream = TcpStream::connect(server)?;
        let (mut from, mut to) = (client.try_clone()?, upstream.try_clone()?);
        thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            to.shutdown(Shutdown::Write)
        });
        let (mut left, mut answers, mut buffer) = (cut, &upstream, [0; 16 * 1024]);
        loop {
            let count = answers.read(&mut buffer)?;
            let passed = left.map_or(count, |left| count.min(usize::try_from(left).unwrap()));
            (&mut &*client).write_all(&buffer[..passed])?;
            self.bytes.fetch_add(passed as u64, Ordering::SeqCst);
            left = left.map(|left| left - passed as u64);
            if left == Some(0) {
                self.cut.fetch_add(1, Ordering::SeqCst);
            }
            if count == 0 || left == Some(0) {
                // Both ends, so that the other direction ends too.
                let _ = upstream.shutdown(Shutdown::Both);
                return client.shutdown(Shutdown::Both);
            }
        }
    }
}
