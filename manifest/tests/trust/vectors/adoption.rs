//! `heads/adoption.json`: what is held, what is offered, and what to do about it.

use odi_manifest::{Adoption, Ancestors, Because, Floor, Head, Timestamp, Unverified, judge, verify_named};
use serde_json::{Value, json};

use super::{head, hex, list, reason, settle, text, trust};
use crate::catalog::{Catalog, NOW, key, later, publics};

/// A question to `judge`, before it is written down.
struct Question {
    name: &'static str,
    catalog: Catalog,
    held: Option<Unverified<Head>>,
    candidate: Unverified<Head>,
    ancestors: Vec<Unverified<Head>>,
    now: Timestamp,
}

impl Question {
    fn new(
        name: &'static str,
        catalog: &Catalog,
        held: Option<&Unverified<Head>>,
        candidate: &Unverified<Head>,
    ) -> Self {
        let ancestors = Vec::new();
        let (catalog, held, candidate) = (catalog.clone(), held.cloned(), candidate.clone());
        Self { name, catalog, held, candidate, ancestors, now: NOW }
    }

    fn knowing(mut self, ancestors: &[&Unverified<Head>]) -> Self {
        self.ancestors = ancestors.iter().map(|head| (*head).clone()).collect();
        self
    }

    fn at(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    fn write(self) -> Value {
        let trust = &self.catalog.trust;
        let roots: Vec<String> = trust.roots().iter().map(|root| hex(root.encode())).collect();
        let ancestors: Vec<String> = self.ancestors.iter().map(|head| hex(head.encode())).collect();
        json!({
            "name": self.name,
            "catalog": trust.catalog().to_string(),
            "roots": roots,
            "held": self.held.map(|head| hex(head.encode())),
            "candidate": hex(self.candidate.encode()),
            "ancestors": ancestors,
            "now": self.now.0,
        })
    }
}

/// The decision on a written question: (decision, detail).
fn decide(case: &Value) -> (&'static str, String) {
    let (trust, refusal) = trust(text(&case["catalog"]), list(&case["roots"]));
    assert_eq!(refusal, None);
    let trust = trust.unwrap();
    let held = case["held"].as_str().map(|_| head(&case["held"]));
    let held = held.map(|head| verify_named(&head, &head.id()).unwrap());
    let mut ancestors = Ancestors::default();
    list(&case["ancestors"]).iter().for_each(|ancestor| ancestors.offer(head(ancestor)).unwrap());
    let now = Timestamp(case["now"].as_u64().unwrap());
    let judged = reason(trust.verify_head(&head(&case["candidate"])))
        .and_then(|candidate| reason(judge(&trust, held.as_ref(), &candidate, &ancestors, now)));
    match judged {
        Err(refused) => ("refused", refused.to_owned()),
        Ok(Adoption::Same) => ("same", String::new()),
        Ok(Adoption::NeedsAncestor { seq, head }) => ("needs-ancestor", format!("{seq} {head}")),
        Ok(Adoption::Equivocation(proof)) => {
            ("equivocation", proof.verify(*trust.catalog()).unwrap().to_string())
        }
        Ok(Adoption::Adopt(adopted)) => {
            let because = match adopted.because {
                Because::First => "first",
                Because::Descends => "descends",
                Because::NewEpoch => "new-epoch",
                Because::Voids => "voids",
            };
            ("adopt", format!("{because} {} {}", adopted.mark.epoch, adopted.mark.seq))
        }
    }
}

fn plain_questions() -> Vec<Question> {
    let mut catalog = Catalog::begin();
    let heads: Vec<_> = (1..=7).map(|number| catalog.publish(&number.to_string())).collect();
    let [first, second, third, fourth, fifth, sixth, seventh] = &heads[..] else { panic!() };
    let other_catalog = Catalog::begin_named("fedora").publish("1");
    let jump = catalog.forge(second, |head| head.seq = 1 << 62);
    let unknown_root = catalog.forge(second, |head| head.root_version = 2);
    let wrong_epoch = catalog.forge(second, |head| head.epoch = 2);
    let unsigned = Unverified::draft(second.claims().clone()).unwrap();
    let stranger = unsigned.clone().signed_by(&key(99)).unwrap();
    let ask = |name, held, candidate| Question::new(name, &catalog, held, candidate);
    vec![
        ask("nothing held", None, first),
        ask("nothing held, a later head", None, seventh),
        ask("the same head", Some(first), first),
        ask("the same head, long expired", Some(first), first).at(later(NOW, 900)),
        ask("the next head", Some(first), second),
        ask("an older head", Some(second), first),
        ask("two ahead, the head between unknown", Some(first), third),
        ask("two ahead", Some(first), third).knowing(&[second]),
        ask("six ahead, by skip", Some(first), seventh).knowing(&[sixth, fourth, third, second]),
        ask("six ahead, an ancestor lacking", Some(first), seventh).knowing(&[sixth, third, second]),
        ask("an unrelated ancestor beside", Some(fifth), seventh).knowing(&[&other_catalog, sixth]),
        ask("an expired head", Some(first), second).at(later(NOW, 30)),
        ask("an expired root", Some(first), second).at(later(NOW, 365)),
        ask("another catalog", None, &other_catalog),
        ask("an unknown root", Some(first), &unknown_root),
        ask("an epoch that its root does not have", Some(first), &wrong_epoch),
        ask("no signature", Some(first), &unsigned),
        ask("a stranger's signature", Some(first), &stranger),
        ask("a sequence jump", Some(first), &jump),
    ]
}

fn divergent_questions() -> Vec<Question> {
    let mut catalog = Catalog::begin();
    let first = catalog.publish("1");
    let mut thief = catalog.clone();
    let stolen = thief.publish("evil");
    let second = catalog.publish("2");
    let third = catalog.publish("3");
    let fourth = catalog.publish_with("4", |head| head.void(stolen.id()));
    let fifth = catalog.publish("5");
    let ask = |name, held, candidate| Question::new(name, &catalog, held, candidate);
    vec![
        ask("two heads of one number", Some(&second), &stolen),
        ask("a line that left the held head", Some(&stolen), &third),
        ask("a head that voids the held one", Some(&stolen), &fourth).knowing(&[&third]),
        ask("a later head, the voiding one between", Some(&stolen), &fifth).knowing(&[&fourth, &third]),
        ask("a voiding head, to a holder of its own line", Some(&second), &fourth).knowing(&[&third]),
        ask("a voided head, to a holder of nothing", None, &stolen),
        ask("a voided head, to a holder of the first", Some(&first), &stolen),
    ]
}

fn epoch_questions() -> Vec<Question> {
    let mut catalog = Catalog::begin();
    let good = catalog.publish("good");
    let evil = catalog.publish("evil");
    let worse = catalog.publish("worse");
    let floor = Floor { seq: 1, head: good.id(), next: 9 };
    catalog.rotate(|root| root.release_keys(1, publics(&[30])).new_epoch(floor));
    catalog.release = vec![key(30)];
    catalog.newest = Some(good.clone());
    let ninth = catalog.publish("9");
    let tenth = catalog.publish("10");
    let low = catalog.forge(&ninth, |head| head.seq = 3);
    let ask = |name, held, candidate| Question::new(name, &catalog, held, candidate);
    vec![
        ask("the floor, to a holder of a voided head", Some(&worse), &good),
        ask("the floor, to a holder of nothing", None, &good),
        ask("a head of the former epoch", Some(&good), &evil),
        ask("the first head of an epoch", Some(&good), &ninth),
        ask("the first head of an epoch, to a holder of a voided one", Some(&worse), &ninth),
        ask("a later head of an epoch", Some(&worse), &tenth).knowing(&[&ninth, &good]),
        ask("a number below the epoch's first", Some(&good), &low),
        ask("the floor, to a holder of the new epoch", Some(&ninth), &good),
    ]
}

fn revoke_questions() -> Vec<Question> {
    let mut catalog = Catalog::begin();
    catalog.rotate(|root| root.revoke_keys(1, publics(&[40])));
    let first = catalog.publish("1");
    catalog.release = vec![key(40)];
    let list = odi_manifest::RevId::from_bytes([5; 32]);
    let revoking = catalog.publish_with("1", |head| head.revocations(list));
    let mut thief = catalog.clone();
    let evil = thief.publish("evil");
    let above = thief.publish("evil");
    let longer = catalog.forge(&revoking, |head| head.expires = later(NOW, 60));
    catalog.release = vec![key(2)];
    let mut careless = catalog.clone();
    careless.publish("3");
    let dropped = careless.forge(careless.newest.clone().as_ref().unwrap(), |head| head.revocations = None);
    let ask = |name, held, candidate| Question::new(name, &catalog, held, candidate);
    vec![
        ask("a revocation by the revoke key", Some(&first), &revoking),
        ask("a revocation by the revoke key, to a holder of nothing", None, &revoking),
        ask("the same, its release-signed base known", None, &revoking).knowing(&[&first]),
        ask("a new tree by the revoke key", Some(&revoking), &evil),
        ask("a new tree below a head by the revoke key", Some(&revoking), &above).knowing(&[&evil]),
        ask("a longer life by the revoke key", Some(&first), &longer),
        ask("a head without the former list", Some(&revoking), &dropped),
    ]
}

#[test]
fn heads_are_followed_as_the_vectors_say() {
    let questions = [plain_questions(), divergent_questions(), epoch_questions(), revoke_questions()];
    let cases = questions.into_iter().flatten().map(|question| {
        let mut case = question.write();
        let (decision, detail) = decide(&case);
        case["decision"] = json!(decision);
        case["detail"] = json!(detail);
        case
    });
    let about = "What is held (envelope or null), a candidate, ancestors that were fetched, and the time. `decision` is \
                 same, adopt, needs-ancestor, equivocation or refused; `detail` is why, and the mark; the ancestor's \
                 number and id; the number signed twice; the refusal.";
    for case in settle("heads/adoption.json", about, cases.collect()) {
        let (decision, detail) = decide(&case);
        assert_eq!(
            (decision, detail.as_str()),
            (text(&case["decision"]), text(&case["detail"])),
            "{}",
            case["name"]
        );
    }
}
