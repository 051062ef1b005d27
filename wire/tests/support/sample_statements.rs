//! One statement of each kind, with every field in use. The relay's key is 1, the directory's 2.

use odi_manifest::{BlobId, CatalogId, HeadId, SigningKey, Timestamp};
use odi_wire::message::{
    Assign, AssignedCatalog, Audit, CatalogInventory, CatalogPattern, DeniedRelay, Deny, IdRanges, Inventory,
    Leave, PreSharedKey, PublicUrl, RelayPlace, RelayReg, Sent,
};

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn url(text: &str) -> PublicUrl {
    PublicUrl::parse(text).unwrap()
}

pub(crate) fn ids(count: u64) -> Vec<BlobId> {
    let mut ids: Vec<_> = (0..count).map(|n| BlobId::of(&n.to_le_bytes())).collect();
    ids.sort_unstable();
    ids
}

pub(crate) fn registration() -> RelayReg {
    RelayReg {
        v: 1,
        relay: key(1).public_key(),
        dir: key(2).public_key(),
        urls: vec![url("https://relay.example.net"), url("http://[2001:db8::7]:8080")],
        psk: PreSharedKey::from_bytes([7; 32]),
        generation: 3,
        ct: Timestamp(1_790_000_000),
        nonce: [9; 16],
        catalogs: vec![CatalogPattern::parse("jenkins-*").unwrap()],
        tags: vec!["ecosystem:python".to_owned()],
        disk: 1 << 40,
        rate: 0,
        place: Some(RelayPlace {
            asn: Some(680),
            at: Some((5252, 1340)),
            country: Some("DE".parse().unwrap()),
            operator: Some("Example University".to_owned()),
            prefixes: vec!["192.0.2.0/24".parse().unwrap()],
        }),
    }
}

pub(crate) fn inventory(blobs: u64) -> Inventory {
    let catalog = CatalogInventory {
        cat: CatalogId::of(b"root"),
        served: vec![HeadId::of(b"2"), HeadId::of(b"1")],
        full: Some(HeadId::of(b"2")),
        fills: IdRanges::from_prefixes([0, 1, 2, 40_000]),
        ranges: IdRanges::from_prefixes([0, 1, 2, 40_000]),
        plus: ids(blobs),
        minus: ids(1),
        sent: Some(Sent { since: Timestamp(1_780_000_000), bodies: 12, bytes: 34_567 }),
    };
    Inventory {
        v: 1,
        relay: key(1).public_key(),
        generation: 8,
        t: Timestamp(1_790_000_000),
        exp: Timestamp(1_790_000_060),
        bans: vec![key(2).public_key()],
        urls: vec![url("https://relay.example.net")],
        caps: vec!["fill".to_owned(), "rate:5".to_owned()],
        catalogs: vec![catalog],
    }
}

pub(crate) fn assignment() -> Assign {
    let catalog = AssignedCatalog {
        cat: CatalogId::of(b"root"),
        name: "debian".to_owned(),
        ranges: IdRanges::all(),
        plus: ids(3),
    };
    Assign {
        v: 1,
        dir: key(2).public_key(),
        relay: key(1).public_key(),
        generation: 1,
        exp: Timestamp(1_790_000_060),
        catalogs: vec![catalog],
    }
}

pub(crate) fn leave() -> Leave {
    Leave { v: 1, relay: key(1).public_key(), generation: 9, t: Timestamp(1) }
}

pub(crate) fn denials() -> Deny {
    let mut relays = [5, 6].map(|seed| DeniedRelay {
        relay: key(seed).public_key(),
        at: Timestamp(1_790_000_000),
        removed: seed == 6,
        why: (seed == 5).then(|| "wrong bytes".to_owned()),
    });
    relays.sort_by_key(|denied| denied.relay);
    let (dir, t) = (key(2).public_key(), Timestamp(1_790_000_000));
    Deny { v: 1, dir, generation: 4, t, relays: relays.into() }
}

pub(crate) fn audit() -> Audit {
    let mut seen = [5, 6].map(|seed| key(seed).public_key());
    seen.sort_unstable();
    Audit {
        v: 1,
        by: key(2).public_key(),
        relay: key(1).public_key(),
        t: Timestamp(1_790_000_000),
        url: "https://relay.example.net/@1-x/a%20b".to_owned(),
        cat: CatalogId::of(b"root"),
        head: HeadId::of(b"2"),
        blob: BlobId::of(b"right"),
        off: 3,
        len: 5,
        got: BlobId::of(b"wrong"),
        own: true,
        seen: seen.into(),
    }
}
