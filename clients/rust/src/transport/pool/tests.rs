//! Against real servers on the loopback.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::atomic::AtomicBool,
    task::{Context, Poll},
    time::Instant,
};

use hyper::{
    body::{Body, Frame},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rustls::{RootCertStore, ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Barrier, mpsc},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::transport::HttpUrl;

/// Longer than any step takes.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// What a stopped run is promised. Generous beside what it takes, about a millisecond.
const PROMPT: Duration = Duration::from_millis(250);

fn server_at(url: &str) -> ServerAddress {
    HttpUrl::parse(url).expect("a URL").server
}

fn plain(url: &str) -> PooledClient {
    let connector = Connector::new(server_at(url), None, None).expect("a host");
    PooledClient::new(Arc::new(connector), MAX_WAIT)
}

fn request(path: &str) -> Request<Bytes> {
    Request::post(path).body(Bytes::from_static(b"prompt")).expect("a request")
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    (listener, url)
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(MAX_WAIT, work).await.expect("in time")
}

/// The head of a request with the body `prompt`.
async fn read_request(client: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\nprompt") {
        bytes.push(within(client.read_u8()).await.expect("a request"));
    }
    String::from_utf8(bytes).expect("ASCII").to_ascii_lowercase()
}

/// How long it takes until the client closes or resets the connection.
async fn time_to_close(client: &mut TcpStream) -> Duration {
    let begun = Instant::now();
    let read = within(client.read(&mut [0])).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    begun.elapsed()
}

async fn whole(response: Response<PooledBody>) -> Vec<u8> {
    let (mut body, mut bytes) = (response.into_body(), Vec::new());
    while let Some(chunk) = within(body.chunk()).await.expect("a chunk") {
        bytes.extend_from_slice(&chunk);
    }
    bytes
}

#[tokio::test]
async fn requests_share_a_connection_and_ask_for_no_compression_and_no_redirect_is_followed() {
    let (listener, url) = listen().await;
    let serving = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("a client");
        let first = read_request(&mut client).await;
        client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.expect("it reads");
        let second = read_request(&mut client).await;
        let redirect = b"HTTP/1.1 307 x\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
        client.write_all(redirect).await.expect("it reads");
        (first, second, client)
    });
    let client = plain(&url);
    let mut asked = request("/v1/chat?a=b");
    asked.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("br"));
    asked.headers_mut().insert(header::HOST, HeaderValue::from_static("hub.example"));
    let response = within(client.send(asked)).await.expect("a response");
    assert_eq!(whole(response).await, b"ok");
    let response = within(client.send(request("/"))).await.expect("a response");
    assert_eq!(response.status(), 307);
    let (first, second, _open) = serving.await.expect("one connection");
    assert!(
        first.starts_with("post /v1/chat?a=b http/1.1\r\n") && second.starts_with("post / http/1.1\r\n"),
        "{first}"
    );
    assert!(first.contains("\r\naccept-encoding: identity\r\n") && !first.contains("br\r\n"), "{first}");
    let host = url.trim_start_matches("http://");
    assert!(first.contains(&format!("\r\nhost: {host}\r\n")) && !first.contains("hub.example"), "{first}");
    assert!(first.contains("\r\nuser-agent: gapless/") && first.contains("\r\ncontent-length: 6\r\n"), "{first}");
}

#[tokio::test]
async fn a_response_that_is_dropped_before_its_head_closes_the_connection_at_once() {
    let (listener, url) = listen().await;
    let client = plain(&url);
    let sending = tokio::spawn(async move { client.send(request("/")).await.map(drop) });
    let (mut server, _) = within(listener.accept()).await.expect("a client");
    read_request(&mut server).await;
    sending.abort();
    let took = time_to_close(&mut server).await;
    assert!(took < PROMPT, "{took:?}");
}

#[tokio::test]
async fn a_body_that_is_dropped_in_its_middle_closes_the_connection_at_once() {
    let (listener, url) = listen().await;
    let serving = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("a client");
        read_request(&mut client).await;
        client.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n").await.expect("it reads");
        client
    });
    let client = plain(&url);
    let mut body = within(client.send(request("/"))).await.expect("a response").into_body();
    assert_eq!(within(body.chunk()).await.expect("a chunk").as_deref(), Some(&b"one"[..]));
    let mut server = serving.await.expect("it served");
    // It waits for the next chunk as a run does, and the server is silent.
    assert!(timeout(Duration::from_millis(50), body.chunk()).await.is_err());
    drop(body);
    let took = time_to_close(&mut server).await;
    assert!(took < PROMPT, "{took:?}");
    assert_eq!(client.lanes.lock()[0].requests.load(Relaxed), 0);
}

