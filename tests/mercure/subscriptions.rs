//! Who has subscribed: told in events, and listed.

use std::{collections::BTreeSet, process::Command};

use serde_json::{Value, json};

use crate::{
    child::{Child, here, tool},
    site::{MercureHub, PATH, access_claims, bearer, escaped, subscriber, token},
    support::{
        assert_problem, comes_true, eventually,
        hub::Hub,
        wire::{self, Answer, EventStream, Message},
    },
};

const SUBSCRIPTIONS: &str = "/.well-known/mercure/subscriptions";
const ALL: &str = "/.well-known/mercure/subscriptions/{topic}/{subscriber}";

fn start() -> MercureHub {
    MercureHub::start_with(&["--mercure-anonymous", "--mercure-subscriptions"])
}

fn watch(hub: &MercureHub, cursor: Option<&str>) -> EventStream {
    let cursor = cursor.map_or_else(String::new, |cursor| format!("&last_event_id={}", escaped(cursor)));
    hub.subscribe_as(&["*"], &format!("topic={}{cursor}", escaped(ALL)))
}

fn document(message: &Message) -> Value {
    serde_json::from_str(&message.data).unwrap()
}

/// The next event of a subscription: its topic and whether it is active.
fn next(stream: &mut EventStream) -> (String, bool) {
    let message = stream.next().unwrap();
    assert_eq!(message.event, "message", "{}", message.data);
    let document = document(&message);
    (document["topic"].as_str().unwrap().to_owned(), document["active"].as_bool().unwrap())
}

fn told(topic: &str, active: bool) -> (String, bool) {
    (topic.to_owned(), active)
}

fn get(hub: &MercureHub, target: &str, token: &str) -> Answer {
    wire::request(hub.address, "GET", target, &[("authorization", &bearer(token))], b"")
}

#[test]
fn who_comes_and_leaves_is_told_to_those_who_may_see_it() {
    let hub = start();
    let mut watcher = watch(&hub, None);
    assert_eq!(next(&mut watcher), told(ALL, true), "itself");
    let mut anonymous = hub.subscribe("topic=%2A");
    assert_eq!(next(&mut watcher), told("*", true));
    let claims = json!({"mercure": {"subscribe": ["/books/{id}"], "payload": {"name": "Ann"}}});
    let guest_token = bearer(&token("JWT", &claims));
    let guest = hub.subscribe_with(
        &format!("topic={}&topic=b", escaped("https://example.com/{id}")),
        &[("authorization", &*guest_token)],
    );
    let message = watcher.next().unwrap();
    let first = document(&message);
    let who = first["subscriber"].as_str().unwrap();
    assert!(who.starts_with("urn:uuid:") && who.len() == 45, "{who}");
    let id = format!("{SUBSCRIPTIONS}/https%3A%2F%2Fexample.com%2F%7Bid%7D/{}", who.replace(':', "%3A"));
    let want = json!({
        "@context": "https://mercure.rocks/", "id": id, "type": "Subscription", "subscriber": who,
        "topic": "https://example.com/{id}", "active": true, "payload": {"name": "Ann"}
    });
    assert_eq!(first, want);
    let second = document(&watcher.next().unwrap());
    assert_eq!((&second["topic"], &second["subscriber"]), (&json!("b"), &first["subscriber"]), "one subscriber");
    drop(guest);
    assert_eq!((next(&mut watcher), next(&mut watcher)), (told("https://example.com/{id}", false), told("b", false)));
    hub.publish(&[("topic", "end"), ("data", "end")]);
    assert_eq!(anonymous.next().unwrap().data, "end", "subscriptions are private");
}

