//! Bringing a catalog back after a start: roots prove themselves, the mark says which head counts, the rest follows.
//!
//! A crash leaves files above the mark, or off its line; they are removed here. A damaged head file costs that head,
//! not the mark; a damaged mark is rebuilt from the newest head that verifies, which is never below what was committed,
//! because a head is durable before the mark that names it.

use std::collections::BTreeMap;
use std::sync::Arc;

use odi_manifest::{
    CatalogId, Cosig, Equivocation, Head, HeadId, Mark, RevocationList, SelfRevocation, TrustRoot,
    Unverified, Verified, verify_named,
};

use super::files::{Files, head_name, list_name, parse_head_name, root_name};
use super::{CatalogTrust, LedgerError, mark_file, records};

pub(super) fn recover(files: &Files, catalog: CatalogId) -> Result<CatalogTrust, LedgerError> {
    let names = files.names(&catalog)?;
    let mut trust = read_roots(files, catalog)?;
    for name in names.iter().filter(|name| name.starts_with("retired-")) {
        if let Some(words) = files.read(&catalog, name)? {
            let words = Unverified::<SelfRevocation>::decode(&words);
            words.ok().map(|words| trust.retire(&words));
        }
    }
    let kept: Vec<(u64, HeadId)> = names.iter().filter_map(|name| parse_head_name(name)).collect();
    let mark = match files.read_mark(&catalog)?.as_deref().and_then(mark_file::decode) {
        Some(mark) => mark,
        None => rebuild_mark(files, &trust, &kept)?,
    };
    let mut state = records::fresh(trust);
    state.mark = mark;
    if let Some(mark) = mark {
        state.newest = read_head(files, &catalog, mark.seq, &mark.head)?;
        match read_list(files, &catalog, state.newest.as_ref())? {
            Some(list) => state.revocations = Arc::new(list),
            // Without its list the head would serve what it revokes.
            None => state.newest = None,
        }
        state.line = Arc::new(find_line(files, &state.trust, &mark, &kept)?);
        records::cut_line(&mut state);
    }
    read_words(files, &names, &mut state)?;
    records::sweep(files, &state);
    Ok(state)
}

/// The roots prove one another from the catalog's id on, so a root that lies there is good whatever the crash.
fn read_roots(files: &Files, catalog: CatalogId) -> Result<TrustRoot, LedgerError> {
    let mut trust: Option<TrustRoot> = None;
    for version in 1.. {
        let name = root_name(version);
        let Some(bytes) = files.read(&catalog, &name)? else { break };
        let damaged = |what: String| LedgerError::Damaged { path: files.path(&catalog, &name), what };
        let root = Unverified::decode(&bytes).map_err(|error| damaged(error.to_string()))?;
        match &mut trust {
            None => {
                trust = Some(TrustRoot::begin(catalog, &root).map_err(|error| damaged(error.to_string()))?)
            }
            Some(trust) => trust.rotate(&root).map_err(|error| damaged(error.to_string()))?,
        }
    }
    trust.ok_or_else(|| LedgerError::Damaged {
        path: files.path(&catalog, &root_name(1)),
        what: "the first root is missing".to_owned(),
    })
}

fn rebuild_mark(
    files: &Files,
    trust: &TrustRoot,
    kept: &[(u64, HeadId)],
) -> Result<Option<Mark>, LedgerError> {
    let mut newest: Option<Mark> = None;
    for (seq, id) in kept {
        let Some(head) = read_head(files, trust.catalog(), *seq, id)? else { continue };
        let mark = Mark::of(trust, &head);
        if newest.is_none_or(|known| known.place() < mark.place()) {
            newest = Some(mark);
        }
    }
    Ok(newest)
}

/// A kept head; `None` if its file is missing or damaged. Its name is its proof: only heads that were verified, or
/// named by such, are ever written.
pub(super) fn read_head(
    files: &Files,
    catalog: &CatalogId,
    seq: u64,
    id: &HeadId,
) -> Result<Option<Verified<Head>>, LedgerError> {
    let Some(bytes) = files.read(catalog, &head_name(seq, id))? else { return Ok(None) };
    Ok(Unverified::decode(&bytes).ok().and_then(|head| verify_named(&head, id).ok()))
}

/// The list that a head names, none being an empty one; `None` if its file is missing or damaged.
fn read_list(
    files: &Files,
    catalog: &CatalogId,
    head: Option<&Verified<Head>>,
) -> Result<Option<RevocationList>, LedgerError> {
    let Some(id) = head.and_then(|head| head.revocations) else { return Ok(Some(RevocationList::default())) };
    let bytes = files.read(catalog, &list_name(&id))?;
    Ok(bytes.and_then(|bytes| RevocationList::decode_named(&bytes, &id).ok()))
}

/// The kept heads at and below the mark. Two of one number are left only where the line was changed and a crash kept
/// the sweep from running: then the links from the mark down say which one is of the line.
fn find_line(
    files: &Files,
    trust: &TrustRoot,
    mark: &Mark,
    kept: &[(u64, HeadId)],
) -> Result<BTreeMap<u64, HeadId>, LedgerError> {
    let mut line = BTreeMap::new();
    let mut lowest_double = u64::MAX;
    for (seq, id) in kept.iter().filter(|(seq, _)| *seq <= mark.seq) {
        if line.insert(*seq, *id).is_some() {
            lowest_double = lowest_double.min(*seq);
        }
    }
    if lowest_double < u64::MAX {
        line.split_off(&lowest_double);
        let mut at = Some((mark.seq, mark.head));
        while let Some((seq, id)) = at.filter(|(seq, _)| *seq >= lowest_double) {
            let Some(head) = read_head(files, trust.catalog(), seq, &id)? else { break };
            line.insert(seq, id);
            at = head.prev.map(|prev| (trust.ancestor(seq.saturating_sub(1)), prev));
        }
    }
    line.insert(mark.seq, mark.head);
    Ok(line)
}

/// Cosignatures and proofs. A damaged one is as good as none: witnesses and peers say it again.
fn read_words(files: &Files, names: &[String], state: &mut CatalogTrust) -> Result<(), LedgerError> {
    let catalog = *state.trust.catalog();
    for name in names {
        let of = |prefix: &str| name.starts_with(prefix);
        if of("cosig-") {
            let bytes = files.read(&catalog, name)?.unwrap_or_default();
            let cosig = Unverified::<Cosig>::decode(&bytes).ok();
            state.cosignatures.extend(cosig.and_then(|cosig| state.trust.verify_cosig(&cosig).ok()));
        } else if of("equivocation-") {
            let bytes = files.read(&catalog, name)?.unwrap_or_default();
            let proof = Equivocation::decode(&bytes).ok();
            state.equivocations.extend(proof.filter(|proof| proof.verify(catalog).is_ok()));
        }
    }
    Ok(())
}
