//! What a restart brings back, and what it refuses to go back from.

use std::path::Path;
use std::sync::Arc;

use odi_manifest::{
    Adoption, Ancestors, BlobId, Cosig, Equivocation, Mark, Reason, Revocation, RevocationList, Revoked,
    SelfRevocation, Unverified, judge,
};
use odi_store::{Ledger, LedgerError, RealDisk};

use crate::catalog::{Catalog, NOW, key};
use crate::crash_disk::CrashDisk;

pub fn open(disk: &CrashDisk) -> Ledger {
    Ledger::open(Arc::new(disk.clone()), Path::new("/data/ledger")).unwrap()
}

#[test]
fn everything_comes_back_from_a_real_folder() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Ledger::open(Arc::new(RealDisk), &folder.path().join("ledger")).unwrap();
    let ledger = open();
    let mut catalog = Catalog::begin();
    assert!(ledger.load(&catalog.id()).is_none());
    catalog.put_roots(&ledger).unwrap();
    let heads: Vec<_> = ["a", "b", "c"].map(|tree| catalog.publish(tree)).into();
    for head in &heads {
        catalog.follow(&ledger, head).unwrap();
    }
    drop(ledger);
    let ledger = open();
    assert_eq!(ledger.catalogs(), [catalog.id()]);
    let state = ledger.load(&catalog.id()).unwrap();
    assert_eq!(state.standing().unwrap().id(), heads[2].id());
    assert_eq!(state.line.len(), 3);
    assert_eq!(ledger.head(&catalog.id(), 2).unwrap(), Some(heads[1].encode()));
    ledger.forget(&catalog.id()).unwrap();
    assert!(ledger.load(&catalog.id()).is_none());
    assert!(open().catalogs().is_empty());
}

#[test]
fn an_older_head_is_refused_even_with_a_judgement_from_before() {
    let disk = CrashDisk::default();
    let ledger = open(&disk);
    let mut catalog = Catalog::begin();
    catalog.put_roots(&ledger).unwrap();
    let first = catalog.publish("a");
    let first = catalog.trust.verify_head(&first).unwrap();
    let Adoption::Adopt(stale) = judge(&catalog.trust, None, &first, &Ancestors::default(), NOW).unwrap()
    else {
        panic!()
    };
    let second = catalog.publish("b");
    catalog.follow(&ledger, &second).unwrap();
    let again = |ledger: &Ledger| ledger.adopt(&catalog.id(), &first, &stale, &Ancestors::default());
    assert!(matches!(again(&ledger), Err(LedgerError::GoesBack { .. })));
    disk.restart(false);
    assert!(matches!(again(&open(&disk)), Err(LedgerError::GoesBack { .. })));
}

#[test]
fn lists_must_be_there_and_must_grow() {
    let disk = CrashDisk::default();
    let ledger = open(&disk);
    let mut catalog = Catalog::begin();
    catalog.put_roots(&ledger).unwrap();
    let entry = |text: &[u8]| Revocation {
        what: Revoked::Blob(BlobId::of(text)),
        reason: Reason::COMPROMISED,
        since: 1,
    };
    let mut small = RevocationList::default();
    small.insert(entry(b"evil"));
    let mut other = RevocationList::default();
    other.insert(entry(b"worse"));
    let mut both = small.clone();
    both.insert(entry(b"worse"));

    let first = catalog.publish_with("a", |head| head.revocations(small.id()));
    assert!(matches!(catalog.follow(&ledger, &first), Err(LedgerError::MissingList(_))));
    for list in [&small, &other, &both] {
        ledger.put_list(&catalog.id(), &list.encode()).unwrap();
    }
    assert!(ledger.put_list(&catalog.id(), b"\x80").is_err());
    catalog.follow(&ledger, &first).unwrap();
    let lost = catalog.clone().publish_with("a", |head| head.revocations(other.id()));
    assert!(matches!(catalog.follow(&ledger, &lost), Err(LedgerError::RevocationLost { .. })));
    let grown = catalog.publish_with("a", |head| head.revocations(both.id()));
    catalog.follow(&ledger, &grown).unwrap();
    disk.restart(false);
    let state = open(&disk).load(&catalog.id()).unwrap();
    assert!(state.revocations.revokes("x", &BlobId::of(b"worse"), 9).is_some());
}

