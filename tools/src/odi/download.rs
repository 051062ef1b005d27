//! Bytes of a proven entry, from whoever has them: through the directories, relay after relay.
//!
//! Invariants
//! - Nothing under the wanted name before length, BLAKE3 and SHA-256 are right: bytes go to a temporary file beside it.
//! - Large artifacts verify chunk by chunk, so that a liar costs one chunk and the next source goes on from there.
//! - Whoever gave a wrong byte, or too few, is not asked again.

use std::collections::BTreeSet;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use odi_manifest::{BlobHasher, CHUNK_BYTES, ChunkList, chunk_len};
use odi_wire::client::Ask;
use odi_wire::http::StatusCode;
use odi_wire::layout::{LayoutPath, ORIGIN_FOLDER, api_base};
use odi_wire::route;
use tempfile::NamedTempFile;
use url::Url;

use super::directories::Directory;
use super::failure::Failure;
use super::lookup::Lookup;

/// How many sources each directory may name before it is given up.
const TRIES_PER_DIRECTORY: usize = 6;
const REDIRECTS_MAX: usize = 3;

/// What came from whom.
#[derive(Debug, Default)]
pub(super) struct Got {
    /// The servers that right bytes came from, in order.
    pub(super) servers: Vec<String>,
    /// What went wrong on the way.
    pub(super) faults: Vec<String>,
}

/// Where the artifact goes.
#[derive(Debug)]
pub(super) enum Output {
    /// A file, in place of what is there.
    File(PathBuf),
    /// Standard output, after every byte has verified.
    Stdout,
}

impl Output {
    fn temporary(&self) -> anyhow::Result<NamedTempFile> {
        let Self::File(output) = self else { return NamedTempFile::new().context("make a temporary file") };
        let folder =
            output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        NamedTempFile::new_in(folder).with_context(|| format!("write in {}", folder.display()))
    }
}

/// Gets a proven artifact.
pub(super) async fn download(lookup: &Lookup, output: &Output) -> Result<Got, Failure> {
    let file = output.temporary()?;
    let list = chunk_list(lookup, origin_bases(lookup)).await;
    let mut attempt = Attempt { lookup, list, file, verified: 0, wrong: false, got: Got::default() };
    for directory in &lookup.directories {
        for target in targets(lookup, directory) {
            if attempt.through(&directory.base, &target).await {
                return attempt.keep(output);
            }
        }
    }
    let (faults, wrong) = (attempt.got.faults, attempt.wrong);
    Err(Failure::NoBytes { path: lookup.path.to_string(), faults, wrong })
}

/// Where a directory may have it: under the very state that was proven, so that neither side's news makes right bytes look
/// wrong; and under the catalog's name, for a directory that does not serve that state yet.
fn targets(lookup: &Lookup, directory: &Directory) -> Vec<String> {
    let path = lookup.path.as_str();
    let named = directory.name.as_ref().map(|name| route::named_path(name, path));
    std::iter::once(route::pinned_path(&lookup.head.pin(), path)).chain(named).collect()
}

/// The chunk list, from anybody: it merges to the blob's name or is thrown away. Without one the whole verifies at the
/// end.
async fn chunk_list(lookup: &Lookup, bases: impl Iterator<Item = String>) -> Option<ChunkList> {
    let entry = &lookup.entry;
    if entry.size <= CHUNK_BYTES {
        return None;
    }
    for base in bases {
        let found = async {
            let url = Url::parse(&format!("{base}{}", LayoutPath::Chunks(entry.blob)))?;
            let reply = lookup.client.send(Ask::get(&url).reply_bytes_max(entry.size / 1024)).await?;
            if !reply.status.is_success() {
                bail!("it answers {}", reply.status);
            }
            Ok(ChunkList::verify(&reply.body.collect().await?, &entry.blob, entry.size)?)
        };
        match found.await {
            Ok(list) => return Some(list),
            Err(error) => tracing::debug!(%base, "no chunk list: {error:#}"),
        }
    }
    None
}

/// Where the maintainers' own lists lie.
fn origin_bases(lookup: &Lookup) -> impl Iterator<Item = String> + '_ {
    lookup.head.origins.iter().map(|origin| format!("{}/{ORIGIN_FOLDER}", origin.trim_end_matches('/')))
}

struct Attempt<'a> {
    lookup: &'a Lookup,
    list: Option<ChunkList>,
    file: NamedTempFile,
    /// Bytes at the file's beginning that have verified; whole chunks.
    verified: u64,
    wrong: bool,
    got: Got,
}

