//! What was acknowledged is there after `kill -9`, and as it was.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    stream::{BYTES, CLOSES, JSON, PROTOCOL, Stream, TEXT, next_offset},
    support::{assert_problem, eventually, hub::Hub},
};

/// Bound on a story with kills, far above what it takes.
const LONGEST: Duration = Duration::from_mins(3);

/// Kills at random moments.
const KILLS: u64 = 6;

/// All that a reader can know of a stream.
fn seen(stream: &Stream) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let head = stream.head();
    let told = |(name, _): &&(String, String)| name.starts_with("stream-") || name == "content-type";
    let data = if head.status == 200 { stream.read() } else { Vec::new() };
    (head.status, head.headers.all().iter().filter(told).cloned().collect(), data)
}

#[test]
fn data_types_ends_lifetimes_and_forks_outlive_kill_9() {
    let mut hub = Hub::start_with(&PROTOCOL);
    let every_byte: Vec<u8> = (0..=255).collect();
    let binary = Stream::create(&hub, "deep/binary", BYTES);
    let middle = binary.append(BYTES, &every_byte);
    binary.append(BYTES, b"\xff\x00");

    let json = Stream::at(&hub, "json");
    let with_ttl = [("content-type", "application/json; charset=utf-8"), ("stream-ttl", "3600")];
    assert_eq!(json.put(&with_ttl, br#"[1,{"a":[2]}]"#).status, 201);
    json.append(JSON, "[3,[4]]");
    let dated = Stream::at(&hub, "dated");
    let with_expiry = [("content-type", "image/png"), ("stream-expires-at", "2100-01-01T00:00:00+01:00")];
    assert_eq!(dated.put(&with_expiry, b"").status, 201);

    let ended = Stream::create(&hub, "ended", TEXT);
    assert_eq!(ended.post(&[("content-type", TEXT), CLOSES], "the end".as_bytes()).status, 204);
    let shut = Stream::at(&hub, "shut");
    assert_eq!(shut.put(&[("content-type", TEXT), CLOSES], b"").status, 201);
    let later = Stream::create(&hub, "later", TEXT);
    later.append(TEXT, "data");
    assert_eq!(later.post(&[CLOSES], b"").status, 204);

    let fork = Stream::at(&hub, "fork");
    let from = [("stream-fork-offset", &*middle), ("stream-fork-sub-offset", "1")];
    assert_eq!(fork.fork_of(&binary, &from, b"").status, 201);
    fork.append(BYTES, "own");
    let twig = Stream::at(&hub, "twig");
    assert_eq!(twig.fork_of(&fork, &[], b"twig's").status, 201);
    let gone = Stream::create(&hub, "gone", TEXT);
    gone.append(TEXT, "inherited");
    let heir = Stream::at(&hub, "heir");
    assert_eq!(heir.fork_of(&gone, &[], b"").status, 201);
    assert_eq!(gone.delete().status, 204);

    let all = [&binary, &json, &dated, &ended, &shut, &later, &fork, &twig, &gone, &heir];
    let before = all.map(seen);
    assert_eq!(before.each_ref().map(|(status, ..)| *status), [200, 200, 200, 200, 200, 200, 200, 200, 410, 200]);
    assert_eq!(fork.read(), [&every_byte[..], b"\xffown"].concat());
    assert_eq!(twig.read(), [&every_byte[..], b"\xffowntwig's"].concat());
    for _ in 0..2 {
        hub.kill();
        hub = hub.again();
        for (stream, before) in all.iter().zip(&before) {
            assert_eq!(&seen(stream), before, "{}", stream.path);
        }
        assert_eq!(binary.read_after(&middle).0, b"\xff\x00");
        assert_problem(&gone.get(""), 410, "stream-deleted");
        assert_problem(&gone.put(&[("content-type", TEXT)], b""), 409, "stream-exists");
        assert_problem(&ended.post(&[("content-type", TEXT)], b"x"), 409, "topic-closed");
        assert_eq!(json.put(&with_ttl, b"").status, 200, "it is the same");
        assert_problem(&json.put(&[("content-type", JSON)], b""), 409, "stream-exists");
    }
    let end = next_offset(&binary.head());
    assert!(binary.append(BYTES, "more") > end);
    assert_eq!(fork.read(), [&every_byte[..], b"\xffown"].concat(), "a fork sees nothing later");
    assert_eq!(heir.delete().status, 204);
    assert_eq!(gone.put(&[("content-type", JSON)], b"").status, 201, "the last fork is gone, and so is its source");
}

#[test]
fn a_creation_that_is_cut_is_whole_or_not_there_and_its_repetition_makes_one_copy() {
    let mut hub = Hub::start_with(&PROTOCOL);
    let source = Stream::create(&hub, "source", JSON);
    source.append(JSON, "[\"inherited\"]");
    let body = format!("[{}]", (0..50).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
    let inherits = body.replacen('[', "[\"inherited\",", 1);
    let create = |stream: &Stream, n: u64| -> io::Result<u16> {
        let headers = [("content-type", JSON), CLOSES, ("stream-forked-from", &*source.path)];
        let headers = match n % 3 {
            0 => &headers[..1],
            1 => &headers[..2],
            _ => &headers[2..],
        };
        stream.try_send("PUT", "", headers, body.as_bytes()).map(|answer| answer.status)
    };
    let (mut made, mut missing, mut whole) = (0, 0, 0);
    for round in 0..KILLS {
        let (running, create) = (&hub, &create);
        let tried: Vec<_> = thread::scope(|scope| {
            let creator = |creator: u64| {
                move || {
                    let named = |n: u64| (Stream::at(running, &format!("{round}/{creator}/{n}")), n);
                    let all = (0..).map(named).map(|(stream, n)| {
                        let created = create(&stream, n).ok();
                        assert!(matches!(created, Some(201) | None), "{created:?}");
                        (stream, n, created.is_some())
                    });
                    let mut tried = Vec::new();
                    for one in all {
                        tried.push(one);
                        if !tried.last().unwrap().2 {
                            return tried;
                        }
                    }
                    unreachable!("it is killed")
                }
            };
            let creators: Vec<_> = (0..4).map(|one| scope.spawn(creator(one))).collect();
            thread::sleep(Duration::from_millis(200 + fastrand::u64(..200)));
            running.signal("KILL");
            creators.into_iter().flat_map(|creator| creator.join().unwrap()).collect()
        });
        hub.wait();
        hub = hub.again();
        for (stream, n, acknowledged) in tried {
            let want = if n % 3 == 2 { &inherits } else { &body };
            match stream.head().status {
                404 => {
                    assert!(!acknowledged, "{} is lost", stream.path);
                    assert_eq!(stream.get("?offset=-1").status, 404);
                    missing += 1;
                }
                _ if acknowledged => made += 1,
                _ => whole += 1,
            }
            if stream.head().status == 200 {
                assert_eq!(&stream.text(), want, "{}", stream.path);
            }
            let again = create(&stream, n).unwrap();
            assert!(matches!(again, 200 | 201), "{}: {again}", stream.path);
            assert_eq!(&stream.text(), want, "{} after its repetition", stream.path);
            assert_eq!(stream.head().headers.get("stream-closed").is_some(), n % 3 == 1, "{}", stream.path);
        }
    }
    println!("{made} were acknowledged; of the others {missing} were not there and {whole} whole");
    assert!(made > 0 && missing + whole > 0, "no kill has hit a creation");
}

#[test]
fn readers_that_come_back_after_each_kill_get_each_append_once() {
    let mut hub = Hub::start_with(&PROTOCOL);
    let stream = Stream::create(&hub, "s", JSON);
    let over = AtomicBool::new(false);
    let (stream, over, began) = (&stream, &over, Instant::now());
    let (written, pages, polled, events) = thread::scope(|scope| {
        let writer = scope.spawn(move || {
            let mut written = Vec::new();
            for n in 0_u64.. {
                let answer = stream.try_send("POST", "", &[("content-type", JSON)], n.to_string().as_bytes());
                match answer {
                    Ok(answer) => {
                        assert_eq!(answer.status, 204, "{}", answer.text());
                        written.push(n);
                    }
                    // Whether it was appended is not known.
                    Err(_) => thread::sleep(Duration::from_millis(5)),
                }
                if over.load(Ordering::SeqCst) {
                    break;
                }
            }
            stream.append_at_last(&[CLOSES], b"");
            written
        });
        let pages = |live: &'static str| {
            move || {
                let (mut read, mut offset) = (Vec::new(), "-1".to_owned());
                while began.elapsed() < LONGEST {
                    let Ok(answer) = stream.try_send("GET", &format!("?offset={offset}{live}"), &[], b"") else {
                        thread::sleep(Duration::from_millis(5));
                        continue;
                    };
                    assert!(matches!(answer.status, 200 | 204), "{}", answer.text());
                    offset = next_offset(&answer);
                    if answer.status == 200 {
                        read.extend(serde_json::from_slice::<Vec<u64>>(&answer.body).unwrap());
                    }
                    if answer.headers.get("stream-closed").is_some() {
                        return read;
                    }
                }
                panic!("it does not see the end, and has read {}", read.len());
            }
        };
        let catch_up = scope.spawn(pages(""));
        let poller = scope.spawn(pages("&live=long-poll"));
        let events = scope.spawn(move || {
            let (mut read, mut id) = (Vec::<u64>::new(), None::<String>);
            while began.elapsed() < LONGEST {
                let Ok(mut reader) = stream.try_sse("-1", id.as_deref()) else { continue };
                while let Ok(Some(block)) = reader.try_next() {
                    id = block.id;
                    let data = block.data.unwrap();
                    match &*block.event {
                        "data" => read.extend(serde_json::from_str::<Vec<u64>>(&data).unwrap()),
                        "control" if data.contains("streamClosed") => return read,
                        "control" => {}
                        other => panic!("{other}: {data}"),
                    }
                }
            }
            panic!("it does not see the end, and has read {}", read.len());
        });
        for _ in 0..KILLS {
            thread::sleep(Duration::from_millis(50 + fastrand::u64(..300)));
            hub.kill();
            hub = hub.again();
        }
        thread::sleep(Duration::from_millis(200));
        over.store(true, Ordering::SeqCst);
        (writer.join().unwrap(), catch_up.join().unwrap(), poller.join().unwrap(), events.join().unwrap())
    });
    let kept: Vec<u64> = serde_json::from_slice(&stream.read()).unwrap();
    assert!(kept.is_sorted_by(|a, b| a < b), "each once, in order");
    assert!(written.iter().all(|n| kept.binary_search(n).is_ok()), "what was acknowledged is kept");
    println!("{} kept, {} acknowledged", kept.len(), written.len());
    assert_eq!(pages, kept, "by pages");
    assert_eq!(polled, kept, "by long polls");
    assert_eq!(events, kept, "by SSE");
}

#[test]
fn a_restart_shortens_no_lifetime_and_ends_none() {
    const TTL: Duration = Duration::from_secs(4);
    let mut hub = Hub::start_with(&PROTOCOL);
    let seconds = TTL.as_secs().to_string();
    let headers = [("content-type", TEXT), ("stream-ttl", &*seconds)];
    // On a machine that is busy the look may come too late; then it is made again.
    let lived = (0..10).any(|round| {
        let stream = Stream::at(&hub, &format!("s{round}"));
        assert_eq!(stream.put(&headers, b"").status, 201);
        thread::sleep(TTL * 3 / 4);
        let killed = Instant::now();
        hub.kill();
        hub = hub.again();
        thread::sleep(TTL / 2);
        // This does not renew it.
        let status = stream.head().status;
        let in_time = killed.elapsed() < TTL;
        assert!(status == 200 || !in_time, "it has {seconds} s from the restart on");
        eventually("it ends", || stream.head().status == 404);
        in_time
    });
    assert!(lived, "no look came in time");
}

#[test]
fn what_has_expired_is_gone_for_native_readers_and_its_name_is_free() {
    let mut hub = Hub::start_with(&PROTOCOL);
    let stream = Stream::at(&hub, "s");
    assert_eq!(stream.put(&[("content-type", TEXT), ("stream-ttl", "1")], b"x").status, 201);
    hub.kill();
    hub = hub.again();
    eventually("it ends", || hub.get("/topics/s").status == 404);
    assert_eq!(stream.get("").status, 404);
    assert_eq!(stream.put(&[("content-type", JSON)], b"").status, 201);
    assert_eq!(stream.text(), "[]");
}