#[tokio::test]
async fn a_request_that_the_server_has_read_is_never_sent_again() {
    let (listener, url) = listen().await;
    let client = plain(&url);
    // On a new connection, and on a kept one.
    for kept in [false, true] {
        let serving = async {
            let (mut server, _) = listener.accept().await.expect("a client");
            if kept {
                read_request(&mut server).await;
                server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.expect("it reads");
            }
            read_request(&mut server).await;
        };
        let asking = async {
            if kept {
                whole(client.send(request("/")).await.expect("a response")).await;
            }
            client.send(request("/")).await
        };
        let (answer, ()) = within(async { tokio::join!(asking, serving) }).await;
        let error = answer.expect_err("closed");
        assert!(matches!(error, SendError::Unknown(_)), "{error:?}");
        let again = timeout(Duration::from_millis(300), listener.accept()).await;
        assert!(again.is_err(), "it has come again");
    }
}

#[tokio::test]
async fn what_was_not_sent_is_told_from_what_may_have_been() {
    let (listener, url) = listen().await;
    drop(listener);
    let error = within(plain(&url).send(request("/"))).await.expect_err("closed");
    assert!(matches!(error, SendError::NotSent(_)) && error.to_string().contains("refused"), "{error}");

    let (listener, url) = listen().await;
    let silent = server_at(&url.replace("http:", "https:"));
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let connector = Connector::new(silent, None, Some(trust_only(own.cert.der()))).expect("a host");
    let client = PooledClient::new(Arc::new(connector), Duration::from_millis(50));
    let error = within(client.send(request("/"))).await.expect_err("no handshake");
    assert!(matches!(error, SendError::NotSent(_)) && error.to_string().contains("longer than 0.05 s"), "{error}");
    drop(listener);

    let (listener, url) = listen().await;
    let serving = tokio::spawn(async move {
        let (mut server, _) = listener.accept().await.expect("a client");
        read_request(&mut server).await;
        server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc").await.expect("it reads");
    });
    let mut body = within(plain(&url).send(request("/"))).await.expect("a response").into_body();
    assert_eq!(within(body.chunk()).await.expect("a chunk").as_deref(), Some(&b"abc"[..]));
    let error = within(body.chunk()).await.expect_err("it ends early");
    assert!(error.to_string().starts_with("the answer breaks off: "), "{error}");
    serving.await.expect("it served");
}

#[tokio::test]
async fn a_forwarding_proxy_gets_the_whole_url_and_its_own_credentials() {
    let (listener, url) = listen().await;
    let proxy = url.replace("http://", "http://me:secret@");
    let server = server_at("http://provider.example/");
    let proxy = Proxy::find(&server, ProxyVariables::Any, |name| (name == "HTTP_PROXY").then(|| proxy.clone()));
    let connector = Connector::new(server, proxy.expect("valid"), None).expect("a host");
    let client = PooledClient::new(Arc::new(connector), MAX_WAIT);
    let serving = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("a client");
        let head = read_request(&mut client).await;
        client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.expect("it reads");
        head
    });
    within(client.send(request("/v1/x"))).await.expect("a response");
    let head = serving.await.expect("it served");
    assert!(head.starts_with("post http://provider.example/v1/x http/1.1\r\n"), "{head}");
    assert!(
        head.contains("\r\nproxy-authorization: basic ") && head.contains("\r\nhost: provider.example\r\n"),
        "{head}"
    );
}

fn trust_only(certificate: &rustls::pki_types::CertificateDer<'static>) -> Arc<rustls::ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("a root");
    trust::offer_http2(&trust::config(roots).expect("a root"))
}

/// A server with TLS that speaks HTTP/2 when `alpn` has it; its client, and its connections.
async fn secure(
    alpn: &[&[u8]],
) -> (PooledClient, impl Future<Output = tokio_rustls::server::TlsStream<TcpStream>> + use<>, SecureListener) {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).expect("a key");
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .expect("they fit");
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server = server_at(&format!("https://localhost:{port}"));
    let connector = Connector::new(server, None, Some(trust_only(own.cert.der()))).expect("a host");
    let listener = SecureListener(Arc::new((listener, TlsAcceptor::from(Arc::new(config)))));
    let first = listener.clone();
    (PooledClient::new(Arc::new(connector), MAX_WAIT), async move { first.accept().await }, listener)
}

#[derive(Clone)]
struct SecureListener(Arc<(TcpListener, TlsAcceptor)>);

impl SecureListener {
    async fn accept(&self) -> tokio_rustls::server::TlsStream<TcpStream> {
        let (socket, _) = self.0.0.accept().await.expect("a client");
        self.0.1.accept(socket).await.expect("a handshake")
    }
}

