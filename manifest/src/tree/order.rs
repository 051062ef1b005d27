//! The two rules that hold across nodes: paths ascend strictly, and none is both a file and a folder.

use super::row::common_prefix;

/// How a path breaks the rules of a sequence.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OrderFault {
    Unsorted,
    /// A former path is this path's folder.
    FileAndFolder(String),
}

/// Watches paths go by, in order. A file and the paths in the folder of the same name may lie far apart, because some
/// characters sort before the slash; so the files that may yet turn out to be folders are remembered. All of them are
/// prefixes of the last path, hence lengths are enough.
#[derive(Debug, Default)]
pub(crate) struct PathOrder {
    last: String,
    open_files: Vec<usize>,
}

impl PathOrder {
    /// The last path that went by; empty before the first.
    pub(crate) fn last(&self) -> &str {
        &self.last
    }

    pub(crate) fn next(&mut self, path: &str) -> Result<(), OrderFault> {
        let (last, bytes) = (self.last.as_bytes(), path.as_bytes());
        let shared = common_prefix(last, bytes);
        if !self.last.is_empty() && last.get(shared) >= bytes.get(shared) {
            return Err(OrderFault::Unsorted);
        }
        while self.open_files.pop_if(|length| *length > shared).is_some() {}
        let conflict = self.open_files.iter().find(|length| bytes.get(**length) == Some(&b'/'));
        if let Some(folder) = conflict.and_then(|length| path.get(..*length)) {
            return Err(OrderFault::FileAndFolder(folder.to_owned()));
        }
        self.open_files.push(path.len());
        path.clone_into(&mut self.last);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(paths: &[&str]) -> Result<(), OrderFault> {
        let mut order = PathOrder::default();
        paths.iter().try_for_each(|path| order.next(path))
    }

    #[test]
    fn files_that_are_folders_are_found_from_afar() {
        assert_eq!(judge(&["a", "a-b", "a.c", "a0", "ab/c"]), Ok(()));
        let both = |file: &str| Err(OrderFault::FileAndFolder(file.into()));
        assert_eq!(judge(&["a", "a/b"]), both("a"));
        assert_eq!(judge(&["a", "a-b", "a-b-c", "a.c", "a/b"]), both("a"));
        assert_eq!(judge(&["x/a", "x/a-b", "x/a-b/c"]), both("x/a-b"));
        assert_eq!(judge(&["a", "a-b/a", "a0/a"]), Ok(()));
    }

    #[test]
    fn order_is_strict() {
        assert_eq!(judge(&["b", "a"]), Err(OrderFault::Unsorted));
        assert_eq!(judge(&["a", "a"]), Err(OrderFault::Unsorted));
        assert_eq!(judge(&["ab", "a"]), Err(OrderFault::Unsorted));
    }
}
