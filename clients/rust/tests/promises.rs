//! Promises of the client that need no real hub: a small server plays one. All others are in clients/vectors.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use gapless_client::{ClientError, CursorStore as _, FileStore, Hub, Item, TokenFailure};
use parking_lot::Mutex;

/// A server that answers one request on each connection.
struct Server {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `answer` gets the connection after the request, and the number of requests before it. The connection closes when it
    /// returns.
    fn start(answer: impl Fn(&mut TcpStream, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let kept = Arc::clone(&requests);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let mut client = client;
                let (mut bytes, mut request) = (vec![0; 64 << 10], String::new());
                while !is_whole(&request) {
                    let Ok(count @ 1..) = client.read(&mut bytes) else { break };
                    request.push_str(&String::from_utf8_lossy(&bytes[..count]));
                }
                let before = kept.lock().len();
                kept.lock().push(request);
                answer(&mut client, before);
            }
        });
        Self { url, requests }
    }

    /// The values of a header in all requests.
    fn values(&self, header: &str) -> Vec<String> {
        let value = |request: &String| Some(request.lines().find_map(|line| line.strip_prefix(header))?.to_owned());
        self.requests.lock().iter().filter_map(value).collect()
    }
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_none_or(|length| body.len() >= length.parse().unwrap())
}

fn json(client: &mut TcpStream, status: &str, body: &str) {
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", body.len());
    let _gone = client.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes());
}

