//! A page of docs/clients: the blocks that a reader pastes, each with a name, ```` ```sh publish ````, and the places in them that stand for
//! the reader's own.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the pages lie.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/clients")
}

/// One page.
pub(crate) struct Page {
    name: &'static str,
    text: String,
}

impl Page {
    pub(crate) fn read(name: &'static str) -> Self {
        let path = folder().join(format!("{name}.md"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { name, text }
    }

    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }

    /// The block of that name.
    pub(crate) fn block(&self, name: &str) -> String {
        let opening = format!("```sh {name}");
        let mut lines = self.text.lines().skip_while(|line| *line != opening);
        assert!(lines.next().is_some(), "docs/clients/{}.md has no block `{opening}`", self.name);
        lines.take_while(|line| *line != "```").flat_map(|line| [line, "\n"]).collect()
    }
}