#[tokio::test]
async fn a_server_without_http2_is_spoken_to_in_http1_over_tls() {
    let (client, accepted, _listener) = secure(&[b"http/1.1"]).await;
    let serving = tokio::spawn(async move {
        let mut stream = accepted.await;
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"prompt") {
            bytes.push(stream.read_u8().await.expect("a request"));
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.expect("it reads");
        stream.flush().await.expect("it reads");
        (String::from_utf8(bytes).expect("ASCII"), stream)
    });
    let response = within(client.send(request("/"))).await.expect("a response");
    assert_eq!(whole(response).await, b"ok");
    assert!(serving.await.expect("it served").0.starts_with("POST / HTTP/1.1\r\n"));
}

/// Tells when it is dropped.
struct Dropped(mpsc::UnboundedSender<()>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _nobody_waits = self.0.send(());
    }
}

/// A body of one chunk and then silence.
struct SilentBody {
    chunk: Option<Bytes>,
    _dropped: Dropped,
}

impl Body for SilentBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.chunk.take().map_or(Poll::Pending, |chunk| Poll::Ready(Some(Ok(Frame::data(chunk)))))
    }
}

#[tokio::test]
async fn over_http2_what_is_dropped_before_its_head_or_in_its_middle_resets_its_stream_alone() {
    let (client, accepted, _listener) = secure(&[b"h2", b"http/1.1"]).await;
    let (told, mut dropped) = mpsc::unbounded_channel();
    let (seen, mut requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let service = service_fn(move |request: Request<Incoming>| {
            let (told, seen) = (Dropped(told.clone()), seen.clone());
            async move {
                let path = request.uri().path().to_owned();
                request.into_body().collect().await.expect("a body");
                seen.send(path.clone()).expect("the test reads");
                if path == "/never" {
                    let _told = told;
                    return std::future::pending().await;
                }
                let body = SilentBody { chunk: Some(Bytes::from_static(b"one")), _dropped: told };
                Ok::<_, Infallible>(Response::new(body))
            }
        });
        let serving = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(accepted.await), service);
        let _ended_by_the_test = serving.await;
    });
    let client = Arc::new(client);
    let mut stays = within(client.send(request("/stays"))).await.expect("a response").into_body();
    assert_eq!(within(requests.recv()).await.as_deref(), Some("/stays"));
    assert_eq!(within(stays.chunk()).await.expect("a chunk").as_deref(), Some(&b"one"[..]));

    let sending = tokio::spawn({
        let client = Arc::clone(&client);
        async move { client.send(request("/never")).await.map(drop) }
    });
    assert_eq!(within(requests.recv()).await.as_deref(), Some("/never"));
    let begun = Instant::now();
    sending.abort();
    within(dropped.recv()).await.expect("reset");
    assert!(begun.elapsed() < PROMPT, "{:?}", begun.elapsed());

    let mut body = within(client.send(request("/body"))).await.expect("a response").into_body();
    assert_eq!(within(body.chunk()).await.expect("a chunk").as_deref(), Some(&b"one"[..]));
    assert!(timeout(Duration::from_millis(50), body.chunk()).await.is_err());
    let begun = Instant::now();
    drop(body);
    within(dropped.recv()).await.expect("reset");
    assert!(begun.elapsed() < PROMPT, "{:?}", begun.elapsed());

    // The other stream of the connection is still there.
    assert!(timeout(Duration::from_millis(50), stays.chunk()).await.is_err());
    assert!(dropped.try_recv().is_err());
}

#[tokio::test]
async fn more_requests_than_an_http2_connection_takes_do_not_wait_for_each_other() {
    const REQUESTS: usize = 150;
    let (client, _, listener) = secure(&[b"h2"]).await;
    let (all, connections) = (Arc::new(Barrier::new(REQUESTS)), Arc::new(AtomicUsize::new(0)));
    let accepting = tokio::spawn({
        let (all, connections) = (Arc::clone(&all), Arc::clone(&connections));
        async move {
            loop {
                let stream = listener.accept().await;
                let served = Arc::new(AtomicBool::new(false));
                let (all, connections) = (Arc::clone(&all), Arc::clone(&connections));
                let service = service_fn(move |_: Request<Incoming>| {
                    if !served.swap(true, Relaxed) {
                        connections.fetch_add(1, Relaxed);
                    }
                    let all = Arc::clone(&all);
                    async move {
                        all.wait().await;
                        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok"))))
                    }
                });
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.max_concurrent_streams(u32::try_from(LANE_REQUESTS).expect("few"));
                tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
            }
        }
    });
    let client = Arc::new(client);
    let asking = (0..REQUESTS).map(|_| {
        let client = Arc::clone(&client);
        tokio::spawn(async move { whole(client.send(request("/")).await.expect("a response")).await })
    });
    for answer in asking.collect::<Vec<_>>() {
        assert_eq!(within(answer).await.expect("an answer"), b"ok");
    }
    assert_eq!(connections.load(Relaxed), 2);
    assert!(client.lanes.lock().iter().all(|lane| lane.requests.load(Relaxed) == 0));
    accepting.abort();
}
