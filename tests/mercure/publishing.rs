//! A publish: its order of checks, its fields, and its answer.

use serde_json::json;

use crate::{
    site::{MercureHub, PATH, bearer, form, post, publisher},
    support::{assert_problem, needs, wire},
};

#[test]
fn an_update_arrives_as_it_was_sent_with_the_id_that_its_publisher_was_told() {
    let hub = MercureHub::start();
    let mut stream = hub.subscribe("topic=https%3A%2F%2Fexample.com%2Fbooks%2F1");
    let data = "  two\r\nlines\rand\n\na third  ";
    let fields = [("topic", "https://example.com/books/1"), ("data", data), ("type", "changed"), ("retry", "4321")];
    let id = hub.publish(&fields);
    assert!(id.starts_with('#'), "{id}");
    let message = stream.next().unwrap();
    assert_eq!((&*message.event, &*message.data), ("changed", "  two\nlines\nand\n\na third  "));
    assert_eq!((message.id.as_deref(), stream.retry()), (Some(&*id), Some(4321)));
    hub.publish(&[("topic", "https://example.com/books/1")]);
    let message = stream.next().unwrap();
    assert_eq!((&*message.event, &*message.data), ("message", ""), "no data is empty data");
}

#[test]
fn the_publishers_own_id_comes_back_whatever_it_is() {
    let hub = MercureHub::start();
    let mut stream = hub.subscribe("topic=a");
    for id in ["id-[\"topic\"]", "urn:uuid:5e94c686-2c0b-4f9b-958c-92ccc3bbb4eb", "book-7", "ü ✓"] {
        assert_eq!(hub.publish(&[("topic", "a"), ("data", "x"), ("id", id)]), id);
        assert_eq!(stream.next().unwrap().id.as_deref(), Some(id));
    }
}