#[test]
fn dialect_1_has_its_own_paths_type_and_payloads() {
    let hub = start();
    let all = "/.well-known/mercure/subscriptions/:match_type/:match/:subscriber";
    let seeing = token("at+jwt", &access_claims(&["subscribe"], &json!([{"match": all, "match_type": "urlpattern"}])));
    let query = format!("match_urlpattern={}", escaped(all));
    let mut watcher = hub.subscribe_with(&query, &[("authorization", &bearer(&seeing))]);
    let own = watcher.next().unwrap();
    assert_eq!((&*own.event, document(&own)["match_type"].as_str()), ("mercure", Some("urlpattern")));
    let mut claims = access_claims(&["subscribe"], &json!([{"match": "a b"}]));
    claims["authorization_details"][0]["payload"] = json!({"seat": 7});
    let guest = bearer(&token("at+jwt", &claims));
    let _guest = hub.subscribe_with("match=a+b&match=c&topic=d", &[("authorization", &*guest)]);
    let (first, second) = (watcher.next().unwrap(), watcher.next().unwrap());
    let (one, two) = (document(&first), document(&second));
    let who = one["subscriber"].as_str().unwrap();
    let id = format!("{SUBSCRIPTIONS}/exact/a%20b/{}", who.replace(':', "%3A"));
    let want = json!({
        "id": id, "type": "subscription", "subscriber": who, "match": "a b", "match_type": "exact", "active": true,
        "payload": {"seat": 7}
    });
    assert_eq!((one, &*first.event), (want, "mercure"));
    assert_eq!((&two["match"], &two["payload"]), (&json!("c"), &Value::Null));
    let one = get(&hub, &id, &seeing);
    assert_eq!((one.status, one.headers.get("content-type")), (200, Some("application/json")));
    assert_eq!(one.json(), document(&first), "without a change");
    let link = one.headers.get("link").unwrap();
    assert!(link.starts_with("</.well-known/mercure>; rel=\"mercure\"; last-event-id=\"#"), "{link}");
    assert!(link.ends_with("; type=\"mercure\"; content-type=\"application/json\""), "{link}");
    let wide = token("at+jwt", &access_claims(&["subscribe"], &json!([{"match": "*"}])));
    let by = get(&hub, &format!("{SUBSCRIPTIONS}/exact/a%20b"), &wide).json();
    assert_eq!((&by["type"], &by["subscriptions"][0]["match"]), (&json!("subscriptions"), &json!("a b")));
    let whole = get(&hub, SUBSCRIPTIONS, &wide);
    assert_eq!(whole.json()["subscriptions"].as_array().unwrap().len(), 4);
    assert_problem(&get(&hub, &format!("{SUBSCRIPTIONS}/regexp/a/x"), &wide), 400, "query-invalid");
}

#[test]
fn active_subscriptions_are_listed_for_those_whose_token_has_the_path() {
    let hub = start();
    let _guests = [hub.subscribe("topic=a&topic=b"), hub.subscribe("topic=a")];
    let everything = subscriber(&["*"]);
    let answer = get(&hub, SUBSCRIPTIONS, &everything);
    assert_eq!((answer.status, answer.headers.get("content-type")), (200, Some("application/ld+json")));
    let list = answer.json();
    let cursor = list["lastEventID"].as_str().unwrap();
    assert_eq!(
        (&list["@context"], &list["id"], &list["type"]),
        (&json!("https://mercure.rocks/"), &json!(SUBSCRIPTIONS), &json!("Subscriptions"))
    );
    let topics: Vec<_> = list["subscriptions"].as_array().unwrap().iter().map(|one| &one["topic"]).collect();
    assert_eq!(topics, ["a", "b", "a"]);
    assert!(list["subscriptions"][0]["@context"].is_null() && list["next"].is_null());
    assert!(answer.headers.get("cache-control").unwrap().contains("must-revalidate"));
    assert!(answer.headers.get("link").unwrap().contains(&format!("last-event-id=\"{cursor}\"")));

    let by_a = get(&hub, &format!("{SUBSCRIPTIONS}/a"), &everything).json();
    assert_eq!(by_a["subscriptions"].as_array().unwrap().len(), 2);
    let path = list["subscriptions"][1]["id"].as_str().unwrap();
    let one = get(&hub, path, &everything).json();
    assert_eq!(
        (&one["topic"], &one["@context"], &one["lastEventID"]),
        (&json!("b"), &list["@context"], &json!(cursor))
    );

    let tag = answer.headers.get("etag").unwrap();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    let headers = [("authorization", &*bearer(&everything)), ("if-none-match", tag)];
    let same = wire::request(hub.address, "GET", SUBSCRIPTIONS, &headers, b"");
    assert_eq!((same.status, same.headers.get("etag"), same.body.len()), (304, Some(tag), 0));
    let _more = hub.subscribe("topic=c");
    assert_eq!(wire::request(hub.address, "GET", SUBSCRIPTIONS, &headers, b"").status, 200);

    let missing = hub.get(SUBSCRIPTIONS);
    assert_problem(&missing, 401, "unauthorized");
    assert!(missing.headers.get("www-authenticate").unwrap().starts_with("Bearer resource_metadata="));
    assert_problem(&get(&hub, SUBSCRIPTIONS, "x.y.z"), 401, "unauthorized");
    let denied = get(&hub, SUBSCRIPTIONS, &subscriber(&["/books/{id}", ALL]));
    assert_problem(&denied, 403, "forbidden");
    assert!(denied.headers.get("www-authenticate").unwrap().contains("insufficient_scope"));
    let narrow = subscriber(&[&format!("{SUBSCRIPTIONS}/a")]);
    assert_eq!(get(&hub, &format!("{SUBSCRIPTIONS}/a?x=y"), &narrow).status, 200, "the query is no part of the topic");
    assert_eq!(get(&hub, &format!("{SUBSCRIPTIONS}/b"), &narrow).status, 403);
    assert_eq!(get(&hub, path, &subscriber(&[ALL])).status, 200);
    let gone = format!("{SUBSCRIPTIONS}/a/urn%3Auuid%3Abb3de268-05b0-4c65-b44e-8f9acefc29d6");
    assert_problem(&get(&hub, &gone, &everything), 404, "not-found");
    assert_eq!(get(&hub, &format!("{SUBSCRIPTIONS}/nobody"), &everything).json()["subscriptions"], json!([]));
    assert_problem(&hub.request("POST", SUBSCRIPTIONS, b""), 405, "method-not-allowed");
}