impl Attempt<'_> {
    /// Tries the sources that a directory names for a target, one after the other; says whether all of it is here.
    async fn through(&mut self, base: &Url, target: &str) -> bool {
        let mut avoid = BTreeSet::new();
        for _ in 0..TRIES_PER_DIRECTORY {
            let mut server = None;
            match self.from(base, target, &avoid, &mut server).await {
                Ok(()) => return true,
                Err(error) => {
                    let from = server.as_deref().unwrap_or(base.as_str());
                    self.got.faults.push(format!("{from}: {error:#}"));
                    // Without a server beyond the directory there is nobody to avoid, and asking again changes nothing.
                    let Some(server) = server.filter(|server| avoid.insert(server.clone())) else { break };
                    tracing::warn!(server, "trying another source");
                }
            }
        }
        false
    }

    /// Gets what is missing from one source, which the directory names.
    async fn from(
        &mut self,
        base: &Url,
        target: &str,
        avoid: &BTreeSet<String>,
        server: &mut Option<String>,
    ) -> anyhow::Result<()> {
        let mut url = base.join(target)?;
        for host in avoid {
            url.query_pairs_mut().append_pair("avoid", host);
        }
        let size = self.lookup.entry.size;
        let mut ask = Ask::get(&url).reply_bytes_max(size).following(REDIRECTS_MAX);
        if self.verified > 0 {
            ask = ask.range(self.verified..size);
        }
        let reply = self.lookup.client.send(ask).await?;
        if reply.url.authority() != base.authority() {
            *server = Some(reply.url.authority().to_owned());
        }
        let name = reply.url.authority().to_owned();
        if self.list.is_none() && self.verified == 0 {
            let relay = reply.url.join(&api_base(&self.lookup.catalog))?;
            self.list = chunk_list(self.lookup, std::iter::once(relay.into())).await;
        }
        match reply.status {
            StatusCode::PARTIAL_CONTENT if self.verified > 0 => {}
            StatusCode::OK => self.verified = 0,
            StatusCode::NOT_FOUND if reply.url.authority() == base.authority() => {
                bail!(
                    "it does not serve `{}` in state {} yet; a new state is served after a minute at most",
                    self.lookup.path,
                    self.lookup.head.pin()
                )
            }
            other => bail!("it answers {other}"),
        }
        let before = self.verified;
        let end = self.take(reply.body).await;
        if self.verified > before && self.got.servers.last() != Some(&name) {
            self.got.servers.push(name);
        }
        end
    }

    async fn take(&mut self, mut body: odi_wire::client::ReplyBody) -> anyhow::Result<()> {
        let size = self.lookup.entry.size;
        self.file.as_file_mut().seek(SeekFrom::Start(self.verified)).context("write the temporary file")?;
        let mut chunk = Vec::new();
        loop {
            let piece = body.chunk().await?;
            let ended = piece.is_none();
            chunk.extend_from_slice(&piece.unwrap_or_default());
            while let Some(taken) = self.verify_front(&chunk, ended)? {
                self.file
                    .write_all(chunk.get(..taken).unwrap_or_default())
                    .context("write the temporary file")?;
                self.verified += taken as u64;
                chunk.drain(..taken);
            }
            if ended {
                break;
            }
        }
        if self.verified != size {
            bail!("it sent {} of {size} bytes", self.verified);
        }
        self.verify_whole()
    }

    /// How many bytes at the front of what came are right; nothing if more must come first.
    fn verify_front(&mut self, bytes: &[u8], ended: bool) -> anyhow::Result<Option<usize>> {
        let Some(list) = &self.list else {
            return Ok(Some(bytes.len()).filter(|taken| *taken > 0));
        };
        let index = u32::try_from(self.verified / CHUNK_BYTES)?;
        let wanted = chunk_len(self.lookup.entry.size, index) as usize;
        if wanted == 0 || bytes.len() < wanted {
            if ended && !bytes.is_empty() {
                bail!("it broke off within chunk {index}");
            }
            return Ok(None);
        }
        if list.check(index, bytes.get(..wanted).unwrap_or_default()).is_err() {
            self.wrong = true;
            bail!("chunk {index} is wrong");
        }
        Ok(Some(wanted))
    }

    /// Reads it all back: what is kept is what was read, whatever came over the network.
    fn verify_whole(&mut self) -> anyhow::Result<()> {
        let file = self.file.as_file_mut();
        file.seek(SeekFrom::Start(0)).context("read the temporary file")?;
        let mut hasher = BlobHasher::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            let count = file.read(&mut buffer).context("read the temporary file")?;
            match buffer.get(..count) {
                Some(piece) if count > 0 => hasher.update(piece),
                _ => break,
            }
        }
        let (found, entry) = (hasher.finalize(), &self.lookup.entry);
        if found.blob != entry.blob || found.sha256 != entry.sha256 || found.size != entry.size {
            (self.wrong, self.verified) = (true, 0);
            file.set_len(0).context("empty the temporary file")?;
            return Err(anyhow!("the bytes have SHA-256 {}, and {} was signed", found.sha256, entry.sha256));
        }
        Ok(())
    }

    fn keep(self, output: &Output) -> Result<Got, Failure> {
        let Self { mut file, got, .. } = self;
        let Output::File(output) = output else {
            file.as_file_mut().seek(SeekFrom::Start(0)).context("read the temporary file")?;
            std::io::copy(file.as_file_mut(), &mut std::io::stdout().lock())
                .context("write to standard output")?;
            return Ok(got);
        };
        file.as_file().sync_all().context("write to the disk")?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // A temporary file is private; an artifact is for everybody.
            let open = std::fs::Permissions::from_mode(0o644);
            file.as_file().set_permissions(open).context("open the file to readers")?;
        }
        file.persist(output).with_context(|| format!("write {}", output.display()))?;
        Ok(got)
    }
}
