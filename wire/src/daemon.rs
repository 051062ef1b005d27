//! What both daemons do alike between their command line and the operating system: logs, exit codes, signals.

mod supervisor;

use std::error::Error;
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::config::ConfigError;

pub use supervisor::Supervisor;

/// Exit code for a configuration that cannot be run (EX_CONFIG of sysexits.h).
pub const EXIT_CONFIG: u8 = 78;

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogForm {
    /// For people.
    Text,
    /// One JSON object per line, for collectors.
    Json,
}

/// Writes logs to standard error, as much as `RUST_LOG` says. Called once, first.
pub fn log_to_stderr(form: LogForm) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(stderr_shows_colours())
        .with_writer(io::stderr);
    match form {
        LogForm::Text => lines.init(),
        LogForm::Json => lines.json().init(),
    }
}

/// Whether standard error is a terminal whose user has not asked for plain text (`NO_COLOR`). In a journal or a file the
/// escapes of colours are noise.
#[must_use]
pub fn stderr_shows_colours() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Logs everything that is wrong with a configuration, a line each.
#[must_use]
pub fn refuse(file: &Path, error: &ConfigError) -> ExitCode {
    match error {
        ConfigError::Faulty(faults) => {
            for fault in faults {
                tracing::error!("{}: {fault}", file.display());
            }
        }
        ConfigError::Unreadable { .. } => tracing::error!(error = error as &dyn Error, "no configuration"),
    }
    ExitCode::from(EXIT_CONFIG)
}

/// The operator's wish that the configuration is read again: SIGHUP.
#[derive(Debug)]
pub struct ReloadSignal(Signal);

impl ReloadSignal {
    /// Hears it from now on, instead of dying of it. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The operating system's.
    pub fn listen() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next one.
    pub async fn received(&mut self) {
        self.0.recv().await;
    }
}

/// The operator's and the system's wish that the process ends: SIGTERM and SIGINT.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Hears them from now on, instead of dying of them. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The operating system's.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next one.
    pub async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
