//! `odi-sign`: everything that maintainers do.

use std::process::ExitCode;

use clap::Parser;
use odi_tools::sign::cli::Cli;

fn main() -> ExitCode {
    odi_tools::sign::run(Cli::parse())
}
