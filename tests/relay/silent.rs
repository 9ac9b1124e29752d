//! A provider that thinks for longer than a proxy waits: what stands between its frames keeps the stream open, and no SDK
//! minds it.

use std::{thread, time::Duration};

use serde_json::json;

use crate::{
    hub::Relay,
    mock::{Mock, Request},
    proxy::{Kind, Proxy},
    recordings::{Recording, Tool},
    running::{number, rest, sse, texts},
    sdks::{Call, Endpoint, Runner, SDKS, Sdk, Seen, Way},
    support::wire,
};

/// Where the provider is silent.
#[derive(Debug, Clone, Copy)]
enum Silence {
    BeforeHead,
    InTheMiddle,
}

/// For how long a provider is silent, and after which silence of the hub nginx gives up, in seconds.
fn times(silence: Silence) -> (u64, u64) {
    let usual = match silence {
        // A response begins after 10 s at the latest.
        Silence::BeforeHead => (14, 12),
        Silence::InTheMiddle => (6, 3),
    };
    (number("GAPLESS_SILENCE", usual.0), number("GAPLESS_PROXY_TIMEOUT", usual.1))
}

/// The SDKs whose streams may carry something beside the provider's frames.
fn sdks() -> impl Iterator<Item = (&'static Sdk, &'static Call)> {
    let calls = |sdk: &'static Sdk| sdk.calls.iter().map(move |call| (sdk, call));
    let streams = SDKS.iter().flat_map(calls).filter(|(_, call)| call.way == Way::Stream);
    streams.filter(|(_, call)| call.recording != Recording::Gemini)
}

/// A mock that is silent where a test says.
fn silent(silence: Silence) -> Mock {
    let mock = Mock::start();
    let time = Duration::from_secs(times(silence).0);
    for recording in crate::running::ALL {
        for path in recording.paths(true) {
            mock.answering(&path, move |_: &Request| {
                let frames = recording.frames();
                let (before, after) = frames.split_at(frames.len() / 2);
                match silence {
                    Silence::BeforeHead => crate::mock::Script::new().pause(time).then(recording.streamed()),
                    Silence::InTheMiddle => recording.opened().send_each(before).pause(time).send_each(after),
                }
            });
        }
    }
    mock
}

fn check(what: &str, recording: Recording, seen: &Seen) {
    let told = recording.told();
    assert_eq!(seen.error, None, "{what}");
    assert_eq!((&seen.text, &seen.reasoning), (&told.text, &told.reasoning), "{what}");
    let tools = |tools: &[Tool]| tools.iter().map(Tool::canonical).collect::<Vec<_>>();
    assert_eq!(tools(&seen.tools), tools(&told.tools), "{what}");
    assert_eq!(seen.finish.as_ref(), Some(&told.finish), "{what}");
}

fn survives(silence: Silence) {
    let (silent_for, timeout) = times(silence);
    let mock = silent(silence);
    let keepalive = if timeout < 60 { "1s" } else { "15s" };
    let relay = Relay::start_with(&mock, "", "", &["--stream-keepalive", keepalive]);
    let proxy = Proxy::patient(relay.hub.address, Kind::Nginx, &format!("{timeout}s"));
    thread::scope(|scope| {
        for (sdk, call) in sdks() {
            let (relay, proxy) = (&relay, &proxy);
            scope.spawn(move || {
                let mut runner = Runner::start(sdk);
                let root = relay.endpoint(call.recording).root;
                let root = root.replace(&relay.hub.address.to_string(), &proxy.address.to_string());
                runner.begin(&Endpoint { root, token: "t".into() }.job(call));
                // Longer than a wait of the tests.
                thread::sleep(Duration::from_secs(silent_for));
                check(&format!("{}, {}, {silence:?}", sdk.name, call.name), call.recording, &runner.seen());
            });
        }
        // Gemini's SDKs accept nothing beside frames, so nginx cuts their stream; `events` survives.
        let (relay, proxy) = (&relay, &proxy);
        scope.spawn(move || {
            let recording = Recording::Gemini;
            let run = relay.begun(recording, &json!({}));
            let mut events = wire::open(proxy.address, "GET", &format!("/runs/{run}/events"), &[], b"");
            thread::sleep(Duration::from_secs(silent_for));
            let seen = rest(&mut events);
            assert!(!seen.is_broken, "{seen:?}");
            assert_eq!(texts(&sse(&seen.text), "delta"), recording.told().text);
        });
    });
    println!("{silence:?}: {silent_for} s of silence, nginx waits {timeout} s");
}

/// By hand, with nginx's default: `GAPLESS_SILENCE=120 GAPLESS_PROXY_TIMEOUT=60`.
#[test]
fn a_silence_before_the_first_byte_that_is_longer_than_a_proxys_patience_cuts_nothing() {
    survives(Silence::BeforeHead);
}

#[test]
fn a_silence_in_the_middle_that_is_longer_than_a_proxys_patience_cuts_nothing() {
    survives(Silence::InTheMiddle);
}
