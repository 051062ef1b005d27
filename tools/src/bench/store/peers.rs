//! The programs that the store is measured against, without compression or encryption, as they come otherwise.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::clock::{Cost, Whose};

/// A program that takes in trees.
#[derive(Clone, Copy)]
pub(super) struct Peer {
    pub(super) name: &'static str,
    make: fn(&Path) -> Command,
    take: fn(&Path, usize, &Path) -> Command,
}

pub(super) const BORG: Peer = Peer {
    name: "borg",
    make: |folder| with("borg", &["init", "-e", "none"], &[folder.join("repo")]),
    take: |folder, number, tree| {
        let mut command = with("borg", &["create", "-C", "none"], &[]);
        command.arg(format!("{}::{number}", folder.join("repo").display())).arg(tree);
        isolated(command, folder)
    },
};

pub(super) const OSTREE: Peer = Peer {
    name: "ostree",
    make: |folder| {
        let mut command = with("ostree", &["init", "--mode=bare"], &[]);
        command.arg(format!("--repo={}", folder.join("repo").display()));
        command
    },
    take: |folder, number, tree| {
        let mut command = with("ostree", &["commit", "--no-bindings"], &[]);
        command.arg(format!("--repo={}", folder.join("repo").display()));
        command.arg(format!("--branch=t{number}")).arg(format!("--tree=dir={}", tree.display()));
        command
    },
};

fn with(program: &str, words: &[&str], paths: &[PathBuf]) -> Command {
    let mut command = Command::new(program);
    command.args(words).args(paths);
    command
}

/// borg keeps caches and keys of its own: in the bench's folder, and no questions.
fn isolated(mut command: Command, folder: &Path) -> Command {
    command.env("BORG_BASE_DIR", folder.join("base"));
    command.env("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes");
    command
}

impl Peer {
    /// What it calls itself, if it is installed.
    pub(super) fn version(&self) -> Option<String> {
        let output = Command::new(self.name).arg("--version").stderr(Stdio::null()).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).replace(['\'', '\n'], " ");
        let number =
            text.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
        Some(number.unwrap_or(&text).to_owned()).filter(|_| output.status.success())
    }

    /// Takes in the trees, each as an archive of its own. Making the repository is not counted.
    pub(super) fn take_in(&self, folder: &Path, trees: &[PathBuf]) -> Result<Cost> {
        let made = isolated((self.make)(folder), folder).stdout(Stdio::null()).stderr(Stdio::null()).status();
        ensure!(made.with_context(|| self.name)?.success(), "{} makes no repository", self.name);
        Cost::of(Whose::Children, || {
            for (number, tree) in trees.iter().enumerate() {
                let mut command = (self.take)(folder, number, tree);
                let output = command.stdout(Stdio::null()).output().with_context(|| self.name)?;
                let said = String::from_utf8_lossy(&output.stderr);
                // borg ends with 1 for warnings, such as a file that it may not read.
                ensure!(matches!(output.status.code(), Some(0 | 1)), "{} failed: {said}", self.name);
                ensure!(self.name == BORG.name || output.status.success(), "{} failed: {said}", self.name);
            }
            Ok(())
        })
    }
}
