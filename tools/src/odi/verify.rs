//! `odi verify`: is a file what the maintainers signed?

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::Context as _;
use odi_manifest::{BlobHasher, HashedBlob};
use odi_wire::off_worker::off_worker;

use super::cli::VerifyArgs;
use super::failure::Failure;
use super::lookup::look_up;

/// Compares a file with the signed entry.
pub(super) async fn run(args: &VerifyArgs) -> Result<(), Failure> {
    let path = args.file.clone();
    let found = off_worker(move || hash(&path)).await?;
    let lookup = look_up(&args.url, &args.trust).await?;
    let entry = &lookup.entry;
    let what = if found.size != entry.size {
        Some(format!("it has {} bytes, and the signed one {}", found.size, entry.size))
    } else if found.blob != entry.blob || found.sha256 != entry.sha256 {
        Some(format!("its SHA-256 is {}, and the signed one {}", found.sha256, entry.sha256))
    } else {
        None
    };
    if let Some(what) = what {
        let (file, path) = (args.file.display().to_string(), lookup.path.to_string());
        return Err(Failure::OtherFile { file, path, what });
    }
    let (file, path, seq) = (args.file.display(), &lookup.path, lookup.head.seq);
    writeln!(std::io::stdout(), "{file}: is `{path}` as signed at sequence {seq}, SHA-256 {}", entry.sha256)
        .context("write to standard output")?;
    Ok(())
}

fn hash(path: &Path) -> anyhow::Result<HashedBlob> {
    let mut file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let mut hasher = BlobHasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer).with_context(|| format!("read {}", path.display()))?;
        match buffer.get(..count) {
            Some(piece) if count > 0 => hasher.update(piece),
            _ => return Ok(hasher.finalize()),
        }
    }
}
