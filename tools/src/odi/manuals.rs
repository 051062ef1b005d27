//! Man pages and shell completions of all four programs, made from their command lines, so that they cannot say anything else.
//!
//! They lie as below `/usr/share`: `man/man1`, `man/man8`, and where bash, zsh and fish look by themselves.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

/// Writes everything below a folder.
pub(super) fn write(share: &Path) -> anyhow::Result<()> {
    for (command, section) in programs() {
        let name = command.get_name().to_owned();
        let completions = [
            (Shell::Bash, format!("bash-completion/completions/{name}")),
            (Shell::Zsh, format!("zsh/site-functions/_{name}")),
            (Shell::Fish, format!("fish/vendor_completions.d/{name}.fish")),
        ];
        for (shell, file) in completions {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command.clone(), &name, &mut script);
            put(&share.join(file), &script)?;
        }
        let mut command = command.disable_help_subcommand(true);
        command.build();
        pages(&command, section, &share.join(format!("man/man{section}")))?;
    }
    Ok(())
}

/// The programs, and the section of the manual that each belongs to.
fn programs() -> [(Command, &'static str); 4] {
    [
        (super::cli::Cli::command(), "1"),
        (crate::sign::cli::Cli::command(), "1"),
        (odi_directoryd::cli::Arguments::command(), "8"),
        (odi_relayd::cli::Arguments::command(), "8"),
    ]
}

/// A page for a command, and one for each below it.
fn pages(command: &Command, section: &str, folder: &Path) -> anyhow::Result<()> {
    let page = Man::new(command.clone()).section(section);
    let page = page.source(concat!("ODI ", env!("CARGO_PKG_VERSION"))).manual("Open Distribution Initiative");
    let mut text = Vec::new();
    page.render(&mut text).context("make a man page")?;
    put(&folder.join(page.get_filename()), &text)?;
    let mut below = command.get_subcommands().filter(|below| !below.is_hide_set());
    below.try_for_each(|below| pages(below, section, folder))
}

fn put(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = file.parent().unwrap_or(file);
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    fs::write(file, bytes).with_context(|| format!("write {}", file.display()))
}
