//! A copy comes back: staged beside what is there, then moved into place, the identity last. Whoever starts then finds a mark that says
//! that newer heads may have been shown since (`hearing.rs`).

use std::fs;
use std::io;
use std::path::Path;

use odi_wire::private_file;

use super::{Backup, BackupError, failed, take, verified};

/// Says that what is here came from a copy, until the directory has heard what has happened since.
pub const RESTORED: &str = "restored";
/// Where files lie until all are here.
pub(super) const STAGED: &str = "restore.new";
/// Without it there is no directory, so that it comes last.
const IDENTITY: &str = "identity.key";

/// Makes a data folder of a copy. One that has a directory is left alone; one where this was broken off is begun anew.
///
/// # Errors
/// The copy is not whole, there is a directory already, or something cannot be written.
pub fn restore(from: &Path, data_dir: &Path) -> Result<Backup, BackupError> {
    if data_dir.join(IDENTITY).exists() {
        return Err(BackupError::Occupied(data_dir.to_owned()));
    }
    let backup = verified(from)?;
    let staged = data_dir.join(STAGED);
    remove(&staged)?;
    for file in &backup.files {
        take(&from.join(&file.path), &staged.join(&file.path))?;
    }
    let mark = data_dir.join(RESTORED);
    private_file::replace(&mark, backup.at.to_string().as_bytes()).map_err(failed("write", &mark))?;
    let mut names = Vec::new();
    for entry in fs::read_dir(&staged).map_err(failed("list", &staged))? {
        names.push(entry.map_err(failed("list", &staged))?.file_name());
    }
    names.sort_by_key(|name| name == IDENTITY);
    for name in names {
        let to = data_dir.join(&name);
        remove(&to)?;
        fs::rename(staged.join(&name), &to).map_err(failed("write", &to))?;
    }
    remove(&staged)?;
    let folder = fs::File::open(data_dir).and_then(|folder| folder.sync_all());
    folder.map_err(failed("sync", data_dir))?;
    Ok(backup)
}

fn remove(path: &Path) -> Result<(), BackupError> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}
