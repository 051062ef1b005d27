//! The command line: `odi-directoryd --config FILE` runs the directory, `odi-directoryd check --config FILE` says
//! what would fail and changes nothing.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use odi_manifest::SystemClock;
use odi_wire::daemon::{self, EXIT_CONFIG, LogForm, ReloadSignal, StopSignals, Supervisor};
use odi_wire::finding::Finding;
use odi_wire::off_worker;

use crate::admin::command::{self, AdminCommand};
use crate::check;
use crate::config::{Config, ConfigError, PrivateAddresses};
use crate::reload::Reloaded;
use crate::server::Server;

/// How long open requests may go on after SIGTERM or SIGINT.
const DRAIN: Duration = Duration::from_secs(30);

/// A directory of the Open Distribution Initiative.
#[derive(Debug, Parser)]
#[command(name = "odi-directoryd", version)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The configuration file (TOML).
    #[arg(long, global = true, default_value = "/etc/odi/directoryd.toml")]
    config: PathBuf,
    /// Contact loopback and private addresses, and take registrations over plain HTTP: for tests and demonstrations.
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
    /// Copy what the directory cannot get again to a folder, while it runs or not.
    Backup {
        /// The folder, which is made, or is empty.
        to: PathBuf,
    },
    /// Make the data folder of such a copy.
    Restore {
        /// The folder.
        from: PathBuf,
    },
    /// Look at a running directory's relays and catalogs, decide about relays, and add catalogs.
    Admin {
        #[command(subcommand)]
        command: AdminCommand,
        /// Print JSON.
        #[arg(long, global = true)]
        json: bool,
    },
}

/// Does what the command line says.
///
/// # Errors
/// The directory could not start, or a part of it failed while it ran.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let private_addresses = if arguments.allow_private_addresses {
        tracing::warn!("private addresses are allowed: this is no directory for the open network");
        PrivateAddresses::Allowed
    } else {
        PrivateAddresses::Refused
    };
    let config = match Config::load(&arguments.config, private_addresses) {
        Ok(config) => config,
        Err(error) => return Ok(daemon::refuse(&arguments.config, &error)),
    };
    let runtime = off_worker::runtime().build().context("start the runtime")?;
    match &arguments.command {
        Some(Command::Backup { to }) => runtime.block_on(command::back_up(&config, to)),
        Some(Command::Restore { from }) => runtime.block_on(command::restore(&config, from)),
        Some(Command::Admin { command, json }) => {
            runtime.block_on(command::run(&config, &arguments.config, command, *json))
        }
        Some(Command::Check) => Ok(report(&runtime.block_on(check::check(&config, &SystemClock)))),
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
    name_faulty_files(&config);
    let mut stop = StopSignals::listen().context("listen for SIGTERM and SIGINT")?;
    let mut reload = ReloadSignal::listen().context("listen for SIGHUP")?;
    let supervisor = Supervisor::of_this_process();
    let mut server = Server::bind(config, Arc::new(SystemClock)).await?;
    supervisor.ready();
    let asked = server.reload_due();
    let failure = loop {
        tokio::select! {
            failure = server.failed() => break Some(failure),
            () = stop.received() => break None,
            () = either(reload.received(), asked.notified()) => {
                supervisor.reloading();
                take_again(&server, again()).await;
                supervisor.ready();
            }
            () = supervisor.beat() => {}
        }
    };
    supervisor.stopping();
    server.drain(DRAIN).await?;
    failure.map_or(Ok(()), |failure| Err(failure.into()))
}

async fn either(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    tokio::select! {
        () = one => {}
        () = other => {}
    }
}

fn name_faulty_files(config: &Config) {
    for file in &config.faulty_files {
        for fault in &file.faults {
            tracing::error!(file = %file.path.display(), %fault, "a file of catalogs.d is not taken; what was taken of it before stays");
        }
    }
}

/// A faulty file changes nothing.
async fn take_again(server: &Server, config: Result<Config, ConfigError>) {
    let config = match config {
        Ok(config) => config,
        Err(ConfigError::Faulty(faults)) => {
            for fault in faults {
                tracing::error!(%fault, "the configuration is as it was");
            }
            return;
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the configuration is as it was");
            return;
        }
    };
    name_faulty_files(&config);
    let Reloaded { added, removed, changed, failed, kept } = server.reload(config).await;
    for key in kept {
        tracing::warn!(key, "has changed, and keeps its former value until a restart");
    }
    for (catalog, error) in failed {
        tracing::error!(catalog, error, "a catalog does not open");
    }
    tracing::info!(?added, ?removed, ?changed, "the configuration was read again");
}
