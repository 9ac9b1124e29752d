//! `/admin/streams`: an operator sees who is connected, and ends streams; nobody loses an event by that.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
    net::TcpStream,
    time::{Duration, Instant},
};

use gapless::lifecycle::descriptors;
use serde_json::{Value, json};

use super::support::{
    PATIENCE, assert_problem, eventually,
    hub::Hub,
    tokens,
    wire::{self, Answer, EventStream, Incoming},
};

const OPERATOR: (&str, &str) = ("authorization", "Bearer operator-token");
const ANN: (&str, &str) = ("authorization", "Bearer ann-token");
const BOB: (&str, &str) = ("authorization", "Bearer bob-token");
const SSE: (&str, &str) = ("accept", "text/event-stream");

/// A hub with the tokens of an operator, and of two readers.
fn with_tokens(more: &[&str]) -> Hub {
    let all = "publish = [\"**\"], subscribe = [\"**\"]";
    let operator = format!("admin = true, {all}");
    let tokens = tokens(&[("operator", &operator), ("ann", all), ("bob", all)]);
    Hub::start_with(&[&["--access-tokens", &tokens], more].concat())
}

fn ask(hub: &Hub, method: &str, target: &str) -> Answer {
    wire::request(hub.address, method, target, &[OPERATOR], b"")
}

