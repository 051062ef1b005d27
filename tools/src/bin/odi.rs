//! `odi`: demo, get, verify, status, bench.

use std::process::ExitCode;

use clap::Parser;
use odi_tools::odi::cli::Cli;

// It runs both daemons, and measures them as they are.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    odi_tools::odi::run(Cli::parse())
}
