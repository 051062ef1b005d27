//! `odi`: the whole network on one machine, and a verifying client of anybody's network.
//!
//! Each command is a module; [`run`] turns its end into an exit code that scripts can rely on (`odi --help`).

pub mod cli;
mod exit;
mod status;

use std::process::ExitCode;

use crate::bench;
use crate::demo::{self, DemoOptions};
use cli::{Bench, Cli, Command};
use exit::{Exit, report};

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
        Command::Demo(args) => {
            let options = DemoOptions { tree: args.tree, once: args.once };
            finish(runtime.block_on(demo::run(&options)).map_err(|error| (error, Exit::Failed)))
        }
        Command::Status(args) => finish(runtime.block_on(status::run(&args))),
    }
}

fn finish(end: Result<(), (anyhow::Error, Exit)>) -> ExitCode {
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err((error, exit)) => report(&error, exit),
    }
}