fn list(hub: &Hub, query: &str) -> Value {
    let answer = ask(hub, "GET", &format!("/admin/streams?{query}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn streams(hub: &Hub, query: &str) -> Vec<Value> {
    list(hub, query)["streams"].as_array().unwrap().clone()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value}"))
}

fn ids(streams: &[Value]) -> Vec<String> {
    streams.iter().map(|stream| text(&stream["id"]).to_owned()).collect()
}

/// A stream whose greeting has arrived, so that it is listed.
fn open(hub: &Hub, query: &str, headers: &[(&str, &str)]) -> Incoming {
    let mut incoming = wire::open(hub.address, "GET", &format!("/events?{query}"), headers, b"");
    assert_eq!(incoming.status, 200);
    incoming.until("\n");
    incoming
}

fn publish(hub: &Hub, topic: &str, data: &str) -> String {
    let answer = hub.post(&format!("/publish?topic={topic}"), &[OPERATOR], data.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    text(&answer.json()["id"]).to_owned()
}

/// The id of the stream of this request.
fn id_of(hub: &Hub, incoming: &Incoming) -> String {
    let request = incoming.headers.get("x-request-id").unwrap();
    let all = streams(hub, "limit=1000");
    let found = all.iter().find(|stream| stream["request_id"] == request);
    text(&found.unwrap_or_else(|| panic!("{request}: {all:?}"))["id"]).to_owned()
}

#[test]
fn the_list_says_who_is_connected_and_what_each_was_sent() {
    // No keepalive wakes a stream's task, which would count what the fan-out has sent.
    let hub = with_tokens(&["--shards", "1", "--stream-keepalive", "10m"]);
    publish(&hub, "a", "before");
    let requests = [
        ("topic=a&from=earliest", ANN, "text/event-stream", "sse"),
        ("topic=a&format=json", BOB, "text/event-stream", "sse-json"),
        ("topic=b/**&format=message", BOB, "text/event-stream", "sse-message"),
        ("topic=t5&topic=t4&topic=t3&topic=t2&topic=t1&topic=t0", BOB, "application/x-ndjson", "ndjson"),
    ];
    let began = std::time::SystemTime::now();
    let mut open: Vec<_> =
        requests.iter().map(|(query, holder, accept, _)| open(&hub, query, &[*holder, ("accept", accept)])).collect();
    open[0].until("data: before\n");
    let last = publish(&hub, "a", "live");
    for stream in &mut open[..2] {
        stream.until("live");
    }
    let mut all = Vec::new();
    eventually("what was sent is counted", || {
        all = streams(&hub, "");
        all.len() == 4 && all[0]["sent_events"] == 2 && all[1]["sent_events"] == 1
    });
    for ((stream, (.., format)), open) in all.iter().zip(requests).zip(&open) {
        assert_eq!(stream["format"], format);
        assert_eq!(stream["request_id"], open.headers.get("x-request-id").unwrap());
        assert_eq!((&stream["address"], &stream["state"]), (&json!("127.0.0.1"), &json!("live")));
        assert_eq!(stream["behind_events"], 0);
        let since = gapless::event::Millis::parse_rfc3339(text(&stream["since"])).unwrap();
        let distance = since.0.abs_diff(gapless::event::Millis::from(began).0);
        assert!(Duration::from_millis(distance) < PATIENCE, "{stream}");
    }
    assert_eq!(all.iter().map(|stream| &stream["holder"]).collect::<Vec<_>>(), ["ann", "bob", "bob", "bob"]);
    assert_eq!((&all[0]["topics"], &all[0]["topics_total"]), (&json!(["a"]), &json!(1)));
    assert_eq!(all[2]["topics"], json!(["b/**"]));
    assert_eq!((&all[3]["topics"], &all[3]["topics_total"]), (&json!(["t0", "t1", "t2", "t3"]), &json!(6)));
    assert_eq!((&all[0]["cursor"], &all[1]["cursor"]), (&json!(last), &json!(last)));
    assert_eq!((&all[2]["sent_events"], &all[2]["sent_bytes"]), (&json!(0), &json!(0)));
    // Of the whole event, with its id.
    let live = format!("data: live\nid: {last}\n\n").len();
    let before = all[0]["sent_bytes"].as_u64().unwrap() - u64::try_from(live).unwrap();
    assert!((20..80).contains(&before), "{}", all[0]);
    assert_eq!(list(&hub, "")["next"], Value::Null);
    let unique: BTreeSet<_> = ids(&all).into_iter().collect();
    assert_eq!(unique.len(), 4);
    drop(open);
    eventually("they are gone", || list(&hub, "")["total"] == 0);
    let _another = self::open(&hub, "topic=a", &[ANN, SSE]);
    assert!(!unique.contains(&ids(&streams(&hub, ""))[0]), "no id is used again");
}

#[test]
fn filters_choose_by_holder_and_by_what_is_received() {
    let hub = with_tokens(&[]);
    let requests =
        [("topic=a/b", ANN), ("topic=a/*", ANN), ("topic=a/**", BOB), ("topic=a/c&topic=x", BOB), ("topic=x", BOB)];
    let _open: Vec<_> = requests.iter().map(|(query, holder)| open(&hub, query, &[*holder, SSE])).collect();
    for (query, count) in [
        ("", 5),
        ("holder=ann", 2),
        ("holder=bob", 3),
        ("holder=an", 0),
        ("topic=a/b", 3),
        ("topic=a/c", 3),
        ("topic=x", 2),
        ("topic=y", 0),
        ("topic=a/*", 1),
        ("topic=a/**", 1),
        ("topic=**", 0),
        ("topic=a/b&holder=ann", 2),
        ("topic=x&holder=ann", 0),
    ] {
        let page = list(&hub, query);
        assert_eq!((page["streams"].as_array().unwrap().len(), &page["total"]), (count, &json!(count)), "{query}");
    }
    for query in [
        "holder=",
        "topic=",
        "topic=a/x*",
        "sort=age",
        "limit=0",
        "limit=1001",
        "limit=x",
        "after=x",
        "after=since.1",
        "after=behind.1.s0-1",
        "after=since.1.s0-1&sort=behind",
        "holder=ann&holder=bob",
        "cursor=since.1.s0-1",
        "order=since",
    ] {
        assert_eq!(ask(&hub, "GET", &format!("/admin/streams?{query}")).status, 400, "{query}");
    }
    assert_eq!(list(&hub, "after=behind.1.s0-1&sort=behind")["total"], 5);
}

/// All pages of a list, each of `limit` streams.
fn pages(hub: &Hub, limit: usize, query: &str) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = list(hub, &format!("limit={limit}{query}{after}"));
        let streams = page["streams"].as_array().unwrap();
        assert!(streams.len() <= limit);
        all.extend(streams.iter().cloned());
        let Some(next) = page["next"].as_str() else { return all };
        assert_eq!(streams.len(), limit, "a page that is not the last is full");
        after = format!("&after={next}");
    }
}