#[test]
fn a_stream_from_the_cursor_of_a_list_misses_nothing() {
    let hub = start();
    let leaves = hub.subscribe("topic=leaves");
    let _stays = hub.subscribe("topic=stays");
    let list = get(&hub, SUBSCRIPTIONS, &subscriber(&["*"])).json();
    let mut active: BTreeSet<String> = BTreeSet::new();
    for one in list["subscriptions"].as_array().unwrap() {
        active.insert(one["topic"].as_str().unwrap().to_owned());
    }
    drop(leaves);
    let _comes = hub.subscribe("topic=comes");
    let published = hub.publish(&[("topic", "/x"), ("data", "meanwhile"), ("private", "on")]);
    let left = |hub: &MercureHub| !get(hub, SUBSCRIPTIONS, &subscriber(&["*"])).text().contains("leaves");
    eventually("it has left", || left(&hub));
    let cursor = list["lastEventID"].as_str().unwrap();
    let query = format!("topic={}&topic=%2Fx&lastEventID={}", escaped(ALL), escaped(cursor));
    let mut stream = hub.subscribe_as(&["*"], &query);
    for name in ["mercure-last-event-id", "last-event-id"] {
        assert_eq!(stream.incoming.headers.get(name), Some(cursor));
    }
    let mut updates = Vec::new();
    while !active.contains("/x") {
        let message = stream.next().unwrap();
        assert_eq!(message.event, "message", "{}", message.data);
        if message.data == "meanwhile" {
            updates.push(message.id.unwrap());
            continue;
        }
        let document = document(&message);
        let topic = document["topic"].as_str().unwrap().to_owned();
        let news = if document["active"].as_bool().unwrap() { active.insert(topic) } else { active.remove(&topic) };
        assert!(news);
    }
    let want = [ALL, "/x", "comes", "stays"].map(ToOwned::to_owned);
    assert_eq!((updates, active), (vec![published], BTreeSet::from(want)));
}

#[test]
fn a_cursor_of_subscriptions_continues_the_log_and_the_changes_also_amid_updates() {
    let hub = start();
    let mut watcher = hub.subscribe_as(&["*"], &format!("topic={}&topic=a", escaped(ALL)));
    assert_eq!((next(&mut watcher), next(&mut watcher)), (told(ALL, true), told("a", true)));
    hub.publish(&[("topic", "a"), ("data", "0")]);
    assert_eq!(watcher.next().unwrap().data, "0");
    let _guest = hub.subscribe("topic=guest");
    assert_eq!(next(&mut watcher), told("guest", true));
    let cursor = watcher.last_id().unwrap().to_owned();
    assert!(cursor.starts_with('#') && cursor.contains('~'), "{cursor}");
    hub.publish(&[("topic", "a"), ("data", "1")]);
    let _other = hub.subscribe("topic=other");
    let query = format!("topic={}&topic=a", escaped(ALL));
    let headers = [("authorization", &*bearer(&subscriber(&["*"]))), ("last-event-id", &*cursor)];
    let mut again = hub.subscribe_with(&query, &headers);
    let mut heard = BTreeSet::new();
    while heard.len() < 4 {
        let message = again.next().unwrap();
        assert_eq!(message.event, "message", "{}", message.data);
        heard.insert(match message.data.as_str() {
            "1" => "1".to_owned(),
            _ => document(&message)["topic"].as_str().unwrap().to_owned(),
        });
    }
    assert_eq!(heard, [ALL, "1", "a", "other"].map(ToOwned::to_owned).into());
    // The id of an update says nothing of subscriptions.
    let mut of_log = hub.subscribe_with(&query, &[headers[0], ("last-event-id", cursor.split('~').next().unwrap())]);
    assert_eq!(of_log.next().unwrap().data, "1");
    let announced = of_log.next().unwrap();
    assert_eq!((&*announced.event, &*announced.data), ("hub.subscriptions", "{\"reason\":\"unknown\"}"));
}

