//! `curl --retry`, which repeats its request and cannot resume: what it loses and doubles.

use std::process::{Child, Command, Stdio};

use crate::{
    child::tool,
    story::HUB,
    support::{eventually, hub::Hub},
};

/// As docs/CLIENTS.md has it.
pub(crate) const NAME: &str = "curl --retry";

/// Retries: more than are needed.
const RETRIES: &str = "100";

/// A curl that writes what it receives to a file; killed when dropped.
struct Curl {
    process: Child,
    output: tempfile::NamedTempFile,
}

impl Curl {
    fn start(url: &str) -> Self {
        let output = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new(tool("curl"));
        command.args(["--no-buffer", "--silent", "--retry", RETRIES, "--retry-all-errors", url]);
        let process = command.stdout(output.reopen().unwrap()).stderr(Stdio::null()).spawn().unwrap();
        Self { process, output }
    }

    /// The data of the events so far.
    fn data(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.output.path()).unwrap();
        let own = |line: &&str| !line.starts_with('{');
        text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(own).map(Into::into).collect()
    }

    fn hears(&self, data: &str) {
        eventually(&format!("curl hears {data}"), || self.data().iter().any(|heard| heard == data));
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _ended = self.process.wait();
    }
}

#[test]
fn curl_that_retries_begins_again_where_its_url_says() {
    let mut hub = Hub::start_with(&HUB);
    hub.publish("story", "one");
    let address = hub.address;
    let url = |from: &str| format!("http://{address}/events?topic=story&from={from}");
    let (all, new) = (Curl::start(&url("earliest")), Curl::start(&url("now")));
    all.hears("one");
    hub.wait_for_streams("story", 2);
    hub.publish("story", "two");
    all.hears("two");
    new.hears("two");

    hub.kill();
    let mut elsewhere = hub.again_at("127.0.0.1:0");
    elsewhere.publish("story", "missed");
    elsewhere.kill();
    hub = hub.again();
    all.hears("missed");
    hub.wait_for_streams("story", 2);
    hub.publish("story", "three");
    all.hears("three");
    new.hears("three");
    assert_eq!(all.data(), ["one", "two", "one", "two", "missed", "three"], "from the beginning: everything again");
    assert_eq!(new.data(), ["two", "three"], "from now: without what came in between");
}

#[test]
fn curl_that_retries_stops_at_a_clean_end_and_at_204() {
    let hub = Hub::start_with(&HUB);
    hub.publish("story", "one");
    let url = format!("http://{}/events?topic=story", hub.address);
    let mut curl = Curl::start(&format!("{url}&from=earliest"));
    curl.hears("one");
    let last = hub.publish("story&close=true", "the end");
    eventually("curl stops", || curl.process.try_wait().unwrap().is_some());
    assert!(curl.process.wait().unwrap().success());
    assert_eq!(curl.data(), ["one", "the end"]);

    let mut complete = Curl::start(&format!("{url}&last_event_id={last}"));
    eventually("curl stops at 204", || complete.process.try_wait().unwrap().is_some());
    assert!(complete.process.wait().unwrap().success());
    assert_eq!(complete.data(), [""; 0]);
}
