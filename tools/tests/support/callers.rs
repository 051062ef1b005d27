//! Whose a connection on loopback is. Directories look at relays in the words of ordinary clients, so that nothing in a request tells
//! them apart: here the kernel does.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;

/// Processes that are no ordinary clients.
#[derive(Debug, Default)]
pub(crate) struct Callers(Mutex<Vec<u32>>);

impl Callers {
    pub(crate) fn add(&self, process: u32) {
        self.0.lock().unwrap().push(process);
    }

    /// Whether one of them is at the other end of a connection, by the address that it has there.
    pub(crate) fn hold(&self, peer: SocketAddr) -> bool {
        let Some(socket) = socket(peer) else { return false };
        self.0.lock().unwrap().iter().any(|process| {
            let files = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
            files
                .filter_map(|file| fs::read_link(file.path()).ok())
                .any(|link| link.to_str() == Some(socket.as_str()))
        })
    }
}

/// The name of the socket that has this address, as `/proc` has it.
#[expect(clippy::host_endian_bytes, reason = "the kernel writes addresses as numbers of this machine")]
fn socket(addr: SocketAddr) -> Option<String> {
    let (octets, table) = match addr.ip() {
        IpAddr::V4(ip) => (ip.octets().to_vec(), "/proc/net/tcp"),
        IpAddr::V6(ip) => (ip.octets().to_vec(), "/proc/net/tcp6"),
    };
    let (words, _) = octets.as_chunks();
    let words: String = words.iter().map(|word| format!("{:08X}", u32::from_ne_bytes(*word))).collect();
    let wanted = format!("{words}:{:04X}", addr.port());
    let table = fs::read_to_string(table).ok()?;
    let mut rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    let inode =
        rows.find_map(|row| (row.get(1) == Some(&wanted.as_str())).then(|| row.get(9).copied())?)?;
    Some(format!("socket:[{inode}]"))
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_is_known_by_its_connections() {
    for at in ["127.0.0.1:0", "[::1]:0"] {
        // Not every machine has IPv6.
        let Ok(listener) = std::net::TcpListener::bind(at) else { continue };
        let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let peer = ours.local_addr().unwrap();
        let callers = Callers::default();
        assert!(!callers.hold(peer));
        callers.add(std::process::id());
        assert!(callers.hold(peer));
        drop(ours);
        assert!(!callers.hold(peer), "nobody has it any more");
    }
}
