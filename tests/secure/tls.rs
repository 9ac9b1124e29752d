//! TLS: versions, replaced certificates, reported errors, streams as without TLS.

use std::{
    fs,
    io::{Read, Write},
    process::{Command, Stdio},
    thread,
};

use crate::{
    frames::Frames,
    support::{eventually, hub::Hub, wire},
    trust::{Trust, chunks_until, connect},
};

/// The output of `openssl s_client` for a handshake with these arguments.
fn probe(hub: &Hub, arguments: &[&str]) -> String {
    let at = hub.address.to_string();
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &at, "-servername", "localhost"]).args(arguments);
    let output = command.stdin(Stdio::null()).output().expect("openssl");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn versions_1_2_and_1_3_are_spoken_and_nothing_older_or_weaker() {
    let trust = Trust::new();
    let hub = trust.hub(&[]);
    let old = "DEFAULT:@SECLEVEL=0";
    for (arguments, version) in [(&["-tls1_2"][..], "TLSv1.2"), (&["-tls1_3"], "TLSv1.3")] {
        let said = probe(&hub, arguments);
        assert!(said.contains(&format!("New, {version}, Cipher is")) && !said.contains("Cipher is (NONE)"), "{said}");
        assert!(said.contains("Compression: NONE") && said.contains("No ALPN negotiated"), "{said}");
    }
    let modern = probe(&hub, &["-tls1_2", "-cipher", old]);
    assert!(
        modern.contains("Secure Renegotiation IS supported"),
        "as an extension, which keeps out a prefix: {modern}"
    );
    for arguments in [
        &["-tls1", "-cipher", old][..],
        &["-tls1_1", "-cipher", old],
        &["-tls1_2", "-cipher", "AES128-SHA:AES256-SHA:AES128-GCM-SHA256:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "ALL:eNULL:!aRSA:!ECDHE:@SECLEVEL=0"],
    ] {
        let said = probe(&hub, arguments);
        assert!(said.contains("Cipher is (NONE)"), "{arguments:?}: {said}");
    }
    for (asked, given) in [("h2,http/1.1", "h2"), ("http/1.1", "http/1.1"), ("http/1.1,h2", "h2")] {
        assert!(probe(&hub, &["-alpn", asked]).contains(&format!("ALPN protocol: {given}\n")), "{asked}");
    }
    assert!(probe(&hub, &["-alpn", "acme-tls/1"]).contains("no application protocol"), "ACME was not asked for");
}

#[test]
fn renegotiation_is_refused() {
    let trust = Trust::new();
    let hub = trust.hub(&[]);
    let mut client = Command::new("openssl")
        .args(["s_client", "-tls1_2", "-connect", &hub.address.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl");
    let mut stdin = client.stdin.take().unwrap();
    let asking = thread::spawn(move || {
        // A line with R alone asks for a new handshake, once there is a first.
        for _ in 0..100 {
            thread::sleep(std::time::Duration::from_millis(100));
            if stdin.write_all(b"R\n").is_err() {
                break;
            }
        }
    });
    let mut said = String::new();
    client.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    asking.join().unwrap();
    client.wait().unwrap();
    assert!(said.contains("RENEGOTIATING") && said.contains("no renegotiation"), "{said}");
    Trust::publish(hub.address, "t", "x");
}

#[test]
fn a_client_that_comes_back_resumes_by_a_ticket() {
    let trust = Trust::new();
    let hub = trust.hub(&[]);
    let session = tempfile::NamedTempFile::new().unwrap();
    let path = session.path().to_str().unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        // A request, so that the client waits for what comes after the handshake.
        let ask = format!(
            "printf 'GET /healthz HTTP/1.1\\r\\nhost: x\\r\\nconnection: close\\r\\n\\r\\n' | \
             openssl s_client {version} -connect {} -servername localhost -ign_eof -sess_out {path}",
            hub.address
        );
        let first = Command::new("sh").args(["-c", &ask]).output().unwrap();
        assert!(String::from_utf8_lossy(&first.stdout).contains("New, TLSv1."));
        let again = probe(&hub, &[version, "-sess_in", path]);
        assert!(again.contains("Reused, TLSv1."), "{again}");
    }
}

#[test]
fn plain_http_on_a_tls_port_is_refused_with_the_reason() {
    let trust = Trust::new();
    let hub = trust.hub(&[]);
    let answer = hub.get("/topics");
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("https://"), "{}", answer.text());
    let post = hub.post("/publish?topic=t", &[], &vec![b'x'; 30_000]);
    assert_eq!(post.status, 400);
    for junk in [&b"\x00\x01\x02"[..], b"\x16\x03\x01\x00\x05hello", b"\x16\x03\x03\xff\xff"] {
        let socket = wire::send(hub.address, junk);
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        wire::drained(&socket);
    }
    Trust::publish(hub.address, "t", "x");
}

#[test]
fn a_new_certificate_is_used_without_a_restart_and_a_broken_one_is_not() {
    let trust = Trust::new();
    let hub = trust.hub(&[]);
    let (_, mut stream) = trust.watch(&hub, "topic=t");
    let old = fs::read(trust.chain()).unwrap();
    // One new file of a pair does not match the other, and is not used.
    let key = fs::read(trust.key()).unwrap();
    trust.renew();
    let new = (fs::read(trust.chain()).unwrap(), fs::read(trust.key()).unwrap());
    fs::write(trust.key(), &key).unwrap();
    eventually("it is told", || hub.log().contains("the old one stays"));
    assert!(connect(&old, hub.address, "h2").is_ok());
    fs::write(trust.key(), &new.1).unwrap();
    eventually("the new one is in use", || connect(&new.0, hub.address, "h2").is_ok());
    assert!(connect(&old, hub.address, "h2").is_err(), "and the old one no more");
    Trust::publish(hub.address, "t", "still here");
    chunks_until(&mut stream, "still here\nid: ");
    assert_eq!(hub.log().matches("the old one stays").count(), 1, "each is told once: {}", hub.log());
}

#[test]
fn mistakes_about_the_certificate_are_reported_at_once_with_code_78() {
    let (trust, other) = (Trust::new(), Trust::new());
    let [chain, key, foreign] = [trust.chain(), trust.key(), other.key()].map(|path| path.to_str().unwrap().to_owned());
    let both = ["--tls-cert", "nothing.pem", "--tls-key", "nowhere.pem"];
    for (arguments, wants) in [
        (&["--tls-cert", &chain][..], &["tls.key", "one needs the other"][..]),
        (&["--tls-key", &key, "--http-header-timeout", "soon"], &["2 mistakes", "one needs the other", "soon"]),
        (&["--tls-cert", &chain, "--tls-key", &foreign], &["is not the key of"]),
        (&["--tls-cert", &key, "--tls-key", &chain], &["no certificate", "no private key"]),
        (&both, &["nothing.pem cannot be read", "nowhere.pem cannot be read"]),
        (&["--tls-cert", &chain, "--tls-key", &key, "--tls-acme", "hub.example"], &["either from files or from ACME"]),
    ] {
        let mut all = vec!["--listen", "127.0.0.1:0"];
        all.extend(arguments);
        let (code, said) = Hub::refused(&all);
        assert_eq!(code, Some(78), "{arguments:?}: {said}");
        for want in wants {
            assert!(said.contains(want), "{want}: {said}");
        }
        assert!(!said.contains("PRIVATE KEY"), "no secret is shown: {said}");
    }
}

#[test]
fn a_stream_within_tls_ends_so_that_its_reader_knows() {
    let trust = Trust::new();
    let mut hub = trust.hub(&[]);
    Trust::publish(hub.address, "t", "x");
    let (_, mut stream) = trust.watch(&hub, "topic=t&from=earliest");
    chunks_until(&mut stream, "data: x\nid: ");
    hub.terminate();
    let mut rest = String::new();
    // rustls reports an end without `close_notify` as an error.
    stream.read_to_string(&mut rest).expect("an end in order");
    assert!(rest.contains("retry: ") && rest.ends_with("0\r\n\r\n"), "{rest}");
    assert_eq!(hub.wait(), Some(0));
}

#[test]
fn a_client_that_does_not_read_its_tls_stream_is_cut_and_loses_nothing() {
    let trust = Trust::new();
    let hub = trust.hub(&["--stream-write-timeout", "1s", "--stream-ring-bytes", "64KiB"]);
    let (_, mut stalled) = trust.watch(&hub, "topic=t&from=earliest");
    let (_, mut reading) = trust.watch(&hub, "topic=t&from=earliest");
    let body = "x".repeat(60_000);
    let all = thread::spawn(move || chunks_until(&mut reading, "199 x"));
    for n in 0..200 {
        Trust::publish(hub.address, "t", &format!("{n} {body}"));
    }
    let all = all.join().unwrap();
    for n in 0..200 {
        assert_eq!(all.matches(&format!("data: {n} x")).count(), 1, "{n}");
    }
    eventually("it is cut", || cut(&hub) == 1);
    let mut seen = Vec::new();
    assert!(stalled.read_to_end(&mut seen).is_err(), "it broke off");
    let seen = String::from_utf8_lossy(&seen);
    // Whole events, whose last line is their id. The first is the cursor that the stream began with.
    let (seen, _) = seen.rsplit_once("\n\n").unwrap();
    let whole = seen.matches("\nid: ").count() - 1;
    assert!((1..200).contains(&whole), "{whole}");
    let (_, id) = seen.rsplit_once("\nid: ").unwrap();
    let (_, mut resumed) = trust.watch(&hub, &format!("topic=t&last_event_id={id}"));
    let rest = chunks_until(&mut resumed, "199 x");
    assert!(rest.contains(&format!("data: {whole} x")) && !rest.contains(&format!("data: {} x", whole - 1)));
}

fn cut(hub: &Hub) -> u64 {
    let stats = Trust::curl(hub.address, &[], "/admin/stats");
    serde_json::from_str::<serde_json::Value>(&stats).unwrap()["slow_readers_cut_total"].as_u64().unwrap()
}

#[test]
fn a_client_that_goes_is_forgotten_without_another_event() {
    let trust = Trust::new();
    let hub = trust.hub(&[]);
    Trust::publish(hub.address, "t", "in use");
    let heard = |count: u32| {
        eventually("streams come and go", || {
            Trust::curl(hub.address, &[], "/topics/t").contains(&format!("\"subscribers\":{count}"))
        });
    };
    let gone = trust.watch(&hub, "topic=t");
    let (_, polite) = trust.watch(&hub, "topic=t");
    heard(2);
    drop(gone);
    heard(1);
    let mut polite = polite.into_inner();
    polite.conn.send_close_notify();
    polite.flush().unwrap();
    drop(polite);
    heard(0);
}

#[test]
fn a_client_that_closes_its_own_direction_is_answered_and_reads_its_stream_on() {
    let trust = Trust::new();
    let hub = trust.hub(&["--stream-keepalive", "1s"]);
    for n in 0..5 {
        let mut stream = trust.connect(hub.address, "http/1.1");
        let ask = "POST /publish?topic=t HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\nx";
        stream.write_all(ask.as_bytes()).unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        if n % 2 == 0 {
            stream.sock.shutdown(std::net::Shutdown::Write).unwrap();
        }
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
    let (_, reader) = trust.watch(&hub, "topic=t");
    let mut stream = reader.into_inner();
    stream.conn.send_close_notify();
    stream.flush().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    Trust::publish(hub.address, "t", "heard");
    let mut all = Vec::new();
    let mut piece = [0; 1024];
    while !String::from_utf8_lossy(&all).contains("data: heard\nid: ") {
        let read = stream.read(&mut piece).unwrap();
        assert_ne!(read, 0, "{}", String::from_utf8_lossy(&all));
        all.extend_from_slice(&piece[..read]);
    }
}

#[test]
fn a_keepalive_comes_once_in_each_interval_within_tls_and_on_http_2() {
    let trust = Trust::new();
    let hub = trust.hub(&["--stream-keepalive", "2s"]);
    let mut frames = Frames::new(trust.connect(hub.address, "h2"));
    frames.get(1, "/events?topic=t");
    frames.until(|bodies| bodies.contains_key(&1));
    let (_, mut stream) = trust.watch(&hub, "topic=t");
    frames.until(|bodies| bodies[&1].windows(2).filter(|pair| pair == b":\n").count() >= 3);
    Trust::publish(hub.address, "t", "x");
    let seen = chunks_until(&mut stream, "data: x\nid: ").lines().filter(|line| *line == ":").count();
    assert!((2..=4).contains(&seen), "{seen} while another kind of connection had 3");
}
