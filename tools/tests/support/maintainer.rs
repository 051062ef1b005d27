//! A maintainer with a tree, keys and the real `odi-sign`, in a folder that goes away.

#![allow(clippy::unwrap_used, reason = "a test helper may panic on what it did not expect")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// Runs `odi-sign` with `TREE`, `ROOT`, `REL` and `RELPUB` standing for this maintainer's paths.
pub(crate) struct Maintainer {
    folder: TempDir,
}

#[allow(dead_code, reason = "each test binary uses some of it")]
impl Maintainer {
    /// With keys and an empty tree that is no catalog yet.
    pub(crate) fn new() -> Self {
        let maintainer = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(maintainer.tree()).unwrap();
        maintainer.ok(&["keygen", "--out", "ROOT", "--no-passphrase"]);
        maintainer.ok(&["keygen", "--out", "REL", "--no-passphrase"]);
        maintainer
    }

    /// With these files and an initialized catalog.
    pub(crate) fn with_tree(files: &[(&str, &str)]) -> Self {
        let maintainer = Self::new();
        files.iter().for_each(|(path, text)| maintainer.write(path, text));
        maintainer.ok(&["init", "TREE", "--name", "demo", "--root-key", "ROOT", "--release-key", "RELPUB"]);
        maintainer
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn tree(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    /// Writes a file as careful tools do: under another name, then renamed.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let target = self.tree().join(path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        let temporary = self.folder.path().join("new");
        fs::write(&temporary, text).unwrap();
        fs::rename(temporary, target).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_odi-sign"));
        command.env_clear().env("XDG_CACHE_HOME", self.folder.path().join("cache"));
        for argument in arguments {
            match *argument {
                "TREE" => command.arg(self.tree()),
                "ROOT" => command.arg(self.folder.path().join("root")),
                "REL" => command.arg(self.folder.path().join("rel")),
                "RELPUB" => command.arg(self.folder.path().join("rel.pub")),
                other => command.arg(other),
            };
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(crate) fn ok(&self, arguments: &[&str]) -> Output {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// What a successful command prints.
    pub(crate) fn text(&self, arguments: &[&str]) -> String {
        String::from_utf8(self.ok(arguments).stdout).unwrap()
    }

    /// The same as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        serde_json::from_slice(&self.ok(&arguments).stdout).unwrap()
    }

    /// What a failing command says, with the folder's name taken out, and its exit code.
    pub(crate) fn failure(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        let folder = self.folder.path().display().to_string();
        (output.status.code().unwrap(), text.replace(&folder, "/HERE"))
    }
}
