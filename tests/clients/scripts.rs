//! Clients that are processes: a line of JSON on stdout for each event they hear.

use std::process::Command;

use crate::{
    child::{Child, here, tool},
    story::{self, Heard, Listener},
};

impl Listener for Child {
    fn heard(&mut self) -> Vec<Heard> {
        let parse = |line: &String| serde_json::from_str(line).unwrap_or_else(|_| panic!("no event: {line}"));
        self.lines().iter().map(parse).collect()
    }

    fn stopped(&mut self) -> bool {
        self.exit_code().inspect(|&code| assert_eq!(code, 0)).is_some()
    }
}

fn run(program: &str, arguments: &[&str]) {
    story::tell(|url| Child::spawn(Command::new(tool(program)).args(arguments).arg(url)));
}

#[test]
fn npm_eventsource_outlives_its_hub_and_stops_at_the_end() {
    run("node", &[&here("tests/clients/eventsource.mjs")]);
}

#[test]
fn python_httpx_sse_outlives_its_hub_and_stops_at_the_end() {
    run(&here("target/venv/bin/python"), &[&here("tests/clients/httpx_sse_client.py")]);
}

#[test]
fn curl_outlives_its_hub_and_stops_at_the_end() {
    tool("curl");
    run("bash", &[&here("tests/clients/curl.sh")]);
}

#[test]
fn gapless_tail_outlives_its_hub_and_stops_at_the_end() {
    story::tell(|url| {
        let hub = url.split("/events").next().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
        Child::spawn(command.args(["tail", "story", "--from", "earliest", "--json", "--url", hub]))
    });
}