#[test]
fn after_a_restart_a_client_is_told_that_it_is_told_all_anew() {
    let hub = start();
    let mut watcher = watch(&hub, None);
    let _guest = hub.subscribe("topic=guest");
    assert_eq!((next(&mut watcher), next(&mut watcher)), (told(ALL, true), told("guest", true)));
    let cursor = watcher.last_id().unwrap().to_owned();
    let hub = hub.killed();
    let mut again = watch(&hub, Some(&cursor));
    let announced = again.next().unwrap();
    assert_eq!((&*announced.event, &*announced.data), ("hub.subscriptions", "{\"reason\":\"unknown\"}"));
    assert_eq!(next(&mut again), told(ALL, true), "the guest is not active");
    let complete = again.next_of_all().unwrap();
    assert_eq!((&*complete.event, complete.id.as_deref()), ("hub.cursor", again.last_id()));
    let mut early = watch(&hub, Some("earliest"));
    assert_eq!(early.next().unwrap().data, "{\"reason\":\"earliest\"}");
}

#[test]
fn a_client_that_has_heard_nothing_yet_misses_nothing() {
    let hub = start();
    let query = format!("topic={}", escaped(&format!("{SUBSCRIPTIONS}/room/{{subscriber}}")));
    let mut watcher = hub.subscribe_as(&["*"], &query);
    let cursors = [watcher.next_of_all().unwrap(), watcher.next_of_all().unwrap()];
    assert!(cursors.iter().all(|message| message.event == "hub.cursor"));
    let cursor = watcher.last_id().unwrap().to_owned();
    drop(watcher);
    let guest = hub.subscribe("topic=room");
    let query = format!("{query}&last_event_id={}", escaped(&cursor));
    let mut watcher = hub.subscribe_as(&["*"], &query);
    assert_eq!(next(&mut watcher), told("room", true));
    drop(guest);
    assert_eq!(next(&mut watcher), told("room", false));
}

#[test]
fn a_long_list_comes_in_pages_that_have_one_cursor() {
    let hub = start();
    let long = format!("topic=/{}", "x".repeat(3500));
    let mut many = vec![format!("authorization={}", payload(6000))];
    many.extend((0..120).map(|n| format!("{long}{n}")));
    let body = many.join("&");
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("accept", "text/event-stream")];
    let target = format!("{PATH}?{}", many[0]);
    let _guest = wire::open(hub.address, "QUERY", &target, &headers, body.as_bytes());
    let (mut target, mut topics, mut pages) = (SUBSCRIPTIONS.to_owned(), BTreeSet::new(), 0);
    let first = get(&hub, &target, &subscriber(&["*"])).json()["lastEventID"].clone();
    loop {
        let answer = get(&hub, &target, &subscriber(&["*"]));
        let page = answer.json();
        assert_eq!(page["lastEventID"], first);
        topics.extend(page["subscriptions"].as_array().unwrap().iter().map(|one| one["id"].to_string()));
        pages += 1;
        let Some(next) = page["next"].as_str() else { break };
        assert!(answer.headers.get("link").unwrap().ends_with(&format!("<{next}>; rel=\"next\"")));
        assert!(answer.body.len() < 2 << 20, "{}", answer.body.len());
        next.clone_into(&mut target);
        // What comes meanwhile is told by the stream.
        std::mem::forget(hub.subscribe("topic=later"));
    }
    assert_eq!((topics.len() - (pages - 1), pages > 1), (120, true), "{pages}");
    assert_problem(&get(&hub, &format!("{SUBSCRIPTIONS}?after=x"), &subscriber(&["*"])), 400, "query-invalid");
}