#[test]
fn each_order_is_the_same_page_by_page_over_all_cores() {
    let hub = with_tokens(&["--shards", "4"]);
    publish(&hub, "t0", &"x".repeat(100_000));
    // Some have the same figures, so that their ids decide.
    let open: Vec<_> = (0..30)
        .map(|n| {
            let stream = open(&hub, &format!("topic=t{}&from=earliest", n % 4), &[ANN, SSE]);
            publish(&hub, &format!("t{}", n % 4), "y");
            stream
        })
        .collect();
    eventually("all has been sent", || streams(&hub, "").iter().all(|stream| stream["behind_events"] == 0));
    let number = |stream: &Value, field: &str| stream[field].as_u64().unwrap();
    for (sort, limit) in [("since", 7), ("behind", 1), ("sent_bytes", 7), ("sent_bytes", 30), ("since", 31)] {
        let whole = streams(&hub, &format!("sort={sort}"));
        let paged = pages(&hub, limit, &format!("&sort={sort}"));
        assert_eq!(ids(&paged), ids(&whole), "{sort}");
        assert_eq!(whole.len(), 30);
        let sorted = match sort {
            "since" => whole.is_sorted_by_key(|stream| text(&stream["since"]).to_owned()),
            _ => whole.is_sorted_by_key(|stream| std::cmp::Reverse(number(stream, "sent_bytes"))) || sort == "behind",
        };
        assert!(sorted, "{sort}: {whole:?}");
    }
    let cores: BTreeSet<_> =
        ids(&streams(&hub, "")).iter().map(|id| id.split('-').next().unwrap().to_owned()).collect();
    assert!(cores.len() > 1, "the kernel spreads connections: {cores:?}");
    let by_since: Vec<_> = streams(&hub, "").iter().map(|stream| text(&stream["request_id"]).to_owned()).collect();
    let opened: Vec<_> = open.iter().map(|stream| stream.headers.get("x-request-id").unwrap().to_owned()).collect();
    assert_eq!(by_since, opened, "oldest first");
}

#[test]
fn a_stream_that_is_behind_says_by_how_much_and_comes_first() {
    let hub = with_tokens(&["--stream-write-timeout", "10m", "--stream-ring-bytes", "8MiB"]);
    let (_reading, stop) = reading(open(&hub, "topic=t", &[ANN, SSE]));
    let stalled = open(&hub, "topic=t", &[BOB, SSE]);
    let _other = open(&hub, "topic=other", &[ANN, SSE]);
    // The buffers of both sockets take some of them; the ring has room for the others.
    let publish_all = || (0..40).for_each(|n| drop(publish(&hub, "t", &format!("{n} {}", "x".repeat(100_000)))));
    publish_all();
    let (mut first, mut before) = (Value::Null, Value::Null);
    eventually("its number of events does not change any more", || {
        std::thread::sleep(Duration::from_millis(50));
        first = streams(&hub, "sort=behind")[0].clone();
        let same = first == before && streams(&hub, "")[0]["behind_events"] == 0;
        before = first.clone();
        same
    });
    assert_eq!(first["id"], *id_of(&hub, &stalled));
    let (sent, behind) = (first["sent_events"].as_u64().unwrap(), first["behind_events"].as_u64().unwrap());
    assert_eq!(sent + behind, 40, "{first}");
    assert!(behind > 0, "{first}");
    // More than the ring holds: how many is known to the log only.
    (0..3).for_each(|_| publish_all());
    first = streams(&hub, "sort=behind")[0].clone();
    assert_eq!((&first["id"], &first["behind_events"]), (&json!(id_of(&hub, &stalled)), &Value::Null));
    stop();
}

/// Reads a stream in a thread until the returned function is called.
fn reading(mut incoming: Incoming) -> (std::thread::JoinHandle<()>, impl FnOnce()) {
    let socket = incoming.socket().try_clone().unwrap();
    let read = std::thread::spawn(move || {
        let mut bytes = vec![0; 65_536];
        while matches!(incoming.read(&mut bytes), Ok(1..)) {}
    });
    (read, move || socket.shutdown(std::net::Shutdown::Both).unwrap())
}

