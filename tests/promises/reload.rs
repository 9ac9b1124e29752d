//! SIGHUP: changed authorizations take effect on open streams, and others are not affected.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::support::{
    eventually,
    hub::Hub,
    tokens,
    wire::{self, EventStream, Upload},
};

/// A hub with a configuration file.
pub(super) struct Settings {
    pub(super) hub: Hub,
    path: PathBuf,
    _directory: TempDir,
}

impl Settings {
    pub(super) fn start(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gapless.toml");
        fs::write(&path, text).unwrap();
        let hub = Hub::start_with(&["--config", path.to_str().unwrap(), "--stream-retry", "200ms"]);
        Self { hub, path, _directory: directory }
    }

    /// Reloads with other settings, and waits until the hub logs it.
    pub(super) fn reload(&self, text: &str, said: &str) {
        fs::write(&self.path, text).unwrap();
        self.hub.signal("HUP");
        eventually("the hub has read it", || self.hub.log().contains(said));
    }

    fn watch(&self, token: &str) -> EventStream {
        wire::watch(self.hub.address, &format!("topic=news&access_token={token}-token"), None)
    }

    fn publish(&self, data: &str) {
        let answer = self.hub.post("/publish?topic=news", &[("authorization", "Bearer writer-token")], data.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

pub(super) fn access(entries: &[(&str, &str)]) -> String {
    format!("[access]\ntokens = {}\n", tokens(entries))
}

pub(super) const READER: &str = "subscribe = [\"news\"]";
pub(super) const WRITER: (&str, &str) = ("writer", "publish = [\"news\"]");
pub(super) const RELOADED: &str = "configuration reloaded";

#[test]
fn a_token_that_is_gone_ends_its_streams_and_nobody_elses() {
    let settings = Settings::start(&access(&[WRITER, ("stays", READER), ("goes", READER), ("narrowed", READER)]));
    let (mut stays, mut goes, mut narrowed) =
        (settings.watch("stays"), settings.watch("goes"), settings.watch("narrowed"));
    settings.publish("before");
    for stream in [&mut stays, &mut goes, &mut narrowed] {
        assert_eq!(stream.next().unwrap().data, "before");
    }
    let narrow = ("narrowed", "subscribe = [\"other\"]");
    settings.reload(&access(&[WRITER, ("stays", READER), narrow]), RELOADED);
    for stream in [&mut goes, &mut narrowed] {
        assert_eq!(stream.next(), None, "it ends");
        assert!((200..=600).contains(&stream.retry().unwrap()), "and says when to come back: {:?}", stream.retry());
        assert!(stream.last_id().is_some());
    }
    settings.publish("after");
    assert_eq!(stays.next().unwrap().data, "after");
    for (token, status) in [("goes", 401), ("narrowed", 403)] {
        let answer = settings.hub.get(&format!("/events?topic=news&access_token={token}-token"));
        assert_eq!(answer.status, status, "{token}");
    }
}

#[test]
fn a_publisher_whose_token_is_gone_is_told_in_its_stream() {
    let settings = Settings::start(&access(&[WRITER]));
    let headers = [("content-type", "application/x-ndjson"), ("authorization", "Bearer writer-token")];
    let mut upload = Upload::open(settings.hub.address, "/publish?topic=news", &headers);
    let mut receipts = upload.answer_after("1\n");
    assert_eq!(receipts.json()["topic"], "news");
    settings.reload(&access(&[("stays", READER)]), RELOADED);
    upload.send("2\n");
    assert_eq!(receipts.json()["error"]["code"], "unauthorized");
    assert_eq!(receipts.line(), None, "nothing more is taken");
}

#[test]
fn a_mistake_changes_nothing_and_is_told_with_its_line() {
    let settings = Settings::start(&access(&[WRITER, ("stays", READER)]));
    let mut stays = settings.watch("stays");
    settings.reload("[access]\ntokens = [{ name = \"stays\" }]\n", "configuration not reloaded");
    eventually("it says where", || {
        settings.hub.log().contains("gapless.toml:2") && settings.hub.log().contains("sha256")
    });
    settings.publish("after");
    assert_eq!(stays.next().unwrap().data, "after");
    // The next one, without a mistake, is applied again.
    settings.reload(&access(&[WRITER]), RELOADED);
    assert_eq!(stays.next(), None);
}

#[test]
fn a_reload_that_changes_nothing_refuses_no_token_also_during_a_flood_of_bad_ones() {
    let text = format!("shards = 1\n{}[limits]\nbad_credentials = 1\n", access(&[WRITER, ("known", READER)]));
    let settings = Settings::start(&text);
    let ask = |token: &str| {
        let authorization = format!("Bearer {token}");
        wire::request(settings.hub.address, "GET", "/topics/news", &[("authorization", &authorization)], b"")
    };
    settings.publish("before");
    assert_eq!(ask("known-token").status, 200);
    let flood = || {
        let refused = || ask("nobodys-token").status == 429;
        eventually("bad credentials are no longer looked at", refused);
    };
    flood();
    settings.reload(&text, RELOADED);
    flood();
    for n in 0..40 {
        ask("nobodys-token");
        assert_eq!(ask("known-token").status, 200, "request {n} after the reload");
    }
}

#[test]
fn what_needs_a_restart_is_named() {
    let settings = Settings::start(&access(&[WRITER]));
    settings.reload(&format!("shards = 7\n{}[log]\nformat = \"json\"\n", access(&[WRITER])), RELOADED);
    eventually("it is logged, with their names", || {
        let log = settings.hub.log();
        log.contains("need a restart") && log.contains("shards") && log.contains("log.format")
    });
    settings.publish("all the same");
}

#[test]
fn a_file_that_does_not_end_keeps_no_hub_from_serving_and_ending() {
    let directory = tempfile::tempdir().unwrap();
    let revoked = directory.path().join("revoked");
    fs::write(&revoked, "").unwrap();
    let tokens = tokens(&[("ci", "publish = [\"**\"]")]);
    let mut hub = Hub::start_with(&["--access-tokens", &tokens, "--access-revoked", revoked.to_str().unwrap()]);
    fs::remove_file(&revoked).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&revoked).status().unwrap().success());
    hub.signal("HUP");
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(hub.get("/healthz").status, 200);
    hub.terminate();
    assert_eq!(hub.wait(), Some(0));
}
