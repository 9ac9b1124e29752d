//! The permissions of a hub, with real servers that enforce them.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::{CheckWishes, InitWishes, check, hub_permissions, init};
use crate::engine::jetstream::{
    nats::{LiveItem, Nats, NatsConfig, NatsCredentials, NatsError, Outgoing, Range, WriteError},
    nats_cluster::NatsCluster,
};

const WAIT: Duration = Duration::from_secs(10);

fn login(cluster: &NatsCluster, user: &str) -> NatsConfig {
    NatsConfig {
        servers: cluster.urls(),
        credentials: NatsCredentials::UserPassword { user: user.into(), password: "a password of it".into() },
        roots: None,
        client_name: user.into(),
        stream: "S".into(),
        prefix: "p".into(),
    }
}

fn message(subject: &str, data: &'static str) -> Outgoing {
    Outgoing { subject: subject.into(), headers: Vec::new(), payload: Bytes::from_static(data.as_bytes()) }
}

fn denied<T>(answer: &Result<T, NatsError>) -> bool {
    matches!(answer, Err(NatsError::Denied(_)))
}

#[tokio::test]
async fn a_hub_works_with_the_printed_permissions_and_may_do_nothing_else() {
    let user = |name: &str, more: &str| format!("{{ user: {name}, password: \"a password of it\" {more} }}\n");
    let users = [
        user("admin", ""),
        user("hub", &format!(", {}", hub_permissions("S", "p"))),
        // Without the direct gets, with which a hub reads.
        user("half", ", permissions: { publish: [\"$JS.API.STREAM.INFO.>\"], subscribe: [\"_INBOX.>\"] }"),
    ];
    let users = format!("authorization {{ users: [\n{}] }}", users.concat());
    let cluster = NatsCluster::with(3, &users);
    init(&login(&cluster, "admin"), &InitWishes::default()).await.expect("a stream");
    let admin = Nats::connect(&login(&cluster, "admin")).await.expect("a login");
    let nats = Nats::connect(&login(&cluster, "hub")).await.expect("a login");

    // All that a hub does.
    let mut live = nats.live().await.expect("a subscription");
    let last = nats.stream().await.expect("told").last;
    assert_eq!(nats.write(vec![message("p.e.a", "1")], last, WAIT).await, Ok(last + 1));
    let batch = vec![message("p.e.a", "2"), message("p.e.b", "3"), message("p.k.1", "4")];
    assert_eq!(nats.write(batch, last + 1, WAIT).await, Ok(last + 4));
    for seq in last + 1..=last + 4 {
        let next = timeout(WAIT, live.next()).await.expect("in time");
        assert!(matches!(&next, Some(LiveItem::Stored(stored)) if stored.seq == seq), "{next:?}");
    }
    let range = Range { filter: "p.e.>".into(), from: 1, max: 10, max_bytes: 1 << 20 };
    nats.range(range).await.expect("a page");
    nats.message(last + 1).await.expect("an answer");
    assert!(nats.leader_message(last + 1).await.expect("an answer").is_some());
    assert!(nats.leader_last("p.e.b").await.expect("an answer").is_some());
    let mut subjects = Vec::new();
    nats.last_per_subject("p.>", true, |stored| subjects.push(stored.subject)).await.expect("a table");
    assert_eq!(subjects.len(), 4, "{subjects:?}");
    assert_eq!(nats.purge("p.e.a", last + 2).await, Ok(1));
    assert_eq!(nats.delete(last + 3).await, Ok(true));

    // Hubs among themselves.
    let mut jobs = nats.subscribe("hub.p.jobs.one.*").await.expect("subscribed");
    nats.stream().await.expect("a round trip");
    let other = Nats::connect(&login(&cluster, "hub")).await.expect("a login");
    other.publish("hub.p.jobs.one.two", Bytes::from_static(b"job")).await.expect("sent");
    let job = timeout(WAIT, jobs.next()).await.expect("in time").expect("a job");
    assert_eq!((&*job.subject, &*job.payload), ("hub.p.jobs.one.two", &b"job"[..]));

    // And a check, which a hub's login suffices for.
    let wishes = CheckWishes { event_bytes: 1 << 20, max_batch: 1000, monitor: Vec::new() };
    for (user, expected) in [("hub", "sync-unknown"), ("half", "permission"), ("nobody", "login")] {
        let report = check(&login(&cluster, user), &wishes).await;
        let mut codes: Vec<&str> = report.findings.iter().map(|finding| finding.kind.code()).collect();
        codes.dedup();
        assert_eq!(codes[0], expected, "{user}: {report}");
        assert!(codes.len() == 1 || user != "hub", "{report}");
    }

    // Nothing else.
    for api in
        ["STREAM.CREATE.S", "STREAM.UPDATE.S", "STREAM.DELETE.S", "STREAM.PURGE.T", "STREAM.LIST", "CONSUMER.LIST.S"]
    {
        let answer = nats.request(&format!("$JS.API.{api}"), Bytes::new(), WAIT).await;
        assert!(denied(&answer), "{api}: {answer:?}");
        if api == "STREAM.DELETE.S" {
            continue;
        }
        assert!(!denied(&admin.request(&format!("$JS.API.{api}"), Bytes::new(), WAIT).await), "{api}, by the admin");
    }
    assert!(denied(&nats.request("$JS.API.STREAM.SNAPSHOT.S", Bytes::new(), WAIT).await));
    assert!(denied(&nats.request("elsewhere", Bytes::new(), WAIT).await));
    let refused = nats.write(vec![message("q.e.a", "5")], 0, WAIT).await;
    assert!(matches!(refused, Err(WriteError::Denied(_))), "{refused:?}");
    let mut elsewhere = nats.subscribe("elsewhere").await.expect("handed over");
    let mut here = nats.subscribe("hub.p.here").await.expect("handed over");
    nats.stream().await.expect("a round trip, after the subscriptions");
    // The other server may hear of the subscription later.
    let heard = async {
        loop {
            for subject in ["elsewhere", "hub.p.here"] {
                admin.publish(subject, Bytes::new()).await.expect("sent");
            }
            if timeout(Duration::from_millis(100), here.next()).await.is_ok_and(|message| message.is_some()) {
                break;
            }
        }
    };
    timeout(WAIT, heard).await.expect("in time");
    assert!(timeout(Duration::from_millis(300), elsewhere.next()).await.is_err(), "it must hear nothing");
}
