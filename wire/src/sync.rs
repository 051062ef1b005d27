//! The one client that follows a catalog, at an origin or at a directory alike (PROTOCOL.md § Sync).

mod source;

pub use source::SyncSource;