#[test]
fn leaving_a_divergent_line_replaces_it_down_to_where_it_joins() {
    let disk = CrashDisk::default();
    let ledger = open(&disk);
    let mut catalog = Catalog::begin();
    catalog.put_roots(&ledger).unwrap();
    let base = catalog.publish("a");
    let mut thief = catalog.clone();
    let stolen: Vec<_> = ["evil", "worse"].map(|tree| thief.publish(tree)).into();
    for head in [&base, &stolen[0], &stolen[1]] {
        thief.follow(&ledger, head).unwrap();
    }
    let good: Vec<_> = ["b", "c"].map(|tree| catalog.publish(tree)).into();
    let voiding = catalog.publish_with("d", |head| head.void(stolen[1].id()));
    catalog.learn(&good);
    catalog.follow(&ledger, &voiding).unwrap();
    let line = [base.id(), good[0].id(), good[1].id(), voiding.id()];
    for ledger in [ledger, open(&disk)] {
        let state = ledger.load(&catalog.id()).unwrap();
        assert_eq!(state.line.values().copied().collect::<Vec<_>>(), line);
    }
    assert_eq!(disk.file_names().iter().filter(|name| name.starts_with("head-")).count(), 4);
}

#[test]
fn a_new_epoch_voids_the_held_head_and_sweeps_what_it_cut_off() {
    let disk = CrashDisk::default();
    let ledger = open(&disk);
    let mut catalog = Catalog::begin();
    catalog.put_roots(&ledger).unwrap();
    let good = catalog.publish("a");
    catalog.follow(&ledger, &good).unwrap();
    let evil = catalog.publish("evil");
    catalog.follow(&ledger, &evil).unwrap();
    catalog.recover_above(&good, 5, 3);
    catalog.put_roots(&ledger).unwrap();
    for ledger in [ledger, open(&disk)] {
        let state = ledger.load(&catalog.id()).unwrap();
        assert!(state.standing().is_none() && state.newest.is_some());
        assert_eq!(state.line.keys().copied().collect::<Vec<_>>(), [1]);
        catalog.follow(&ledger, &good).unwrap();
    }
    let ledger = open(&disk);
    let state = ledger.load(&catalog.id()).unwrap();
    assert_eq!(state.mark.unwrap().place(), (2, 1));
    assert_eq!(state.standing().unwrap().id(), good.id());
    assert!(!disk.file_names().iter().any(|name| name.starts_with("head-2-")));
    catalog.follow(&ledger, &catalog.clone().publish("b")).unwrap();
    assert_eq!(open(&disk).load(&catalog.id()).unwrap().mark.unwrap().place(), (2, 5));
}

#[test]
fn gaps_of_the_line_are_filled_by_heads_that_it_names_alone() {
    let disk = CrashDisk::default();
    let ledger = open(&disk);
    let mut catalog = Catalog::begin();
    catalog.put_roots(&ledger).unwrap();
    let heads: Vec<_> = (0..12).map(|number| catalog.publish(&number.to_string())).collect();
    catalog.follow(&ledger, &heads[0]).unwrap();
    catalog.follow(&ledger, &heads[11]).unwrap();
    let forged = catalog.clone().publish("13");
    assert!(matches!(ledger.put_ancestor(&catalog.id(), &forged), Err(LedgerError::NotNamed { .. })));
    for seq in (1..=12).rev() {
        let head = &heads[seq - 1];
        let had = ledger.load(&catalog.id()).unwrap().line.contains_key(&(seq as u64));
        assert_eq!(ledger.put_ancestor(&catalog.id(), head).unwrap(), !had);
    }
    disk.restart(false);
    assert_eq!(open(&disk).load(&catalog.id()).unwrap().line.len(), 12);
}

#[test]
fn damaged_files_cost_themselves_and_not_the_mark() {
    let disk = CrashDisk::default();
    let ledger = open(&disk);
    let mut catalog = Catalog::begin();
    catalog.put_roots(&ledger).unwrap();
    let first = catalog.publish("a");
    let second = catalog.publish("b");
    catalog.follow(&ledger, &first).unwrap();
    catalog.follow(&ledger, &second).unwrap();
    let mark = Mark::of(&catalog.trust, &catalog.trust.verify_head(&second).unwrap());

    disk.rot(&format!("{}.mark", catalog.id()));
    assert_eq!(open(&disk).load(&catalog.id()).unwrap().mark, Some(mark));

    let ledger = open(&disk);
    disk.rot(&format!("head-2-{}", second.id()));
    drop(ledger);
    let ledger = open(&disk);
    // The rotten mark was rebuilt from the head that is rotten now, so both are gone: the former head is what is left.
    assert_eq!(ledger.load(&catalog.id()).unwrap().mark.unwrap().seq, 1);
    catalog.follow(&ledger, &second).unwrap();
    disk.rot(&format!("head-2-{}", second.id()));
    let ledger = open(&disk);
    let state = ledger.load(&catalog.id()).unwrap();
    assert_eq!((state.mark, state.newest.is_none()), (Some(mark), true));
    let held = catalog.trust.verify_head(&first).unwrap();
    let Adoption::Adopt(back) = judge(&catalog.trust, None, &held, &Ancestors::default(), NOW).unwrap()
    else {
        panic!()
    };
    let refused = ledger.adopt(&catalog.id(), &held, &back, &Ancestors::default());
    assert!(matches!(refused, Err(LedgerError::GoesBack { .. })));
    catalog.follow(&ledger, &second).unwrap();
    let state = open(&disk).load(&catalog.id()).unwrap();
    assert!(state.newest.is_some());
    assert_eq!(state.line.len(), 2, "the heads below the damaged one are still of the line");

    disk.rot("root-1");
    let damaged = Ledger::open(Arc::new(disk), Path::new("/data/ledger"));
    assert!(matches!(damaged, Err(LedgerError::Damaged { .. })));
}