#[test]
fn only_operators_see_and_end_streams() {
    let hub = with_tokens(&[]);
    let stream = open(&hub, "topic=t", &[ANN, SSE]);
    let id = id_of(&hub, &stream);
    for (method, target) in [
        ("GET", "/admin/streams".to_owned()),
        ("DELETE", "/admin/streams?holder=ann".to_owned()),
        ("DELETE", format!("/admin/streams/{id}")),
    ] {
        assert_problem(&wire::request(hub.address, method, &target, &[], b""), 401, "unauthorized");
        assert_problem(&wire::request(hub.address, method, &target, &[ANN], b""), 403, "forbidden");
    }
    assert_eq!(list(&hub, "")["total"], 1);
    for (method, target, allow) in [
        ("POST", "/admin/streams".to_owned(), "GET, HEAD, DELETE, OPTIONS"),
        ("GET", format!("/admin/streams/{id}"), "DELETE, OPTIONS"),
    ] {
        let answer = ask(&hub, method, &target);
        assert_problem(&answer, 405, "method-not-allowed");
        assert_eq!(answer.headers.get("allow"), Some(allow));
    }
    let operators = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let hub = with_tokens(&["--admin-listen", &operators]);
    let stream = open(&hub, "topic=t", &[ANN, SSE]);
    let page = wire::request(operators.parse().unwrap(), "GET", "/admin/streams", &[], b"").json();
    assert_eq!(page["streams"][0]["request_id"], stream.headers.get("x-request-id").unwrap());
    let target = format!("/admin/streams/{}", text(&page["streams"][0]["id"]));
    assert_problem(&ask(&hub, "DELETE", &target), 404, "not-found");
    assert_eq!(wire::request(operators.parse().unwrap(), "DELETE", &target, &[], b"").status, 204);
}

fn event_stream(hub: &Hub, query: &str, holder: (&str, &str), last: Option<&str>) -> EventStream {
    wire::watch_with(hub.address, query, &[holder], last)
}

#[test]
fn an_ended_stream_is_told_to_come_back_and_misses_nothing() {
    let hub = with_tokens(&["--log-requests", "--log-format", "json"]);
    let mut ended = event_stream(&hub, "topic=t", ANN, None);
    let mut other = event_stream(&hub, "topic=t", ANN, None);
    publish(&hub, "t", "1");
    assert_eq!((ended.data(1), other.data(1)), (vec!["1".into()], vec!["1".into()]));
    let id = id_of(&hub, &ended.incoming);
    let before = hub_stats(&hub);
    assert_eq!(before["ended_by_operator_total"], 0);
    assert_eq!(ask(&hub, "DELETE", &format!("/admin/streams/{id}")).status, 204);
    assert_eq!(ended.next(), None, "a whole body");
    let retry = ended.retry().unwrap();
    assert!((3000..=9000).contains(&retry), "{retry}");
    eventually("it is gone", || list(&hub, "")["total"] == 1);
    assert_problem(&ask(&hub, "DELETE", &format!("/admin/streams/{id}")), 404, "stream-unknown");
    publish(&hub, "t", "2");
    let last = ended.last_id().unwrap().to_owned();
    let mut resumed = event_stream(&hub, "topic=t", ANN, Some(&last));
    assert_eq!((resumed.data(1), other.data(1)), (vec!["2".into()], vec!["2".into()]));
    assert_eq!(hub_stats(&hub)["ended_by_operator_total"], 1);
    assert_eq!(hub_stats(&hub)["slow_readers_cut_total"], 0);
    let request = ended.incoming.headers.get("x-request-id").unwrap();
    eventually("the log says why", || {
        hub.log().lines().any(|line| line.contains(request) && line.contains("\"outcome\":\"ended_by_operator\""))
    });
    for id in ["s0", "s0-", "s-1", "0-1", "s0-99999999", "s99-0", "s0-x", "s+0-1", &format!("{id}0")] {
        assert_problem(&ask(&hub, "DELETE", &format!("/admin/streams/{id}")), 404, "stream-unknown");
    }
    assert_eq!(list(&hub, "")["total"], 2);
}

fn hub_stats(hub: &Hub) -> Value {
    ask(hub, "GET", "/admin/stats").json()
}

