//! `webhooks.py`

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Stdio,
    thread,
    time::Duration,
};

use aws_lc_rs::hmac;

use crate::{
    child::Child,
    recipe::{self, heard, said},
    support::{eventually, hub::Hub, tokens, wire},
};

const SECRET: &str = "It's a Secret to Everybody";

/// The running recipe.
struct Receiver {
    process: Child,
    address: SocketAddr,
}

impl Receiver {
    fn start(hub: &Hub, directory: &Path) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = recipe::python(hub, &recipe::path("webhooks.py"));
        command.arg(address.port().to_string()).arg(directory.join("webhooks.db")).env("WEBHOOK_SECRET", SECRET);
        command.stderr(Stdio::null()); // A line for each request.
        let process = Child::spawn(&mut command);
        eventually("it listens", || TcpStream::connect(address).is_ok());
        Self { process, address }
    }

    /// The status of a delivery as GitHub makes it.
    fn github(&self, delivery: &str, body: &str, signature: &str) -> u16 {
        let event = [("x-github-event", "push"), ("x-github-delivery", delivery), ("x-hub-signature-256", signature)];
        wire::request(self.address, "POST", "/", &event, body.as_bytes()).status
    }

    /// The same as GitLab makes it.
    fn gitlab(&self, key: &str, body: &str, token: &str) -> u16 {
        let event = [("x-gitlab-event", "Push Hook"), ("idempotency-key", key), ("x-gitlab-token", token)];
        wire::request(self.address, "POST", "/", &event, body.as_bytes()).status
    }
}

fn sign(body: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), body.as_bytes());
    tag.as_ref().iter().fold("sha256=".to_owned(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// What GitHub's documentation computes for its example.
#[test]
fn the_signature_is_githubs() {
    assert_eq!(sign("Hello, World!"), "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
}

#[test]
fn a_delivery_that_is_not_genuine_or_too_large_is_refused() {
    let (hub, directory) = (recipe::hub(), recipe::directory());
    let receiver = Receiver::start(&hub, directory.path());
    let forged = sign("{\"ref\":\"other\"}");
    for signature in ["", "sha256=", &forged, "sha256=é"] {
        assert_eq!(receiver.github("d1", "{\"ref\":\"main\"}", signature), 401, "{signature}");
    }
    for token in ["", "secret"] {
        assert_eq!(receiver.gitlab("k1", "{}", token), 401, "{token}");
    }
    assert_eq!(receiver.github("", "{}", &sign("{}")), 401, "without an id it could not be told from others");
    assert_eq!(receiver.gitlab("k1", &"x".repeat(1_000_001), SECRET), 413);
    assert_eq!(receiver.github("d1", "{\"ref\":\"main\"}", &sign("{\"ref\":\"main\"}")), 202);
    eventually("the genuine one is there", || heard(&hub, "webhooks/*").len() == 1);
    thread::sleep(Duration::from_millis(500));
    assert_eq!(heard(&hub, "webhooks/*"), said([("push", "{\"ref\":\"main\"}")]));
}

#[test]
fn deliveries_are_published_once_over_kills_of_the_hub_and_of_the_receiver() {
    let (mut hub, directory) = (recipe::hub(), recipe::directory());
    let mut receiver = Receiver::start(&hub, directory.path());
    let body = |number: u32| format!("{{\"number\":{number}}}");
    for number in 0..40 {
        match number {
            10 => hub.kill(),
            20 => {
                // The hub is down, and what has waited for it is on the disk.
                receiver.process.signal("KILL");
                eventually("it is gone", || receiver.process.exit_code().is_some());
                receiver = Receiver::start(&hub, directory.path());
            }
            30 => hub = hub.again(),
            _ => {}
        }
        assert_eq!(receiver.github(&format!("d{number}"), &body(number), &sign(&body(number))), 202);
        // Sent again by hand.
        assert_eq!(receiver.github(&format!("d{number}"), &body(number), &sign(&body(number))), 202);
        assert_eq!(receiver.gitlab(&format!("k{number}"), &body(number), SECRET), 202);
    }
    eventually("all are there", || heard(&hub, "webhooks/*").len() >= 80);
    let want = |name: &str| said((0..40).map(|number| (name.to_owned(), body(number))));
    assert_eq!(heard(&hub, "webhooks/github"), want("push"));
    assert_eq!(heard(&hub, "webhooks/gitlab"), want("Push Hook"));
}

#[test]
fn a_delivery_that_is_sent_again_when_the_hub_has_forgotten_its_key_is_not_published_again() {
    let known = tokens(&[("producer", "publish = [\"**\"]")]);
    let guarded = ["--access-tokens", &known, "--access-anyone-subscribe", "**"];
    let hub = Hub::start_with(&[&guarded[..], &["--publish-idempotency-window", "1s"]].concat());
    let directory = recipe::directory();
    let receiver = Receiver::start(&hub, directory.path());
    assert_eq!(receiver.gitlab("k1", "1", SECRET), 202);
    eventually("it is there", || heard(&hub, "webhooks/gitlab").len() == 1);
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(receiver.gitlab("k1", "1", SECRET), 202);
    assert_eq!(receiver.gitlab("k2", "2", SECRET), 202);
    eventually("the next one is there", || heard(&hub, "webhooks/gitlab").iter().any(|(_, data)| data == "2"));
    assert_eq!(heard(&hub, "webhooks/gitlab"), said([("Push Hook", "1"), ("Push Hook", "2")]));
}
