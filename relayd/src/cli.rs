//! The command line: `odi-relayd --config FILE` runs the relay, `odi-relayd check --config FILE` says what would fail.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use odi_manifest::SystemClock;
use odi_wire::admin::drain_request;
use odi_wire::client::{Ask, Client, ClientPolicy};
use odi_wire::daemon::{self, EXIT_CONFIG, LogForm, ReloadSignal, StopSignals, Supervisor};
use odi_wire::off_worker;

use crate::check::{self, Finding};
use crate::config::{Config, ConfigError, PrivateAddresses, Size};
use crate::import::import;
use crate::server::Server;

/// Tasks that a worker runs before it looks for new requests. A turn of a download hashes and sends a chunk, so that it looks
/// every few milliseconds however many downloads there are.
const TURNS_PER_LOOK: u32 = 16;
/// How long open downloads may go on after SIGTERM or SIGINT.
const DRAIN: Duration = Duration::from_secs(60);

/// How long they may go on when the operator asks the relay to leave (`odi-relayd drain`).
const LEAVE: Duration = Duration::from_secs(3600);
/// Between two looks at a relay that leaves.
const LOOK: Duration = Duration::from_millis(200);

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

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Say in words what would fail, and change nothing.
    Check,
    /// Make the running relay leave its directories, finish open downloads and end.
    Drain,
    /// Take in what an existing mirror's folder has, while the relay is stopped.
    Import {
        /// The folder.
        folder: PathBuf,
        /// Say what came of it as JSON.
        #[arg(long)]
        json: bool,
    },
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
    let runtime =
        off_worker::runtime().event_interval(TURNS_PER_LOOK).build().context("start the runtime")?;
    match &arguments.command {
        Some(Command::Check) => Ok(report(&runtime.block_on(check::check(&config, &SystemClock)))),
        Some(Command::Import { folder, json }) => take_in(&config, folder, *json),
        Some(Command::Drain) => runtime.block_on(drain(&config)).map(|()| ExitCode::SUCCESS),
        None => {
            let again = || Config::load(&arguments.config, private_addresses);
            runtime.block_on(serve(config, again)).map(|()| ExitCode::SUCCESS)
        }
    }
}

#[expect(clippy::print_stdout, reason = "the report is what `check` is for")]
fn report(findings: &[Finding]) -> ExitCode {
    for finding in findings {
        println!("{finding}");
    }
    if findings.iter().any(Finding::is_fatal) { ExitCode::from(EXIT_CONFIG) } else { ExitCode::SUCCESS }
}

async fn serve(config: Config, again: impl Fn() -> Result<Config, ConfigError>) -> anyhow::Result<()> {
    let mut stop = StopSignals::listen().context("listen for SIGTERM and SIGINT")?;
    let mut reload = ReloadSignal::listen().context("listen for SIGHUP")?;
    let supervisor = Supervisor::of_this_process();
    let mut server = Server::bind(config, Arc::new(SystemClock)).await?;
    let leaving = server.leaving();
    supervisor.ready();
    let (asked_to_leave, failure) = loop {
        tokio::select! {
            failure = server.failed() => break (false, Some(failure)),
            () = stop.received() => break (false, None),
            () = leaving.cancelled() => break (true, None),
            () = reload.received() => {
                supervisor.reloading();
                take_again(&server, again());
                supervisor.ready();
            }
            () = supervisor.beat() => {}
        }
    };
    if !asked_to_leave {
        // Not left to the deadline, which is not even begun where nothing is open.
        supervisor.stopping();
    }
    let deadline = async {
        if asked_to_leave {
            tokio::select! {
                () = tokio::time::sleep(LEAVE) => return,
                // The machine goes down, or the operator does not wait for an hour's downloads after all. Not said before, for
                // a supervisor gives what stops less than an hour.
                () = stop.received() => supervisor.stopping(),
            }
        }
        tokio::time::sleep(DRAIN).await;
    };
    let mut draining = std::pin::pin!(server.drain_until(deadline));
    loop {
        tokio::select! {
            () = &mut draining => break,
            () = supervisor.beat() => {}
        }
    }
    failure.map_or(Ok(()), |failure| Err(failure.into()))
}

/// A faulty file changes nothing.
fn take_again(server: &Server, config: Result<Config, ConfigError>) {
    match config {
        Ok(config) => {
            for key in server.relay().reload(&config) {
                tracing::warn!(key, "has changed, and keeps its former value until a restart");
            }
            tracing::info!("the configuration was read again");
        }
        Err(ConfigError::Faulty(faults)) => {
            for fault in faults {
                tracing::error!(%fault, "the configuration is as it was");
            }
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the configuration is as it was");
        }
    }
}

#[expect(clippy::print_stdout, reason = "what came of it is what the command is for")]
fn take_in(config: &Config, folder: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let done = import(config, folder, Arc::new(SystemClock))?;
    if json {
        println!("{}", serde_json::to_string(&done)?);
    } else {
        println!(
            "{} of {} files were read; {} blobs, {} were taken in.",
            done.compared,
            done.files,
            done.blobs,
            Size(done.bytes)
        );
        println!("{} blobs are still missing; {} files could not be read.", done.missing, done.unreadable);
        if done.full {
            println!("The disk budget is full.");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks the running relay to leave, and waits until it has.
#[expect(clippy::print_stdout, reason = "whoever typed the command wants to know")]
async fn drain(config: &Config) -> anyhow::Result<()> {
    let admin =
        config.admin.context("the configuration has no `admin` listener to ask on; SIGTERM leaves too")?;
    let url: url::Url = format!("http://{admin}/").parse().context("the admin listener has no URL")?;
    let policy = ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() };
    let client = Client::new(policy)?;
    let reply = client.send(drain_request(&url)).await.context("no relay answers on the admin listener")?;
    anyhow::ensure!(reply.status.is_success(), "the relay answers {}", reply.status);
    println!("the relay leaves its directories and finishes open downloads");
    let mut health = url.clone();
    health.set_path("/healthz");
    while client.send(Ask::get(&health)).await.is_ok() {
        tokio::time::sleep(LOOK).await;
    }
    println!("it has ended");
    Ok(())
}
