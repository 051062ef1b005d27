//! `odi`: demo, get, verify, status, bench.

use std::process::ExitCode;

use clap::Parser;
use odi_tools::odi::cli::Cli;

fn main() -> ExitCode {
    odi_tools::odi::run(Cli::parse())
}
