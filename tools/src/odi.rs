//! `odi`: the whole network on one machine, and a verifying client of anybody's network.
//!
//! Each command is a module; [`run`] turns its end into an exit code that scripts can rely on (`odi --help`).

pub mod cli;
mod compared;
mod confirm;
mod directories;
mod download;
mod exit;
mod failure;
mod get;
mod lookup;
mod manuals;
mod status;
mod verify;

use std::process::ExitCode;

use crate::demo::{self, DemoOptions};
use crate::{bench, simulate, store_check};
use cli::{Bench, Cli, Command, Store};
use exit::{Exit, report};
use failure::Failure;

/// Runs one command to its end.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    tracing_subscriber::fmt()
        .with_ansi(odi_wire::daemon::stderr_shows_colours())
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return report(&anyhow::Error::new(error).context("start the runtime"), Exit::Failed),
    };
    match cli.command {
        Command::Bench { what } => finish(measure(&what, &runtime).map_err(|error| (error, Exit::Failed))),
        Command::Store { what: Store::Check { dir, rebuild } } => {
            finish(store_check::run(&dir, rebuild).map_err(|error| (error, Exit::Failed)))
        }
        Command::Demo(args) => {
            let options = DemoOptions { tree: args.tree, once: args.once };
            finish(runtime.block_on(demo::run(&options)).map_err(|error| (error, Exit::Failed)))
        }
        Command::Get(args) => finish(runtime.block_on(get::run(&args)).map_err(told)),
        Command::Verify(args) => finish(runtime.block_on(verify::run(&args)).map_err(told)),
        Command::Manuals { share } => finish(manuals::write(&share).map_err(|error| (error, Exit::Failed))),
        Command::Simulate(args) => finish(simulate::run(&args).map_err(|error| (error, Exit::Failed))),
        Command::Status(args) => finish(runtime.block_on(status::run(&args))),
    }
}

fn measure(what: &Bench, runtime: &tokio::runtime::Runtime) -> anyhow::Result<()> {
    match what {
        Bench::Manifest(args) => bench::manifest::run(args),
        Bench::Publish(args) => bench::publish::run(args),
        Bench::Redirect(args) => bench::redirect::run(args),
        Bench::Serve(args) => bench::serve::run(args),
        Bench::Soak(args) => runtime.block_on(bench::soak::run(args)),
        Bench::Store(args) => bench::store::run(args),
        Bench::Swarm(args) => runtime.block_on(bench::swarm::run(args)),
    }
}

fn told(failure: Failure) -> (anyhow::Error, Exit) {
    let exit = failure.exit();
    (failure.into(), exit)
}

fn finish(end: Result<(), (anyhow::Error, Exit)>) -> ExitCode {
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err((error, exit)) => report(&error, exit),
    }
}
