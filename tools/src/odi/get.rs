//! `odi get`: an artifact whose every byte the maintainers signed, whoever sent it.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;

use super::cli::GetArgs;
use super::download::download;
use super::failure::Failure;
use super::lookup::look_up;

/// Gets one artifact and says from whom.
pub(super) async fn run(args: &GetArgs) -> Result<(), Failure> {
    let lookup = look_up(&args.url, &args.trust).await?;
    let name = lookup.path.as_str().rsplit('/').next().unwrap_or_default();
    let output = args.output.clone().unwrap_or_else(|| PathBuf::from(name));
    let got = download(&lookup, &output).await?;
    for fault in &got.faults {
        eprintln!("odi: passed over {fault}");
    }
    let (size, seq) = (lookup.entry.size, lookup.head.seq);
    let from =
        if got.servers.is_empty() { String::new() } else { format!(", from {}", got.servers.join(", ")) };
    let line = format!("{}: {size} bytes as signed at sequence {seq}{from}", output.display());
    writeln!(std::io::stdout(), "{line}").context("write to standard output")?;
    Ok(())
}
