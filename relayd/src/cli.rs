//! The command line: `odi-relayd --config FILE` runs the relay, `odi-relayd check --config FILE` says what would fail.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use odi_manifest::SystemClock;
use odi_wire::daemon::{self, EXIT_CONFIG, LogForm, StopSignals};

use crate::check::{self, Finding};
use crate::config::{Config, PrivateAddresses};
use crate::server::Server;

/// Tasks that a worker runs before it looks for new requests. A turn of a download hashes and sends a chunk, so that it looks
/// every few milliseconds however many downloads there are.
const TURNS_PER_LOOK: u32 = 16;
/// How long open downloads may go on after SIGTERM or SIGINT.
const DRAIN: Duration = Duration::from_secs(60);

/// A volunteer's relay of the Open Distribution Initiative.
#[derive(Debug, Parser)]
#[command(name = "odi-relayd", version)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The configuration file (TOML).
    #[arg(long, global = true, default_value = "/etc/odi/relayd.toml")]
    config: PathBuf,
    /// Contact loopback and private addresses, and directories over plain HTTP: for tests and demonstrations only.
    #[arg(long, global = true)]
    allow_private_addresses: bool,
    /// Log one JSON object per line.
    #[arg(long, global = true)]
    log_json: bool,
}

impl Arguments {
    /// How the log is to look.
    #[must_use]
    pub const fn log_form(&self) -> LogForm {
        if self.log_json { LogForm::Json } else { LogForm::Text }
    }
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Command {
    /// Say in words what would fail, and change nothing.
    Check,
}

/// Does what the command line says.
///
/// # Errors
/// The relay could not start, or a part of it failed while it ran.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let private_addresses =
        if arguments.allow_private_addresses { PrivateAddresses::Allowed } else { PrivateAddresses::Refused };
    let config = match Config::load(&arguments.config, private_addresses) {
        Ok(config) => config,
        Err(error) => return Ok(daemon::refuse(&arguments.config, &error)),
    };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().event_interval(TURNS_PER_LOOK).build().context("start the runtime")?;
    match arguments.command {
        Some(Command::Check) => Ok(report(&runtime.block_on(check::check(&config, &SystemClock)))),
        None => runtime.block_on(serve(config)).map(|()| ExitCode::SUCCESS),
    }
}

#[expect(clippy::print_stdout, reason = "the report is what `check` is for")]
fn report(findings: &[Finding]) -> ExitCode {
    for finding in findings {
        println!("{finding}");
    }
    if findings.iter().any(Finding::is_fatal) { ExitCode::from(EXIT_CONFIG) } else { ExitCode::SUCCESS }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut stop = StopSignals::listen().context("listen for SIGTERM and SIGINT")?;
    let mut server = Server::bind(config, Arc::new(SystemClock)).await?;
    let failure = tokio::select! {
        failure = server.failed() => Some(failure),
        () = stop.received() => None,
    };
    server.drain(DRAIN).await;
    failure.map_or(Ok(()), |failure| Err(failure.into()))
}
