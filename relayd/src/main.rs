//! `odi-relayd`: see docs/relay.md.

use std::process::ExitCode;

use clap::Parser;
use odi_relayd::cli::{self, Arguments};

// docs/decisions/allocator.md
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    odi_wire::daemon::log_to_stderr(arguments.log_form());
    match cli::run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