fn receipt(client: &mut TcpStream) {
    json(client, "200 OK", r#"{"topic":"t","id":"abcd-1","time":"2026-01-31T09:00:00.000Z","subscribers":0}"#);
}

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

fn event(number: u32) -> String {
    let envelope = format!(
        r#"{{"topic":"t","id":"abcd-{number}","time":"2026-01-31T09:00:00.000Z","event":"message","data":"{number}"}}"#
    );
    format!("data: {envelope}\nid: abcd-{number}\n\n")
}

#[tokio::test]
async fn a_publish_without_an_answer_is_uncertain_when_it_gives_up_and_had_one_key() {
    let server = Server::start(|_, _| {});
    let hub = Hub::new(&server.url).unwrap();
    let error = hub.publish(("t", "x")).give_up_after(Duration::from_millis(1500)).await.unwrap_err();
    let ClientError::Uncertain { key, cause } = error else { panic!("{error:?}") };
    assert!(matches!(*cause, ClientError::Broken(_)), "{cause:?}");
    let keys = server.values("idempotency-key: ");
    assert!(keys.len() >= 2 && keys.iter().all(|sent| *sent == key), "{keys:?}");
}

#[tokio::test]
async fn a_publish_that_was_never_sent_is_not_uncertain() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let hub = Hub::new(&format!("http://{free}")).unwrap();
    let error = hub.publish(("t", "x")).give_up_after(Duration::from_millis(700)).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_of_a_proxy_leaves_it_open_and_one_of_the_hub_does_not() {
    for (status, body, is_uncertain) in [
        ("502 Bad Gateway", "<h1>Bad Gateway</h1>", true),
        ("503 Later", r#"{"status":503,"code":"store-unavailable"}"#, true),
        ("503 Later", r#"{"status":503,"code":"draining"}"#, false),
    ] {
        let server = Server::start(move |client, _| json(client, status, body));
        let publish = Hub::new(&server.url).unwrap().publish(("t", "x")).give_up_after(Duration::from_millis(900));
        let error = publish.await.unwrap_err();
        assert_eq!(matches!(error, ClientError::Uncertain { .. }), is_uncertain, "{body}: {error:?}");
        assert_eq!(error.problem().and_then(gapless_client::HubProblem::status), status[..3].parse().ok());
    }
}

#[tokio::test]
async fn a_wait_that_was_given_up_loses_no_item() {
    let server = Server::start(|client, _| {
        client.write_all(STREAM.as_bytes()).unwrap();
        for number in 1..=3 {
            // In two pieces, with a pause that is longer than the consumer's patience.
            let text = event(number);
            let (first, second) = text.split_at(20);
            client.write_all(first.as_bytes()).unwrap();
            thread::sleep(Duration::from_millis(150));
            client.write_all(second.as_bytes()).unwrap();
        }
        thread::sleep(Duration::from_secs(5));
    });
    let mut items = Hub::new(&server.url).unwrap().subscribe(["t"]).start();
    let (mut heard, mut given_up) = (Vec::new(), 0);
    while heard.len() < 3 {
        match tokio::time::timeout(Duration::from_millis(20), items.next()).await {
            Ok(Some(Ok(Item::Event(event)))) => heard.push(event.data),
            Ok(other) => panic!("{other:?}"),
            Err(_) => given_up += 1,
        }
    }
    assert_eq!((heard.join(" "), server.requests.lock().len()), ("1 2 3".into(), 1));
    assert!(given_up > 3, "{given_up}");
}

#[tokio::test]
async fn the_cursor_moves_when_the_consumer_is_done_with_an_item() {
    let server = Server::start(|client, _| {
        let _gone = client.write_all(format!("{STREAM}{}{}", event(1), event(2)).as_bytes());
        thread::sleep(Duration::from_millis(500));
    });
    let directory = tempfile::tempdir().unwrap();
    let kept = || FileStore::new(directory.path().join("cursor"));
    let mut items = Hub::new(&server.url).unwrap().subscribe(["t"]).store(kept()).start();
    items.next().await.unwrap().unwrap();
    assert_eq!(kept().get().await.unwrap(), None, "the consumer has it still");
    items.next().await.unwrap().unwrap();
    assert_eq!(kept().get().await.unwrap().as_deref(), Some("abcd-1"));
    items.acknowledge().await.unwrap();
    assert_eq!((kept().get().await.unwrap(), items.cursor()), (Some("abcd-2".into()), Some("abcd-2".into())));
    drop(items);

    let mut again = Hub::new(&server.url).unwrap().subscribe(["t"]).store(kept()).start();
    again.next().await.unwrap().unwrap();
    assert_eq!(server.values("last-event-id: "), ["abcd-2"]);
}

#[tokio::test]
async fn a_token_function_that_cannot_yet_is_called_again_and_one_that_cannot_or_hangs_ends_it() {
    let server = Server::start(|client, _| receipt(client));
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let later = Hub::builder(&server.url).token_function(move || {
        let call = counted.fetch_add(1, Ordering::SeqCst);
        async move { if call == 0 { Err(TokenFailure::Later("not yet".into())) } else { Ok("good".to_owned()) } }
    });
    let hub = later.build().unwrap();
    for _ in 0..2 {
        hub.publish(("t", "x")).await.unwrap();
    }
    assert_eq!(calls.load(Ordering::SeqCst), 2, "a token is kept");
    assert_eq!(server.values("authorization: "), ["Bearer good", "Bearer good"]);

    let silent = Hub::builder(&server.url).token_function(std::future::pending::<Result<String, TokenFailure>>);
    let silent = silent.build().unwrap().publish(("t", "x")).give_up_after(Duration::from_millis(300));
    let error = tokio::time::timeout(Duration::from_secs(20), silent).await.expect("it gives up").unwrap_err();
    assert!(matches!(error, ClientError::Broken(_)), "{error:?}");

    let never = Hub::builder(&server.url).token_function(|| async { Err(TokenFailure::Final("no login".into())) });
    let error = never.build().unwrap().publish(("t", "x")).await.unwrap_err();
    assert!(matches!(&error, ClientError::TokenFunction(_)) && error.to_string().contains("no login"), "{error}");
}

#[tokio::test]
async fn a_publish_stream_that_is_dropped_sends_what_waits() {
    let server = Server::start(|client, _| {
        json(client, "200 OK", r#"{"events":[{"topic":"t","id":"abcd-1","time":"x","subscribers":0}]}"#);
    });
    let stream = Hub::new(&server.url).unwrap().stream("t").unwrap();
    stream.write("only").await.unwrap();
    drop(stream);
    for _ in 0..500 {
        if server.requests.lock().iter().any(|request| request.contains(r#"[{"topic":"t","data":"only"}]"#)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it was not sent: {:?}", server.requests.lock());
}

#[tokio::test]
async fn what_cannot_be_sent_is_an_error_before_anything_is_sent() {
    let in_the_clear = Hub::builder("http://hub.example").token("secret");
    assert!(matches!(in_the_clear.build(), Err(ClientError::InTheClear { .. })));
    Hub::builder("http://hub.example").token("secret").insecure_token().build().unwrap();
    for url in ["hub.example", "ftp://hub.example", "https://me:secret@hub.example", "http://hub.example/?x=1"] {
        assert!(matches!(Hub::new(url), Err(ClientError::Url { .. })), "{url}");
    }
    let server = Server::start(|client, _| receipt(client));
    let hub = Hub::new(&server.url).unwrap();
    let error = hub.publish(("t", "x")).key("a\nb").await.unwrap_err();
    assert!(matches!(error, ClientError::Option(_)), "{error:?}");
    assert_eq!(server.requests.lock().len(), 0);
}
