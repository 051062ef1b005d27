//! What a relay remembers of itself and of directories.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use odi_manifest::{CatalogId, SigningKey, Timestamp};
use odi_relayd::acquaintance::{Acquaintance, Contradiction};
use odi_relayd::identity::{Identity, IdentityError};
use odi_wire::identity_key::IdentityKeyError;
use odi_wire::message::PublicUrl;
use zeroize::Zeroizing;

#[test]
fn an_identity_is_made_once_and_its_statements_only_rise() {
    let folder = tempfile::tempdir().unwrap();
    let first = Identity::open(folder.path(), &Zeroizing::new([1; 32])).unwrap();
    let generations: Vec<u64> = (0..3).map(|_| first.next_generation(Timestamp(1000)).unwrap()).collect();
    assert_eq!(generations, [1000, 1001, 1002]);
    let again = Identity::open(folder.path(), &Zeroizing::new([2; 32])).unwrap();
    assert_eq!(again.public_key(), first.public_key());
    // The clock went back, as after a flat battery.
    assert!(again.next_generation(Timestamp(10)).unwrap() > 1002);
    let mode = std::fs::metadata(folder.path().join("identity.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_damaged_identity_is_refused_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("identity.key");
    std::fs::write(&path, "not a seed\n").unwrap();
    let refused = Identity::open(folder.path(), &Zeroizing::new([1; 32]));
    assert!(matches!(refused, Err(IdentityError::Key(IdentityKeyError::Malformed { .. }))));
    assert_eq!(std::fs::read_to_string(path).unwrap(), "not a seed\n");
}

#[test]
fn a_directory_is_who_it_was_at_first_sight() {
    let folder = tempfile::tempdir().unwrap();
    let url = PublicUrl::parse("https://everest.example.org").unwrap();
    let [key, other] = [1, 2].map(|seed| SigningKey::from_seed(&[seed; 32]).public_key());
    let [debian, evil] = [CatalogId::of(b"debian"), CatalogId::of(b"evil")];
    let open = |pins: &BTreeMap<String, CatalogId>, fresh: u8| {
        Acquaintance::open(folder.path(), &url, None, pins, [fresh; 32]).unwrap()
    };
    let mut known = open(&BTreeMap::new(), 7);
    known.meet(key).unwrap();
    known.name("debian", debian).unwrap();
    known.save().unwrap();

    let mut known = open(&BTreeMap::new(), 8);
    assert_eq!((known.secret().present().expose(), known.key()), (&[7; 32], Some(key)));
    assert!(matches!(known.meet(other), Err(Contradiction::Key { .. })));
    assert!(matches!(known.name("debian", evil), Err(Contradiction::Name { .. })));
    assert_eq!(known.name("debian", debian), Ok(()));

    let pins = BTreeMap::from([("debian".to_owned(), evil)]);
    assert_eq!(open(&pins, 9).name("debian", evil), Ok(()), "the operator's word counts");
}
