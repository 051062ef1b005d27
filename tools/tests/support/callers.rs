//! Whose a connection on loopback is. Directories look at relays in the words of ordinary clients, so that nothing in a request tells
//! them apart: here the kernel does.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Mutex;

/// A connection by both of its ends. One end alone names none: the kernel gives the same port to connections that lead elsewhere, and
/// keeps it for a minute after they have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ends {
    /// Whoever connected.
    pub(crate) caller: SocketAddr,
    /// Whoever listened.
    pub(crate) listener: SocketAddr,
}

impl Ends {
    /// Of a connection that was taken here.
    pub(crate) fn taken(stream: &TcpStream) -> std::io::Result<Self> {
        Ok(Self { caller: stream.peer_addr()?, listener: stream.local_addr()? })
    }

    /// Of a connection that was made here.
    pub(crate) fn made(stream: &TcpStream) -> std::io::Result<Self> {
        Ok(Self { caller: stream.local_addr()?, listener: stream.peer_addr()? })
    }
}

/// Processes that are no ordinary clients.
#[derive(Debug, Default)]
pub(crate) struct Callers(Mutex<Vec<u32>>);

impl Callers {
    pub(crate) fn add(&self, process: u32) {
        self.0.lock().unwrap().push(process);
    }

    /// Whether one of them made this connection.
    pub(crate) fn made(&self, ends: Ends) -> bool {
        let Some(socket) = socket(ends) else { return false };
        self.0.lock().unwrap().iter().any(|process| {
            let files = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
            files
                .filter_map(|file| fs::read_link(file.path()).ok())
                .any(|link| link.to_str() == Some(socket.as_str()))
        })
    }
}

/// The name of the caller's socket, as `/proc` has it.
fn socket(ends: Ends) -> Option<String> {
    let table = if ends.caller.is_ipv4() { "/proc/net/tcp" } else { "/proc/net/tcp6" };
    let wanted = [spelled(ends.caller), spelled(ends.listener)];
    let table = fs::read_to_string(table).ok()?;
    let mut rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    let inode = rows.find_map(|row| (row.get(1..3)? == wanted).then(|| row.get(9).copied())?)?;
    Some(format!("socket:[{inode}]"))
}

/// An address as those tables spell it.
#[expect(clippy::host_endian_bytes, reason = "the kernel writes addresses as numbers of this machine")]
fn spelled(addr: SocketAddr) -> String {
    let octets = match addr.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let (words, _) = octets.as_chunks();
    let words: String = words.iter().map(|word| format!("{:08X}", u32::from_ne_bytes(*word))).collect();
    format!("{words}:{:04X}", addr.port())
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_is_known_by_its_connections() {
    for at in ["127.0.0.1:0", "[::1]:0"] {
        // Not every machine has IPv6.
        let Ok(listener) = std::net::TcpListener::bind(at) else { continue };
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let ends = Ends::made(&ours).unwrap();
        let callers = Callers::default();
        assert!(!callers.made(ends));
        callers.add(std::process::id());
        assert!(callers.made(ends));
        let elsewhere = Ends { listener: SocketAddr::new(ends.listener.ip(), 1), ..ends };
        assert!(!callers.made(elsewhere), "who has the same port for another connection is somebody else");
        drop(ours);
        assert!(!callers.made(ends), "nobody has it any more");
    }
}
