//! Statements of relays and directories: what reads back, what is refused, and that decoding bounds everything.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that indexes or unwraps wrongly fails"
)]

#[path = "support/sample_statements.rs"]
mod sample_statements;

use odi_manifest::{BlobId, HeadId, PublicKey, SigningKey, Timestamp};
use odi_wire::message::{
    Assign, Audit, Deny, IdRanges, Inventory, Leave, RelayReg, Statement, StatementError, open, open_from,
    state,
};
use proptest::prelude::*;
use sample_statements::{assignment, audit, denials, ids, inventory, key, leave, registration};

fn check_round_trip<T: Statement + PartialEq>(statement: &T, author: &SigningKey) {
    let bytes = state(statement.clone(), author).unwrap();
    assert_eq!(open::<T>(&bytes).unwrap().value(), statement);
    assert!(open_from::<T>(&bytes, &author.public_key()).is_ok());
    let stranger = key(77).public_key();
    assert!(matches!(open_from::<T>(&bytes, &stranger), Err(StatementError::OtherAuthor { .. })));
    let forged = state(statement.clone(), &key(77)).unwrap();
    assert!(matches!(open::<T>(&forged), Err(StatementError::Unsigned(_))));
}

#[test]
fn statements_read_back_from_their_author_alone() {
    check_round_trip(&registration(), &key(1));
    check_round_trip(&inventory(1024), &key(1));
    check_round_trip(&assignment(), &key(2));
    check_round_trip(&leave(), &key(1));
    check_round_trip(&denials(), &key(2));
    check_round_trip(&audit(), &key(2));
}

#[test]
fn statements_that_break_a_rule_are_not_even_made() {
    let refused_inventory = |change: &dyn Fn(&mut Inventory)| {
        let mut changed = inventory(3);
        change(&mut changed);
        state(changed, &key(1)).is_err()
    };
    assert!(!refused_inventory(&|_| {}));
    assert!(refused_inventory(&|inventory| inventory.v = 2));
    assert!(refused_inventory(&|inventory| inventory.exp = inventory.t));
    assert!(refused_inventory(&|inventory| inventory.exp = Timestamp(inventory.t.0 + 3601)));
    assert!(refused_inventory(&|inventory| inventory.caps.reverse()));
    assert!(refused_inventory(&|inventory| inventory.catalogs[0].plus = ids(1025)));
    assert!(refused_inventory(&|inventory| inventory.catalogs[0].minus = ids(1025)));
    assert!(refused_inventory(&|inventory| inventory.catalogs[0].plus.reverse()));
    assert!(refused_inventory(&|inventory| inventory.catalogs[0].served = vec![HeadId::of(b""); 65]));
    assert!(refused_inventory(&|inventory| {
        let twice = inventory.catalogs[0].clone();
        inventory.catalogs.push(twice);
    }));

    let nowhere = RelayReg { urls: vec![], ..registration() };
    assert!(state(nowhere, &key(1)).is_err());
    let greedy = RelayReg { tags: vec!["t".to_owned(); 65], ..registration() };
    assert!(state(greedy, &key(1)).is_err());
    let mut nameless = assignment();
    nameless.catalogs[0].name.clear();
    assert!(state(nameless, &key(2)).is_err());
}

#[test]
fn a_list_of_denied_relays_keeps_its_rules() {
    let refused = |change: &dyn Fn(&mut Deny)| {
        let mut changed = denials();
        change(&mut changed);
        state(changed, &key(2)).is_err()
    };
    assert!(!refused(&|_| {}));
    assert!(refused(&|deny| deny.relays.reverse()));
    assert!(refused(&|deny| deny.relays[1] = deny.relays[0].clone()));
    assert!(refused(&|deny| deny.relays[0].why = Some("x".repeat(501))));
    assert!(refused(&|deny| deny.relays[0].why = Some(String::new())));
}

#[test]
fn an_audit_keeps_its_rules() {
    let refused = |change: &dyn Fn(&mut Audit)| {
        let mut changed = audit();
        change(&mut changed);
        state(changed, &key(2)).is_err()
    };
    assert!(!refused(&|_| {}));
    assert!(!refused(&|audit| audit.own = false));
    assert!(!refused(&|audit| audit.seen.clear()));
    assert!(refused(&|audit| (audit.own, audit.seen) = (false, vec![])), "nobody saw it");
    assert!(refused(&|audit| audit.seen.reverse()));
    assert!(refused(&|audit| audit.url = "x".repeat(4097)));
}

#[test]
fn what_a_relay_holds_is_what_its_ranges_plus_and_minus_say() {
    let blob = |first: u8| {
        let mut id = [0; 32];
        id[0] = first;
        BlobId::from_bytes(id)
    };
    let mut holding = inventory(0).catalogs.remove(0);
    holding.ranges = IdRanges::from_prefixes(0..=0x0fff);
    holding.minus = vec![blob(2)];
    holding.plus = vec![blob(3), blob(0xf0)];
    assert!(holding.holds(&blob(1), true));
    assert!(!holding.holds(&blob(1), false), "introduced after `full`");
    assert!(!holding.holds(&blob(2), true), "in `minus`");
    assert!(holding.holds(&blob(3), false), "in `plus`");
    assert!(holding.holds(&blob(0xf0), true), "in `plus`, out of range");
    assert!(!holding.holds(&blob(0xf1), true), "out of range");
    holding.full = None;
    assert!(!holding.holds(&blob(1), true), "nothing is full yet");
}

#[test]
fn a_secret_is_not_in_any_debug_text() {
    let shown = format!("{:?}", registration());
    assert!(shown.contains("PreSharedKey(..)") && !shown.contains("7, 7, 7"));
}

fn read_all(bytes: &[u8]) -> [bool; 6] {
    [
        open::<RelayReg>(bytes).is_ok(),
        open::<Inventory>(bytes).is_ok(),
        open::<Assign>(bytes).is_ok(),
        open::<Leave>(bytes).is_ok(),
        open::<Deny>(bytes).is_ok(),
        open::<Audit>(bytes).is_ok(),
    ]
}

proptest! {
    #[test]
    fn a_changed_statement_is_never_believed(at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let mut bytes = state(inventory(3), &key(1)).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert_eq!(read_all(&bytes), [false; 6]);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(read_all(&bytes), [false; 6]);
    }
}

#[test]
fn the_public_key_is_32_bytes_in_cbor_and_a_line_in_json() {
    let key: PublicKey = key(1).public_key();
    let json = serde_json::to_string(&key).unwrap();
    assert!(json.starts_with("\"ssh-ed25519 "));
}
