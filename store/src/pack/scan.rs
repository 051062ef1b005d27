//! Reads the records of a pack from front to back, and checks each one's CRC.
//!
//! Recovery stops at the first record that does not check (a torn tail); rebuild and scrub search for the next
//! one, which the store's salt makes unforgeable.

use std::io;
use std::sync::Arc;

use super::PackId;
use crate::disk::DiskFile;
use crate::record::{HEADER_BYTES, Header, RawHeader, payload_checks};

/// Bytes read at a time.
const WINDOW_BYTES: usize = 4 << 20;

/// One record that checked.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) header: Header,
    pub(crate) offset: u32,
    pub(crate) payload: Vec<u8>,
}

/// A walk over one pack.
#[derive(Debug)]
pub(crate) struct Scan {
    file: Arc<dyn DiskFile>,
    salt: u64,
    size: u64,
    at: u64,
    window: Vec<u8>,
    window_at: u64,
    /// Whether to look for the next record after a bad one.
    resync: bool,
    /// Stretches that held no record.
    pub(crate) bad: u64,
}

impl Scan {
    /// Starts at `from`, where a record should begin; `resync` searches on after damage.
    pub(crate) fn new(file: Arc<dyn DiskFile>, salt: u64, from: u64, resync: bool) -> io::Result<Self> {
        let size = file.size()?;
        Ok(Self { file, salt, size, at: from, window: Vec::new(), window_at: 0, resync, bad: 0 })
    }

    /// Where the last good record ended.
    pub(crate) fn position(&self) -> u64 {
        self.at
    }

    /// The file's length when the walk began.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The next record, or `None` at the end (or, without resync, at damage).
    pub(crate) fn next(&mut self) -> io::Result<Option<Scanned>> {
        loop {
            if self.size.saturating_sub(self.at) < HEADER_BYTES {
                return Ok(None);
            }
            if let Some(scanned) = self.record()? {
                self.at += HEADER_BYTES + scanned.payload.len() as u64;
                return Ok(Some(scanned));
            }
            if !self.resync {
                return Ok(None);
            }
            self.bad += 1;
            if !self.search()? {
                return Ok(None);
            }
        }
    }

    /// The record at the cursor, if one begins there and checks.
    fn record(&mut self) -> io::Result<Option<Scanned>> {
        let Some(head) = self.bytes(self.at, HEADER_BYTES)? else { return Ok(None) };
        let head: RawHeader = head.try_into().expect("as many bytes as asked for");
        let Ok(header) = Header::decode(self.salt, &head) else { return Ok(None) };
        let Some(payload) = self.bytes(self.at + HEADER_BYTES, header.body.payload_len())? else {
            return Ok(None);
        };
        let payload = payload.to_vec();
        let offset = u32::try_from(self.at).ok().filter(|_| payload_checks(&head, &payload));
        Ok(offset.map(|offset| Scanned { header, offset, payload }))
    }

    /// Moves the cursor to the next place where the salt stands.
    fn search(&mut self) -> io::Result<bool> {
        let salt = self.salt.to_le_bytes();
        self.at += 1;
        while self.size - self.at >= HEADER_BYTES {
            let span = (self.size - self.at).min(1 << 20);
            let Some(bytes) = self.bytes(self.at, span)? else { return Ok(false) };
            if let Some(found) = bytes.windows(salt.len()).position(|window| window == salt) {
                self.at += found as u64;
                return Ok(true);
            }
            self.at += span - salt.len() as u64 + 1;
        }
        Ok(false)
    }

    /// Bytes of the file through the window; `None` past its end.
    fn bytes(&mut self, at: u64, len: u64) -> io::Result<Option<&[u8]>> {
        if at.checked_add(len).is_none_or(|end| end > self.size) {
            return Ok(None);
        }
        let len = usize::try_from(len).expect("records are at most 8 MiB");
        let inside = at >= self.window_at && at - self.window_at + len as u64 <= self.window.len() as u64;
        if !inside {
            let rest = usize::try_from(self.size - at).unwrap_or(usize::MAX);
            let window = WINDOW_BYTES.min(rest).max(len);
            if self.window.capacity() < window {
                self.window = vec![0; window];
            }
            self.window.resize(window, 0);
            self.window_at = at;
            let read = self.file.read_at(at, &mut self.window)?;
            self.window.truncate(read);
        }
        let start = usize::try_from(at - self.window_at).expect("inside the window");
        Ok(self.window.get(start..start + len))
    }
}

/// Whether the file begins as this pack should.
pub(crate) fn header_checks(file: &dyn DiskFile, pack: PackId, salt: u64) -> io::Result<bool> {
    let mut bytes: super::RawPackHeader = [0; 32];
    Ok(file.read_at(0, &mut bytes)? == bytes.len() && bytes == pack.header(salt))
}
