//! `odi`: the whole network on one machine, and a verifying client of anybody's network.
//!
//! Each command is a module; [`run`] turns its end into an exit code that scripts can rely on (`odi --help`).

pub mod cli;
mod download;
mod exit;
mod failure;
mod get;
mod lookup;
mod status;
mod verify;

use std::process::ExitCode;

use crate::bench;
use crate::demo::{self, DemoOptions};
use cli::{Bench, Cli, Command};
use exit::{Exit, report};
use failure::Failure;

/// Runs one command to its end.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return report(&anyhow::Error::new(error).context("start the runtime"), Exit::Failed),
    };
    match cli.command {
        Command::Bench { what: Bench::Manifest(args) } => {
            finish(bench::manifest::run(&args).map_err(|error| (error, Exit::Failed)))
        }
        Command::Bench { what: Bench::Publish(args) } => {
            finish(bench::publish::run(&args).map_err(|error| (error, Exit::Failed)))
        }
        Command::Demo(args) => {
            let options = DemoOptions { tree: args.tree, once: args.once };
            finish(runtime.block_on(demo::run(&options)).map_err(|error| (error, Exit::Failed)))
        }
        Command::Get(args) => finish(runtime.block_on(get::run(&args)).map_err(told)),
        Command::Verify(args) => finish(runtime.block_on(verify::run(&args)).map_err(told)),
        Command::Status(args) => finish(runtime.block_on(status::run(&args))),
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
