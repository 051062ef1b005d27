//! Whether a client is here to be tested with.

use std::process::{Command, Stdio};

use crate::skip::skip;

/// Whether a program can be run; skips aloud if not.
pub(crate) fn is_installed(tool: &str) -> bool {
    let mut asked = Command::new(tool);
    asked.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let found = asked.status().is_ok();
    if !found {
        skip(&format!("{tool} is not installed"));
    }
    found
}