#[test]
fn a_stream_without_an_event_yet_is_ended_with_an_id_to_come_back_with() {
    let hub = with_tokens(&[]);
    publish(&hub, "t", "before");
    let mut stream = event_stream(&hub, "topic=t", ANN, None);
    stream.incoming.status.eq(&200).then_some(()).unwrap();
    eventually("it is listed", || list(&hub, "")["total"] == 1);
    let id = ids(&streams(&hub, ""))[0].clone();
    assert_eq!(ask(&hub, "DELETE", &format!("/admin/streams/{id}")).status, 204);
    assert_eq!(stream.next(), None);
    publish(&hub, "t", "while it was away");
    let mut resumed = event_stream(&hub, "topic=t", ANN, stream.last_id());
    assert_eq!(resumed.data(1), ["while it was away"]);
}

#[test]
fn all_streams_of_a_holder_end_on_all_cores_and_no_others() {
    let hub = with_tokens(&["--shards", "4"]);
    let anns: Vec<_> = (0..40).map(|n| open(&hub, &format!("topic=t{}", n % 3), &[ANN, SSE])).collect();
    let lines = open(&hub, "topic=t1", &[ANN, ("accept", "application/x-ndjson")]);
    // Over HTTP/1.0 hyper sends the body.
    let old = wire::send(
        hub.address,
        format!("GET /events?topic=t1 HTTP/1.0\r\nhost: h\r\n{}: {}\r\n\r\n", ANN.0, ANN.1).as_bytes(),
    );
    let mut bob = event_stream(&hub, "topic=t1", BOB, None);
    eventually("all are open", || list(&hub, "")["total"] == 43);
    for query in ["", "?holder=", "?topic=t1", "?holder=ann&topic=t1", "?holder=ann&holder=bob"] {
        assert_problem(&ask(&hub, "DELETE", &format!("/admin/streams{query}")), 400, "query-invalid");
    }
    let ended = ask(&hub, "DELETE", "/admin/streams?holder=ann");
    assert_eq!((ended.status, ended.json()), (200, json!({"ended": 42})));
    let ends = |mut incoming: Incoming| incoming.rest();
    assert!(anns.into_iter().map(ends).all(|rest| rest.contains("retry: ")));
    assert!(!ends(lines).contains("retry"), "NDJSON has none, and just ends");
    assert!(String::from_utf8(wire::drained(&old)).unwrap().matches("retry: ").count() == 2);
    publish(&hub, "t1", "go on");
    assert_eq!(bob.data(1), ["go on"]);
    assert_eq!(ask(&hub, "DELETE", "/admin/streams?holder=ann").json(), json!({"ended": 0}));
    assert_eq!((&list(&hub, "")["total"], &hub_stats(&hub)["ended_by_operator_total"]), (&json!(1), &json!(42)));
}

/// Reads what a client that does not read can still get, and returns the numbers of its whole events, and its last id.
fn leftovers(mut stream: EventStream) -> (Vec<String>, Option<String>) {
    let mut seen = Vec::new();
    while let Ok(Some(message)) = stream.try_next() {
        seen.push(message.data.split(' ').next().unwrap().to_owned());
    }
    (seen, stream.last_id().map(Into::into))
}

#[test]
fn a_client_that_does_not_read_is_ended_too_and_misses_nothing() {
    let hub = with_tokens(&["--stream-write-timeout", "10m", "--stream-keepalive", "10m"]);
    let stalled = event_stream(&hub, "topic=t", ANN, None);
    let replaying = event_stream(&hub, "topic=t&from=earliest", ANN, None);
    let numbers: Vec<_> = (0..60).map(|n| n.to_string()).collect();
    for n in &numbers {
        publish(&hub, "t", &format!("{n} {}", "x".repeat(200_000)));
    }
    eventually("they are behind", || streams(&hub, "").iter().all(|stream| stream["behind_events"] != 0));
    let asked = Instant::now();
    assert_eq!(ask(&hub, "DELETE", "/admin/streams?holder=ann").json(), json!({"ended": 2}));
    assert_eq!(ask(&hub, "DELETE", "/admin/streams?holder=ann").json(), json!({"ended": 0}), "they are ending");
    eventually("they are cut", || list(&hub, "")["total"] == 0);
    println!("cut after {} ms", asked.elapsed().as_millis());
    let stats = hub_stats(&hub);
    assert_eq!((&stats["slow_readers_cut_total"], &stats["ended_by_operator_total"]), (&json!(0), &json!(2)));
    for stream in [stalled, replaying] {
        let (mut seen, last) = leftovers(stream);
        assert!(seen.len() < numbers.len(), "it was cut before the end");
        let mut resumed = event_stream(&hub, "topic=t&from=earliest", ANN, last.as_deref());
        let rest = resumed.data(numbers.len() - seen.len());
        seen.extend(rest.iter().map(|data| data.split(' ').next().unwrap().to_owned()));
        assert_eq!(seen, numbers);
    }
}

