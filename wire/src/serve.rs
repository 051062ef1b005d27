//! The accept loop of both daemons: hyper's HTTP/1.1 behind bounds on time, memory and connections.
//!
//! Invariants
//! - Nothing a caller does holds a connection without progress for longer than [`Limits`] say.
//! - Every response says its exact length; a body that fails half way closes the connection, so that the caller
//!   sees a short body and never a complete one.
//! - Every task has an owner: [`Running`] joins the accept loops, and each loop joins its connections.
//! - A panic in a service is one 500 and a loud log line, not a dead connection or a dead server.

mod admission;
mod body;
mod connection;
mod forwarded;
mod listen;
mod message;
mod open_files;
mod pacer;
mod server;
mod stall;
mod throttle;

pub use body::{Body, BodyError};
pub use forwarded::TrustedProxies;
pub use listen::{Listen, TcpListen};
pub use message::{Request, Response, Scheme};
pub use server::{Drained, Load, Running, ServeError, Server, Service};
pub use throttle::{Spent, Throttle};

pub(crate) use stall::StallMeter;

pub use crate::limits::Limits;
