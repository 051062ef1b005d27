//! The accept loop of both daemons: hyper's HTTP/1.1 and HTTP/2 behind bounds on time, memory and connections.
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
mod http2;
mod http2_activity;
mod http2_body;
mod large_answers;
mod listen;
mod message;
mod open_files;
mod pacer;
mod parking;
mod server;
mod stall;
mod throttle;
mod tls_handshake;

pub use body::{Body, BodyError};
pub use forwarded::TrustedProxies;
pub use large_answers::LargeAnswers;
pub use listen::{Listen, Protocol, Socket, SocketStream};
pub use message::{Request, Response, Scheme};
pub use server::{Drained, Load, Running, ServeError, Server, Service};
pub use throttle::{Spent, Throttle};

pub(crate) use stall::StallMeter;

pub use crate::limits::Limits;