fn payload(bytes: usize) -> String {
    token("JWT", &json!({"mercure": {"payload": "x".repeat(bytes - 2000)}}))
}

#[test]
fn a_hub_that_is_not_told_to_tells_nothing() {
    let hub = MercureHub::start();
    let mut watcher = watch(&hub, Some("earliest"));
    let _guest = hub.subscribe("topic=guest");
    hub.publish(&[("topic", ALL.trim_start_matches('/')), ("data", "end")]);
    assert_problem(&get(&hub, SUBSCRIPTIONS, &subscriber(&["*"])), 404, "not-found");
    let discovery = "/.well-known/oauth-protected-resource/.well-known/mercure";
    assert_eq!(hub.get(discovery).json()["mercure_subscriptions"], false);
    assert_eq!(start().get(discovery).json()["mercure_subscriptions"], true);
    let mut updates = hub.subscribe_as(&["*"], "topic=%2A&last_event_id=earliest");
    assert_eq!(updates.next().unwrap().data, "end");
    let cursor = watcher.next_of_all().unwrap();
    assert_eq!(cursor.event, "hub.cursor", "and nothing else");
}

#[test]
fn a_hub_that_could_not_tell_the_truth_does_not_start() {
    let (code, log) = Hub::refused(&["--protocols=mercure", "--mercure-anonymous", "--mercure-subscriptions"]);
    assert!(code == Some(78) && log.contains("mercure.subscriber_key"), "{log}");
    let several = ["--protocols=mercure", "--mercure-anonymous", "--mercure-subscriptions", "--engine=jetstream"];
    let (code, log) = Hub::refused(&several);
    assert!(code == Some(78) && log.contains("each hub knows only its own subscribers"), "{log}");
}

#[test]
fn a_head_is_no_subscription_and_an_old_client_is_one() {
    let hub = start();
    let mut watcher = watch(&hub, None);
    assert_eq!(next(&mut watcher), told(ALL, true));
    drop(wire::open(hub.address, "HEAD", &format!("{PATH}?topic=head"), &[], b""));
    let old = format!("GET {PATH}?topic=old HTTP/1.0\r\nhost: {}\r\n\r\n", hub.address);
    let socket = wire::send(hub.address, old.as_bytes());
    assert_eq!(next(&mut watcher), told("old", true));
    drop(socket);
    assert_eq!(next(&mut watcher), told("old", false));
}

#[test]
fn the_readers_of_npm_hear_who_comes_and_leaves_over_a_kill() {
    for name in ["eventsource", "event-source-polyfill", "@microsoft/fetch-event-source"] {
        let mut hub =
            MercureHub::start_with(&["--mercure-anonymous", "--mercure-subscriptions", "--stream-retry=100ms"]);
        let query = format!("topic={}&authorization={}", escaped(ALL), subscriber(&["*"]));
        let url = format!("{}{PATH}?{query}", hub.url());
        let reader = Child::spawn(Command::new(tool("node")).args([&here("tests/mercure/readers.mjs"), name, &url]));
        let lines = || reader.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>();
        let heard = |topic: &str, active: bool| {
            let is = |document: &Value| document["topic"] == topic && document["active"] == active;
            let data = |line: &Value| serde_json::from_str::<Value>(line["data"].as_str().unwrap()).unwrap();
            comes_true(|| lines().iter().any(|line| line["event"] == "message" && is(&data(line))))
        };
        assert!(heard(ALL, true), "{name}: {:?}", lines());
        let guest = hub.subscribe("topic=guest");
        assert!(heard("guest", true), "{name}: {:?}", lines());
        drop(guest);
        assert!(heard("guest", false), "{name}: {:?}", lines());
        hub = hub.killed();
        let anew = || lines().iter().filter(|line| line["event"] == "hub.subscriptions").count();
        assert!(comes_true(|| anew() == 1), "{name}: {:?}", lines());
        let _later = hub.subscribe("topic=later");
        assert!(heard("later", true), "{name}: {:?}", lines());
        assert_eq!(anew(), 1, "{name}");
        assert!(lines().iter().all(|line| line["event"] != "hub.gap"), "{name}: {:?}", lines());
    }
}