#[test]
fn words_about_the_line_come_back_too() {
    let disk = CrashDisk::default();
    let ledger = open(&disk);
    let mut catalog = Catalog::begin();
    let witness = odi_manifest::Witness { key: key(9).public_key(), name: "shasta".to_owned() };
    let root =
        odi_manifest::RootBuilder::after(catalog.trust.root(), NOW, odi_manifest::Timestamp(NOW.0 + 9))
            .witnesses([witness], None)
            .build()
            .unwrap()
            .signed_by(&key(1))
            .unwrap();
    catalog.trust.rotate(&root).unwrap();
    catalog.roots.push(root);
    catalog.put_roots(&ledger).unwrap();
    let mut thief = catalog.clone();
    let (ours, theirs) = (catalog.publish("ours"), thief.publish("theirs"));
    catalog.follow(&ledger, &ours).unwrap();
    let heads = [&ours, &theirs].map(|head| catalog.trust.verify_head(head).unwrap());
    let proof = Equivocation::between(&catalog.trust, &heads[0], &heads[1]).unwrap();
    assert!(ledger.put_equivocation(&catalog.id(), &proof).unwrap());
    assert!(!ledger.put_equivocation(&catalog.id(), &proof).unwrap());

    let cosign = |at: u64| {
        let mark = Mark::of(&catalog.trust, &heads[0]);
        let cosig = Cosig::of(catalog.id(), &mark, odi_manifest::Timestamp(NOW.0 + at));
        catalog.trust.verify_cosig(&Unverified::draft(cosig).unwrap().signed_by(&key(9)).unwrap()).unwrap()
    };
    let kept = [2, 1, 3].map(|at| ledger.put_cosignature(&catalog.id(), &cosign(at), NOW).unwrap());
    assert_eq!(kept, [true, false, true]);
    let words = SelfRevocation { t: NOW, v: 1, catalog: catalog.id(), key: key(2).public_key() };
    let words = Unverified::draft(words).unwrap().signed_by(&key(2)).unwrap();
    ledger.put_self_revocation(&catalog.id(), &words).unwrap();

    disk.restart(false);
    let state = open(&disk).load(&catalog.id()).unwrap();
    assert_eq!(state.equivocations.len(), 1);
    assert_eq!(state.cosignatures, [cosign(3)]);
    assert!(state.trust.verify_head(&ours).is_err());
    assert!(state.standing().is_some());
}

#[test]
fn a_witness_is_remembered_by_its_largest_head_and_a_wrong_clock_is_corrected() {
    let disk = CrashDisk::default();
    let ledger = open(&disk);
    let mut catalog = Catalog::begin();
    let witness = odi_manifest::Witness { key: key(9).public_key(), name: "shasta".to_owned() };
    let end = odi_manifest::Timestamp(NOW.0 + 9);
    let root = odi_manifest::RootBuilder::after(catalog.trust.root(), NOW, end).witnesses([witness], None);
    let root = root.build().unwrap().signed_by(&key(1)).unwrap();
    catalog.trust.rotate(&root).unwrap();
    catalog.roots.push(root);
    catalog.put_roots(&ledger).unwrap();
    let [one, two] = ["one", "two"].map(|tree| {
        let head = catalog.publish(tree);
        Mark::of(&catalog.trust, &catalog.trust.verify_head(&head).unwrap())
    });
    let says = |mark: &Mark, at: u64| {
        let cosig = Cosig::of(catalog.id(), mark, odi_manifest::Timestamp(NOW.0 + at));
        catalog.trust.verify_cosig(&Unverified::draft(cosig).unwrap().signed_by(&key(9)).unwrap()).unwrap()
    };
    let put = |mark: &Mark, at| ledger.put_cosignature(&catalog.id(), &says(mark, at), NOW).unwrap();
    assert!(put(&one, 3));
    assert!(put(&two, 1), "a larger head, at an earlier time");
    assert!(!put(&one, 5), "a later time for a smaller head");
    assert!(put(&two, 2));
    assert!(!put(&two, 4000), "nobody keeps a word from the future");
    let wrong_clock = odi_manifest::Timestamp(NOW.0 + 4000);
    let kept = ledger.put_cosignature(&catalog.id(), &says(&two, 4000), wrong_clock).unwrap();
    assert!(kept, "but a directory whose own clock was wrong has");
    assert!(put(&two, 3), "then what it says with a right one counts");
    assert_eq!(ledger.load(&catalog.id()).unwrap().cosignatures, [says(&two, 3)]);
}
