//! Budgets: what a relay sends in a month, and what it says and does as that runs out.

use std::time::Duration;

use odi_fixtures::ManualClock;
use odi_manifest::{Clock, Timestamp};
use odi_relayd::metering::Meter;
use odi_wire::serve::Throttle;

use crate::lab::{Lab, Relay, noise};

const MB: u64 = 1_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_month_is_announced_refused_and_remembered_over_a_crash() {
    let large = noise(50, 8_000_000);
    let lab = Lab::start(&[("large", &large), ("small", b"small\n")]).await;
    let relay = Relay::with(&[&lab.directory], "transfer = \"30 MB/month\"\n").await;
    relay.until_full(1).await;
    let url = format!("{}/{}/large", relay.url, lab.publisher.pin());
    for _ in 0..3 {
        assert!(lab.get(&url).await.is(&large));
    }
    let status = relay.status().await;
    assert!(status.budget.transfer_used >= 24 * MB && status.budget.transfer_used < 25 * MB, "{status:#?}");
    assert!(status.budget.capacity.unwrap() > 0);

    // A killed process may count too much, and never too little.
    let relay = relay.crash().await;
    relay.until_full(1).await;
    let url = format!("{}/{}/large", relay.url, lab.publisher.pin());
    let used = relay.status().await.budget.transfer_used;
    assert!((24 * MB..=26 * MB).contains(&used), "{used}");
    let cut = lab.get(&url).await;
    assert!(cut.body.is_none(), "a body that would go over the budget breaks off, {}", cut.status);
    let spent = relay.until("spent", |status| status.budget.capacity == Some(0)).await;
    assert!(spent.budget.transfer_used <= 30 * MB + MB / 10, "{spent:#?}");
    let refused = lab.get(&format!("{}/sample/small", relay.url)).await;
    assert_eq!(refused.status, 503);
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=86_400).contains(&wait), "{wait}");
    // The directory hears of it, and the relay still answers what is asked about it.
    let key = relay.key();
    lab.directory
        .until(|| lab.directory.inventory(&key).filter(|inventory| inventory.rate() == Some(0)))
        .await;
    assert_eq!(lab.get(&format!("{}/.well-known/odi", relay.url)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_limit_what_is_sent_is_counted_all_the_same() {
    let large = noise(51, 3_000_000);
    let lab = Lab::start(&[("large", &large)]).await;
    let relay = lab.relay().await;
    relay.until_full(1).await;
    assert!(lab.get(&format!("{}/sample/large", relay.url)).await.is(&large));
    let before = relay.status().await.budget;
    assert!(before.transfer_used >= 3 * MB && before.transfer_bytes.is_none() && before.capacity.is_none());
    let after = relay.restart().await.status().await.budget;
    assert!(after.transfer_used >= before.transfer_used, "{after:?} after {before:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bandwidth_is_what_directories_are_told() {
    let lab = Lab::start(&[("a", b"a")]).await;
    let lines = "bandwidth = \"80 Mbit/s\"\n";
    let relay = Relay::with(&[&lab.directory], lines).await;
    let inventory = lab.directory.until_announced_full(&relay.key(), &lab.publisher).await;
    assert_eq!(inventory.rate(), Some(10 * MB));
    assert_eq!(relay.status().await.budget.rate_bytes, Some(10 * MB));
    assert_eq!(lab.directory.registration(&relay.key()).unwrap().rate, 10 * MB);
}

#[test]
fn the_count_on_disk_is_ahead_of_what_may_be_sent_and_a_month_begins_at_zero() {
    let folder = tempfile::tempdir().unwrap();
    let on_disk = || {
        let text = std::fs::read_to_string(folder.path().join("transfer.json")).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["sent"].as_u64().unwrap()
    };
    // 2026-11-30T23:59:00Z
    let clock = ManualClock::at(Timestamp(1_796_083_140));
    let budget = Some(100_000 * MB);
    let throttle = Throttle::default();
    let meter = Meter::open(folder.path(), budget, &throttle, clock.now()).unwrap();
    meter.settle(&throttle, budget, clock.now()).unwrap();
    let ceiling = on_disk();
    assert!(ceiling > 0 && meter.used(&throttle) == 0);
    drop(meter);

    let throttle = Throttle::default();
    let meter = Meter::open(folder.path(), budget, &throttle, clock.now()).unwrap();
    assert_eq!(meter.used(&throttle), ceiling, "what the ceiling allowed may have been sent");
    assert!(meter.admit(clock.now()).is_ok());
    meter.settle(&throttle, Some(ceiling), clock.now()).unwrap();
    assert_eq!((meter.standing().left, on_disk()), (0, ceiling));
    assert!(meter.admit(clock.now()).is_err());

    clock.advance(Duration::from_secs(120));
    meter.settle(&throttle, Some(ceiling), clock.now()).unwrap();
    assert_eq!((meter.month().to_string(), meter.used(&throttle)), ("2026-12".to_owned(), 0));
    assert!(meter.admit(clock.now()).is_ok());
    meter.close(&throttle).unwrap();
    assert_eq!(on_disk(), 0);

    // A clock that is set back does not open a spent month again.
    clock.set(Timestamp(1_796_083_140));
    meter.settle(&throttle, Some(ceiling), clock.now()).unwrap();
    assert_eq!(meter.month().to_string(), "2026-12");
    std::fs::write(folder.path().join("transfer.json"), "{").unwrap();
    assert!(
        Meter::open(folder.path(), budget, &throttle, clock.now())
            .unwrap_err()
            .to_string()
            .contains("remove it")
    );
}

#[test]
fn under_a_budget_nothing_is_sent_before_a_ceiling_is_durable() {
    let folder = tempfile::tempdir().unwrap();
    let now = Timestamp(1_796_083_140);
    let throttle = Throttle::default();
    let meter = Meter::open(&folder.path().join("gone"), Some(100_000 * MB), &throttle, now).unwrap();
    assert!(meter.settle(&throttle, Some(100_000 * MB), now).is_err(), "there is no folder to write to");
    assert_eq!(throttle.left(), 0);
    std::fs::create_dir(folder.path().join("gone")).unwrap();
    meter.settle(&throttle, Some(100_000 * MB), now).unwrap();
    assert!((1..u64::MAX).contains(&throttle.left()));

    let unmetered = Throttle::default();
    let meter = Meter::open(&folder.path().join("nowhere"), None, &unmetered, now).unwrap();
    assert!(meter.settle(&unmetered, None, now).is_err());
    assert_eq!(unmetered.left(), u64::MAX, "without a budget a full disk stops nobody");
}
