//! What a directory tells relays of its own accord: that there is news, signed with the secret that they share.

use odi_manifest::Clock as _;
use odi_wire::http::Method;
use odi_wire::message::Notify;
use odi_wire::request_signature::{Received, Verifier};

use crate::fake_relay::FakeRelay;
use crate::joined::joined;
use crate::publisher::large;
use crate::world::START;

#[tokio::test]
async fn a_new_head_is_told_to_the_relays_that_follow_its_catalog() {
    let (mut publisher, _origin, world, relay) = joined().await;
    // That it joined may have changed what is assigned to it, of which it is told too.
    let of_heads = |relay: &FakeRelay| {
        let notices = relay.notices();
        let told = notices.into_iter().map(|(headers, body)| {
            let notice = Notify::decode(&body).unwrap().unwrap();
            (headers, body, notice)
        });
        told.filter(|(_, _, notice)| !notice.catalogs.is_empty()).collect::<Vec<_>>()
    };
    let before = of_heads(&relay).len();

    publisher.publish(&[("big", &large(2))]);
    world.pull(&publisher.id, 2).await;
    world.until(async || of_heads(&relay).len() > before).await;

    let (headers, body, notice) = of_heads(&relay).pop().unwrap();
    assert_eq!((notice.dir, notice.catalogs), (world.id(), vec![publisher.id]));
    let received =
        Received { method: &Method::POST, target: "/odi/v1/notify", headers: &headers, body: &body };
    let verdict = |key| {
        let mut verifier = Verifier::new(&[relay.url.to_url()], START);
        verifier.verify(received, world.clock.now(), |_| Some(key)).is_ok()
    };
    let me = relay.key.public_key();
    assert!(verdict(relay.psk.request_key(&world.id(), &me)));
    assert!(!verdict(relay.psk.answer_key(&world.id(), &me)), "nobody else can have signed it");
}