#[test]
fn the_checks_come_in_their_order() {
    let hub = MercureHub::start();
    let (any, one) = (bearer(&publisher(&["*"])), bearer(&publisher(&["https://example.com/{x}", "b"])));
    let refused = |headers: &[(&str, &str)], fields: &[(&str, &str)]| post(hub.address, headers, fields);
    // A wrong form does not matter without a token.
    assert_problem(&refused(&[], &[("retry", "x")]), 401, "unauthorized");
    // The topics come before `retry`, which comes before the grant, which comes before what the topics mean.
    assert_problem(&refused(&[("authorization", &one)], &[("retry", "x")]), 400, "topic-invalid");
    assert_problem(&refused(&[("authorization", &one)], &[("topic", "c"), ("retry", "x")]), 400, "body-invalid");
    let denied = refused(&[("authorization", &one)], &[("topic", "b"), ("topic", "c"), ("type", "mercure")]);
    assert_problem(&denied, 403, "forbidden");
    let challenge = denied.headers.get("www-authenticate").unwrap();
    assert!(
        challenge.contains("error=\"insufficient_scope\"") && challenge.contains("resource_metadata="),
        "{challenge}"
    );
    let granted = [("topic", "https://example.com/1"), ("topic", "b")];
    assert_eq!(refused(&[("authorization", &one)], &granted).status, 200);
    for topic in ["*", "", PATH, "/.well-known/%6Dercure/x", "https://other.example/.well-known/mercure/x", "mercure/x"]
    {
        let answer = refused(&[("authorization", &any)], &[("topic", topic)]);
        assert_problem(&answer, 400, "topic-invalid");
    }
    for field in [("id", "#x"), ("id", "earliest"), ("id", "a\u{200b}"), ("type", "a\nb"), ("type", "mercure")] {
        let answer = refused(&[("authorization", &any)], &[("topic", "a"), field]);
        assert_eq!(answer.status, 400, "{field:?}: {}", answer.text());
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn only_a_form_is_an_update_and_only_its_body_counts() {
    let hub = MercureHub::start();
    let token = bearer(&publisher(&["*"]));
    let send = |target: &str, kind: &str, body: &str| {
        let headers = [("authorization", &*token), ("content-type", kind)];
        wire::request(hub.address, "POST", target, &headers, body.as_bytes())
    };
    assert_eq!(send(PATH, "application/x-www-form-urlencoded; charset=utf-8", "topic=a").status, 200);
    assert_problem(&send(PATH, "application/json", "{\"topic\":\"a\"}"), 400, "body-invalid");
    assert_problem(&send(PATH, "multipart/form-data; boundary=x", "--x--"), 400, "body-invalid");
    assert_problem(&send(&format!("{PATH}?topic=a"), FORM, "data=x"), 400, "topic-invalid");
    let large = form(&[("topic", "a"), ("data", &"x".repeat((1 << 20) + 1))]);
    assert_problem(&send(PATH, FORM, &large), 413, "too-large");
    assert_problem(&send(PATH, FORM, &"x".repeat(4 << 20)), 413, "too-large");
    let largest = form(&[("topic", "a"), ("data", &"\u{1}".repeat(1 << 20))]);
    assert_eq!(send(PATH, FORM, &largest).status, 200, "three bytes in the form for each of the data");
}

#[test]
fn a_retry_with_the_same_key_appends_nothing() {
    let hub = MercureHub::start();
    let token = bearer(&publisher(&["*"]));
    let send = |data: &str| {
        let headers = [("authorization", &*token), ("idempotency-key", "k")];
        post(hub.address, &headers, &[("topic", "a"), ("topic", "b"), ("data", data)])
    };
    let (first, again) = (send("1"), send("1"));
    assert_eq!((first.status, first.text()), (200, again.text()));
    assert_problem(&send("2"), 409, "idempotency-conflict");
    let mut stream = hub.subscribe("topic=a&last_event_id=earliest");
    hub.publish(&[("topic", "a"), ("data", "3")]);
    assert_eq!(stream.data(2), ["1", "3"]);
}

#[test]
fn the_topics_of_the_protocol_are_published_to_by_it_alone_and_read_by_all_doors() {
    needs!(DurableStreams);
    let hub = MercureHub::start();
    hub.publish(&[("topic", "https://example.com/1"), ("data", "public")]);
    hub.publish(&[("topic", "https://example.com/1"), ("data", "secret"), ("private", "on")]);
    for topic in ["mercure/a", "mercure-private/a"] {
        let answer = hub.post(&format!("/publish?topic={topic}"), &[], b"x");
        assert_problem(&answer, 400, "topic-invalid");
        let lines = [("content-type", "application/x-ndjson")];
        let streamed = hub.post("/publish", &lines, format!("{{\"topic\":\"{topic}\",\"data\":\"x\"}}\n").as_bytes());
        assert!(streamed.text().contains("topic-invalid"), "{}", streamed.text());
        let path = format!("/v1/stream/{topic}");
        let text = [("content-type", "text/plain")];
        for method in ["PUT", "POST"] {
            assert_problem(&wire::request(hub.address, method, &path, &text, b"x"), 400, "topic-invalid");
        }
    }
    let read = |filter: &str| wire::watch(hub.address, &format!("topic={filter}&from=earliest"), None).data(1);
    assert_eq!(read("mercure/*"), ["public"], "a private update is in a topic of its own");
    assert_eq!(read("mercure-private/*"), ["secret"]);
}

#[test]
fn without_the_protocol_its_paths_are_not_there() {
    let hub = crate::support::hub::Hub::start();
    for path in [PATH, "/.well-known/oauth-protected-resource/.well-known/mercure"] {
        assert_problem(&hub.get(path), 404, "not-found");
        assert_problem(&hub.post(path, &[], b""), 404, "not-found");
    }
    assert_eq!(hub.post("/publish?topic=mercure/a", &[], b"x").status, 200);
}

#[test]
fn a_client_finds_out_what_it_needs() {
    let hub = MercureHub::start();
    let answer = hub.get("/.well-known/oauth-protected-resource/.well-known/mercure");
    let document = answer.json();
    assert_eq!(document["resource"], crate::site::URL);
    assert_eq!(document["authorization_servers"], json!([crate::site::ISSUER]));
    assert_eq!(document["mercure_cookie"], "__Secure-mercure_access_token");
    assert_eq!(document["bearer_methods_supported"], json!(["header"]));
}