#[test]
fn a_client_that_hyper_sends_to_and_that_does_not_read_is_ended_too() {
    let hub = with_tokens(&["--stream-write-timeout", "10m", "--stream-keepalive", "10m"]);
    let request = format!("GET /events?topic=t HTTP/1.0\r\nhost: h\r\n{}: {}\r\n\r\n", ANN.0, ANN.1);
    let socket = wire::send(hub.address, request.as_bytes());
    eventually("it is open", || list(&hub, "")["total"] == 1);
    for n in 0..40 {
        publish(&hub, "t", &format!("{n} {}", "x".repeat(200_000)));
    }
    eventually("it is behind", || streams(&hub, "")[0]["behind_events"] != 0);
    assert_eq!(ask(&hub, "DELETE", "/admin/streams?holder=ann").json(), json!({"ended": 1}));
    eventually("it is cut", || list(&hub, "")["total"] == 0);
    let connections = || hub_stats(&hub)["connections"].as_u64().unwrap();
    eventually("and so is its connection", || connections() == 1);
    drop(socket);
}

/// The data of the events that a client with one descriptor has received.
struct Watcher {
    socket: TcpStream,
    read: String,
}

impl Watcher {
    fn data(&mut self, count: usize) -> Vec<String> {
        let mut bytes = [0; 4096];
        while self.read.matches("\ndata: ").count() < count {
            let read = self.socket.read(&mut bytes).expect("within patience");
            assert!(read > 0, "it ends: {}", self.read);
            self.read.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        }
        let data = self.read.lines().filter_map(|line| line.strip_prefix("data: "));
        data.filter(|data| !data.starts_with('{')).map(Into::into).collect()
    }
}

#[test]
fn three_thousand_streams_are_listed_page_by_page_while_events_are_published_and_none_is_lost() {
    const STREAMS: usize = 3000;
    const EVENTS: usize = 200;
    assert_eq!(descriptors::raise_limit(STREAMS), None, "raise the limit on open files (ulimit -n)");
    let hub = with_tokens(&[]);
    let mut watchers: Vec<_> = (0..STREAMS)
        .map(|n| {
            // Half of them follow one feed, the others one each.
            let own = if n % 2 == 0 { String::new() } else { format!("&topic=own/{n}") };
            let request = format!(
                "GET /events?topic=t{own} HTTP/1.1\r\nhost: h\r\n{}: {}\r\n{}: {}\r\n\r\n",
                SSE.0, SSE.1, ANN.0, ANN.1
            );
            Watcher { socket: wire::send(hub.address, request.as_bytes()), read: String::new() }
        })
        .collect();
    eventually("all are open", || list(&hub, "limit=1")["total"] == STREAMS);
    let listed = std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            for n in 0..EVENTS {
                publish(&hub, "t", &n.to_string());
            }
        });
        let mut listed = Vec::new();
        while !publishing.is_finished() || listed.len() < 3 {
            listed.push(pages(&hub, 100, ""));
            // Their figures change while they are read, and no page fails.
            pages(&hub, 1000, "&sort=sent_bytes");
        }
        publishing.join().unwrap();
        listed
    });
    for all in &listed {
        let unique: BTreeSet<_> = ids(all).into_iter().collect();
        assert_eq!((all.len(), unique.len()), (STREAMS, STREAMS), "each once");
    }
    println!("listed {} times", listed.len());
    let numbers: Vec<_> = (0..EVENTS).map(|n| n.to_string()).collect();
    for watcher in &mut watchers {
        // The first one is the cursor of the greeting.
        assert_eq!(watcher.data(EVENTS + 1), numbers);
    }
    let mut sent = BTreeMap::new();
    eventually("all of it is counted", || {
        sent.clear();
        for stream in pages(&hub, 1000, "") {
            *sent.entry(stream["sent_events"].as_u64().unwrap()).or_insert(0) += 1;
        }
        sent == BTreeMap::from([(200, STREAMS)])
    });
}
