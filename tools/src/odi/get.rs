//! `odi get`: an artifact whose every byte the maintainers signed, whoever sent it.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;

use super::cli::GetArgs;
use super::download::{Output, download};
use super::failure::Failure;
use super::lookup::look_up;

/// Gets one artifact and says from whom.
pub(super) async fn run(args: &GetArgs) -> Result<(), Failure> {
    let lookup = look_up(&args.url, &args.trust).await?;
    let name = lookup.path.as_str().rsplit('/').next().unwrap_or_default();
    let output = match &args.output {
        Some(dash) if dash.as_os_str() == "-" => Output::Stdout,
        Some(file) => Output::File(file.clone()),
        None => Output::File(PathBuf::from(name)),
    };
    let got = download(&lookup, &output).await?;
    for fault in &got.faults {
        eprintln!("odi: passed over {fault}");
    }
    let (size, seq) = (lookup.entry.size, lookup.head.seq);
    let from =
        if got.servers.is_empty() { String::new() } else { format!(", from {}", got.servers.join(", ")) };
    let said = format!("{size} bytes as signed at sequence {seq}{from}");
    match output {
        Output::File(file) => writeln!(std::io::stdout(), "{}: {said}", file.display()),
        // The artifact has standard output to itself.
        Output::Stdout => writeln!(std::io::stderr(), "odi: {name}: {said}"),
    }
    .context("say so")?;
    Ok(())
}
