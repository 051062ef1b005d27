//! The power goes at every single change of the disk, in every way, through a catalog's whole life.

use odi_manifest::{Head, Unverified};
use odi_store::{Ledger, LedgerError};

use crate::catalog::Catalog;
use crate::crash_disk::{CrashDisk, Fault};
use crate::restarts::open;

/// One step of a life: a root, or a head to follow.
enum Step {
    Roots(Box<Catalog>),
    Head(Box<(Catalog, Unverified<Head>)>),
}

impl Step {
    fn take(&self, ledger: &Ledger) -> Result<(), LedgerError> {
        match self {
            Self::Roots(catalog) => catalog.put_roots(ledger),
            Self::Head(at) => at.0.follow(ledger, &at.1).map(|_| ()),
        }
    }
}

/// Heads one by one, a jump over three, a thief's line that is left again, and a new epoch.
fn life() -> (Catalog, Vec<Step>) {
    let mut catalog = Catalog::begin();
    let mut steps = vec![Step::Roots(Box::new(catalog.clone()))];
    for tree in ["a", "b"] {
        let head = catalog.publish(tree);
        steps.push(Step::Head(Box::new((catalog.clone(), head))));
    }
    let jump = ["c", "d", "e"].map(|tree| catalog.publish(tree));
    steps.push(Step::Head(Box::new((catalog.clone(), jump[2].clone()))));
    let mut thief = catalog.clone();
    let evil = thief.publish("evil");
    steps.push(Step::Head(Box::new((thief, evil.clone()))));
    let _ = catalog.publish("f");
    let voiding = catalog.publish_with("g", |head| head.void(evil.id()));
    steps.push(Step::Head(Box::new((catalog.clone(), voiding.clone()))));
    let worse = catalog.publish("worse");
    steps.push(Step::Head(Box::new((catalog.clone(), worse))));
    catalog.recover_above(&voiding, 20, 3);
    steps.push(Step::Roots(Box::new(catalog.clone())));
    let fresh = catalog.publish("h");
    steps.push(Step::Head(Box::new((catalog.clone(), fresh))));
    (catalog, steps)
}

/// What must hold of a ledger whatever happened: one line, all of it readable, linked, and at or below the mark.
fn check_line(ledger: &Ledger, catalog: &Catalog) {
    let Some(state) = ledger.load(&catalog.id()) else { return };
    for (seq, id) in state.line.iter() {
        let kept = ledger.head(&catalog.id(), *seq).unwrap().expect("a head of the line is readable");
        let head = Unverified::<Head>::decode(&kept).unwrap();
        assert_eq!(head.id(), *id);
        let below = head.claims().prev.and_then(|prev| {
            let below = state.line.get(&state.trust.ancestor(seq - 1))?;
            Some((*below, prev))
        });
        assert!(below.is_none_or(|(below, prev)| below == prev), "head {seq} names another head below it");
        assert!(state.mark.is_some_and(|mark| *seq <= mark.seq));
    }
    assert_eq!(state.mark.is_some(), state.newest.is_some());
}

#[test]
fn no_crash_loses_what_was_acknowledged_or_goes_back() {
    let (catalog, steps) = life();
    for fault in [Fault::Failed, Fault::FailedButPersisted, Fault::Torn] {
        for lucky in [false, true] {
            let crashes = (0..).take_while(|at| crash_at(&catalog, &steps, *at, fault, lucky)).count();
            assert!(crashes > 60, "{fault:?}: only {crashes} changes were struck");
        }
    }
}

/// Lives until the nth change of the disk fails, restarts, checks, and lives on. `false` if the life was shorter.
fn crash_at(catalog: &Catalog, steps: &[Step], at: u64, fault: Fault, lucky: bool) -> bool {
    let disk = CrashDisk::default();
    let ledger = open(&disk);
    disk.fail_at(at, fault);
    let mut acknowledged = 0;
    for step in steps {
        if step.take(&ledger).is_err() {
            break;
        }
        acknowledged += 1;
    }
    if !disk.has_crashed() {
        return false;
    }
    let known = ledger.load(&catalog.id());
    drop(ledger);
    disk.restart(lucky);
    let ledger = open(&disk);
    check_line(&ledger, catalog);
    let after = ledger.load(&catalog.id());
    let mark = |state: &Option<std::sync::Arc<odi_store::CatalogTrust>>| {
        state.as_ref().and_then(|state| state.mark).map(|mark| mark.place())
    };
    assert!(mark(&after) >= mark(&known), "went back: {fault:?} at {at}, after {acknowledged} steps");
    let roots = |state: &Option<std::sync::Arc<odi_store::CatalogTrust>>| {
        state.as_ref().map_or(0, |state| state.trust.roots().len())
    };
    assert!(roots(&after) >= roots(&known), "lost a root: {fault:?} at {at}");
    // From wherever it stands, the rest of the life works, and ends where it must.
    for step in steps.iter().skip(acknowledged.min(steps.len() - 1)) {
        step.take(&ledger).unwrap_or_else(|error| panic!("{fault:?} at {at}, {lucky}: {error:?}"));
    }
    for ledger in [ledger, open(&disk)] {
        check_line(&ledger, catalog);
        assert_eq!(ledger.load(&catalog.id()).unwrap().mark.unwrap().place(), (2, 20));
    }
    true
}
