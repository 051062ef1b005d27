//! One look at a tree: what it looks like, in 32 bytes, and whether something in it is certainly unfinished.

use std::path::Path;

use odi_manifest::ArtifactPath;

use super::super::scan::{Found, walk};

/// What a tree looks like, hashed. Of one that cannot be listed, what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Print(blake3::Hash);

impl Print {
    /// Of these bytes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes))
    }
}

/// What a look found.
#[derive(Debug)]
pub(super) struct Look {
    /// Every path with size, times and inode: equal for two looks exactly if nothing that can be seen without reading has changed.
    pub(super) print: Print,
    /// The same without change times, which our own second names under `.odi/blobs/` move.
    pub(super) content: Print,
    /// A file that its writer will rename when it is whole.
    pub(super) unfinished: Option<ArtifactPath>,
}

impl Look {
    /// Walks the tree.
    pub(super) fn take(tree: &Path, workers: usize) -> Self {
        match walk(tree, workers) {
            Ok(files) => Self::of(&files),
            // While a job works, names come and go under the walk; if it stays so, publishing says what is wrong.
            Err(problems) => {
                let print = Print::of(problems.to_string().as_bytes());
                Self { print, content: print, unfinished: None }
            }
        }
    }

    fn of(files: &[Found]) -> Self {
        let (mut content, mut changes) = (blake3::Hasher::new(), blake3::Hasher::new());
        for Found { path, stamp } in files {
            content.update(path.as_str().as_bytes()).update(&[0]).update(&stamp.size.to_le_bytes());
            content.update(&stamp.inode.to_le_bytes()).update(&stamp.mtime_ns.to_le_bytes());
            changes.update(&stamp.ctime_ns.to_le_bytes());
        }
        let content = content.finalize();
        changes.update(content.as_bytes());
        let unfinished = files.iter().map(|file| &file.path).find(|path| is_unfinished(path));
        let unfinished = unfinished.cloned();
        Self { print: Print(changes.finalize()), content: Print(content), unfinished }
    }
}

/// Whether rsync is still at work on a file: `.NAME.XXXXXX`, or one in `.~tmp~/` (`--delay-updates`) or
/// `.rsync-partial/` (`--partial-dir`).
fn is_unfinished(path: &ArtifactPath) -> bool {
    path.segments().any(|segment| matches!(segment, ".~tmp~" | ".rsync-partial"))
        || path.segments().last().is_some_and(is_rsync_temporary)
}

/// The suffix is six random letters and digits. Six small letters are more likely a word, as in `.config.backup`.
fn is_rsync_temporary(name: &str) -> bool {
    let Some((name, random)) = name.strip_prefix('.').and_then(|rest| rest.rsplit_once('.')) else {
        return false;
    };
    !name.is_empty()
        && random.len() == 6
        && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && !random.bytes().all(|byte| byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rsync_has_not_renamed_is_told_from_hidden_files() {
        for (path, unfinished) in [
            ("pool/.app.tar.gz.9cKq2x", true),
            (".app.AbCdEf", true),
            ("a/.~tmp~/app", true),
            (".rsync-partial/app", true),
            ("pool/app.tar.9cKq2x", false),
            (".config.backup", false),
            (".htaccess", false),
            ("..9cKq2x", false),
            (".app.9cKq2xy", false),
            ("pool/app", false),
        ] {
            assert_eq!(is_unfinished(&ArtifactPath::parse(path).unwrap()), unfinished, "{path}");
        }
    }
}
