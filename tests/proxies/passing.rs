//! What passes through a proxy, and when.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use gapless::config::KEYS;

use crate::{
    child::{Child, here, tool},
    proxy::{Kind, Proxy},
    story::{self, Client, Heard, Listener},
    support::{
        PATIENCE, eventually,
        hub::Hub,
        wire::{self, EventStream, Incoming},
    },
};

fn publish(through: SocketAddr, data: &str) -> String {
    let answer = wire::request(through, "POST", "/publish?topic=t", &[("content-type", "text/plain")], data.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["id"].as_str().unwrap().into()
}

fn next(stream: &mut EventStream) -> String {
    stream.next().expect("an open stream").data
}

/// Events published a tenth of a second apart arrive separately, not in batches; a cursor passes, too.
fn passes_on_as_it_comes(kind: Kind) {
    let hub = Hub::start();
    let proxy = Proxy::before(hub.address, kind);
    let mut stream = wire::watch(proxy.address, "topic=t&from=earliest", None);
    assert_eq!(stream.incoming.headers.get("content-type"), Some("text/event-stream; charset=utf-8"));
    let publisher = thread::spawn(move || {
        let say = |n: usize| {
            thread::sleep(Duration::from_millis(100));
            publish(proxy.address, &n.to_string())
        };
        ((0..20).map(say).collect::<Vec<_>>(), proxy)
    });
    let mut arrivals = Vec::new();
    for n in 0..20 {
        assert_eq!(next(&mut stream), n.to_string());
        arrivals.push(Instant::now());
    }
    let apart = arrivals.windows(2).filter(|pair| pair[1] - pair[0] > Duration::from_millis(30)).count();
    assert!(apart >= 15, "{apart} of 19 came on their own");

    let (ids, proxy) = publisher.join().unwrap();
    let mut resumed = wire::watch(proxy.address, "topic=t&from=earliest", Some(&ids[9]));
    assert_eq!(next(&mut resumed), "10");
}

/// A stream of lines is committed, delivered and acknowledged line by line.
fn passes_a_publishers_stream_on(kind: Kind) {
    let hub = Hub::start();
    let proxy = Proxy::before(hub.address, kind);
    let mut stream = wire::watch(proxy.address, "topic=t&from=earliest", None);
    let mut socket = TcpStream::connect(proxy.address).unwrap();
    write!(
        socket,
        "POST /publish?topic=t HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    .unwrap();
    for n in 0..3 {
        write!(socket, "2\r\n{n}\n\r\n").unwrap();
        assert_eq!(next(&mut stream), n.to_string());
    }
    write!(socket, "0\r\n\r\n").unwrap();
    let mut receipts = Incoming::read(socket, false).unwrap();
    for _ in 0..3 {
        assert!(receipts.line().unwrap().contains("\"id\""));
    }
}

/// A silence longer than the proxy's idle timeout is bridged by the hub's keepalives, at a fifth of the usual pace.
fn silence_cuts_nothing(kind: Kind) {
    let hub = Hub::start_with(&["--stream-keepalive", "1s"]);
    let proxy = Proxy::patient(hub.address, kind, "4s");
    let mut stream = wire::watch(proxy.address, "topic=t&from=earliest", None);
    publish(proxy.address, "before");
    assert_eq!(next(&mut stream), "before");
    thread::sleep(Duration::from_secs(9));
    publish(proxy.address, "after");
    assert_eq!(next(&mut stream), "after");
}

/// The hub's own page, on any port of the proxy, is not treated as a page of another site.
fn the_hubs_page_may_publish_on_any_port(kind: Kind) {
    let hub = Hub::start();
    let proxy = Proxy::before(hub.address, kind);
    let publish = |origin: String| {
        wire::request(proxy.address, "POST", "/publish?topic=t", &[("origin", &origin)], b"from the page").status
    };
    assert_eq!(publish(format!("http://{}", proxy.address)), 200);
    assert_eq!(publish("http://127.0.0.1".into()), 403, "what listens on another port is another site");
}

/// The proxy, and not the hub, closes an idle connection between them: else a request in flight would be lost.
fn an_idle_connection_is_closed_by_the_proxy(kind: Kind) {
    let hub = Hub::start();
    let proxy = Proxy::hasty(hub.address, kind);
    publish(proxy.address, "and then nothing");
    // The one that asks is counted, too. The hub would wait for 30 s and more.
    let asked = Instant::now();
    eventually("nothing idles", || hub.stats()["connections"] == 1);
    assert!(asked.elapsed() < PATIENCE / 2, "the hub hung up first");
}

/// While the hub is down an EventSource gets a `retry:`, and other requests get an error status.
fn an_absence_ends_no_eventsource(kind: Kind) {
    let mut hub = Hub::start();
    let proxy = Proxy::before(hub.address, kind);
    hub.kill();
    let mut told = wire::open(proxy.address, "GET", "/events?topic=t", &[("accept", "text/event-stream")], b"");
    assert_eq!(told.status, 200);
    assert!(told.headers.get("content-type").unwrap().starts_with("text/event-stream"));
    let mut bytes = Vec::new();
    told.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"retry: 3000\n", "a blank line would be an empty event to some clients");
    let headers = [("accept", "application/json")];
    let answer = wire::request(proxy.address, "GET", "/events?topic=t", &headers, b"");
    assert!((502..=504).contains(&answer.status), "{}", answer.status);
    let answer = wire::request(proxy.address, "POST", "/publish?topic=t", &[], b"lost");
    assert!((502..=504).contains(&answer.status), "{}", answer.status);
}

/// npm's EventSource behind a proxy.
struct Behind {
    client: Child,
    _proxy: Proxy,
}

impl Listener for Behind {
    fn heard(&mut self) -> Vec<Heard> {
        self.client.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn stopped(&mut self) -> bool {
        self.client.exit_code().is_some()
    }
}

/// What every client lives through in `tests/clients`, behind a proxy.
fn an_eventsource_outlives_the_hub(kind: Kind) {
    story::killed_twice(|url| {
        let (hub, query) = url.strip_prefix("http://").unwrap().split_once("/events").unwrap();
        let proxy = Proxy::before(hub.parse().unwrap(), kind);
        let url = format!("http://{}/events{query}", proxy.address);
        let script = here("tests/clients/eventsource.mjs");
        let client = Child::spawn(Command::new(tool("node")).arg(script).arg(url));
        vec![Client { name: "eventsource", listener: Box::new(Behind { client, _proxy: proxy }) }]
    });
}

macro_rules! promises {
    ($($module:ident = $kind:ident: $($promise:ident)*;)*) => {
        $(mod $module {
            use super::Kind;
            $(#[test]
            fn $promise() {
                super::$promise(Kind::$kind);
            })*
        })*
    };
}

promises! {
    // Caddy has no idle timeout for a silence to meet, and its HTTP/1.1 no receipts before a request's end.
    nginx = Nginx: passes_on_as_it_comes passes_a_publishers_stream_on silence_cuts_nothing
        the_hubs_page_may_publish_on_any_port an_idle_connection_is_closed_by_the_proxy
        an_absence_ends_no_eventsource an_eventsource_outlives_the_hub;
    caddy = Caddy: passes_on_as_it_comes
        the_hubs_page_may_publish_on_any_port an_idle_connection_is_closed_by_the_proxy
        an_absence_ends_no_eventsource an_eventsource_outlives_the_hub;
    // HAProxy has no setting for how long a connection to the hub idles, and drops it within 20 s.
    haproxy = Haproxy: passes_on_as_it_comes passes_a_publishers_stream_on silence_cuts_nothing
        the_hubs_page_may_publish_on_any_port
        an_absence_ends_no_eventsource an_eventsource_outlives_the_hub;
    stock_nginx = StockNginx: passes_on_as_it_comes;
}

/// What the configurations say: no proxy keeps an idle connection to the hub for as long as the hub itself does.
#[test]
fn no_proxy_keeps_an_idle_connection_for_longer_than_the_hub() {
    let default = |path: &str| KEYS.iter().find(|key| key.path() == path).map(|key| seconds(key.default));
    let hub = default("http.idle_timeout").unwrap();
    for (file, directive) in [
        ("deploy/nginx.conf", "keepalive_timeout "),
        ("deploy/Caddyfile", "\tkeepalive "),
        ("deploy/haproxy.cfg", "timeout http-keep-alive "),
    ] {
        let text = fs::read_to_string(here(file)).unwrap();
        let value = text.split_once(directive).unwrap_or_else(|| panic!("{file} has no {directive}")).1;
        let proxy = seconds(value.split(|c: char| c == ';' || c.is_whitespace()).next().unwrap());
        assert!(proxy < hub, "{file}: {proxy} s, and the hub hangs up after {hub} s");
    }
}

fn seconds(text: &str) -> u64 {
    text.strip_suffix('s')
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{text:?} is not in seconds"))
}

/// The one long test: nginx in its default configuration cuts after 60 s of silence, and the hub's default keepalive
/// prevents that.
#[test]
fn a_stock_nginx_with_its_default_timeout_cuts_nothing_in_seventy_seconds_of_silence() {
    let hub = Hub::start();
    let proxy = Proxy::before(hub.address, Kind::StockNginx);
    let mut stream = wire::watch(proxy.address, "topic=t&from=earliest", None);
    publish(proxy.address, "before");
    assert_eq!(next(&mut stream), "before");
    thread::sleep(Duration::from_secs(70));
    publish(proxy.address, "after");
    assert_eq!(next(&mut stream), "after");
}
