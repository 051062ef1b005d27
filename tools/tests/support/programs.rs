//! The daemons' programs, of this very source.
#![allow(clippy::unwrap_used, reason = "a test helper may panic on what it did not expect")]

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

/// The folder of the programs. The daemons are other packages': what lies there may be old, or nothing.
pub(crate) static PROGRAMS: LazyLock<&Path> = LazyLock::new(|| {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--package", "odi-directoryd", "--package", "odi-relayd", "--bins"]);
    assert!(build.status().unwrap().success());
    Path::new(env!("CARGO_BIN_EXE_odi")).parent().unwrap()
});
