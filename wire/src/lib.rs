//! What crosses a socket: routes, ranges, messages, the accept loop, the vetted client, catalog sync, verified fetch.
//!
//! PROTOCOL.md, beside this crate, is the contract; each module names its section. This is the only crate that names
//! an HTTP library; what the daemons need of one they get from here.

// HTTP itself: answering and asking.
pub mod admin;
pub mod client;
pub mod conditional;
pub mod file_response;
pub mod http_date;
pub mod limits;
pub mod listing;
pub mod media_type;
pub mod metrics;
pub mod page;
pub mod range;
pub mod refusal;
pub mod request_signature;
pub mod route;
pub mod serve;

// What ODI says over it.
pub mod catalog_settings;
pub mod fetch;
pub mod layout;
pub mod message;
pub mod selftest;
pub mod sync;

// What both daemons are set up with.
pub mod chain;
pub mod check;
pub mod config;
pub mod daemon;
pub mod denylist;
pub mod finding;
pub mod identity_key;
pub mod off_worker;
pub mod private_file;
pub mod tls;

/// The HTTP vocabulary. Daemons name its types through here, so that they depend on no HTTP library.
pub use http;
