//! Clients as processes: a line of JSON on stdout for each dispatched event; exit code 0 at the end.

use std::process::Command;

use crate::{
    child::{Child, here, tool},
    story::{Client, Heard, Listener},
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

/// Each client's name, as docs/CLIENTS.md has it, the program that runs it, and the program's arguments before the URL.
const SCRIPTS: &[(&str, &str, &[&str])] = &[
    ("curl", "bash", &["tests/clients/curl.sh"]),
    ("eventsource", "node", &["tests/clients/eventsource.mjs"]),
    ("launchdarkly-eventsource", "node", &["tests/clients/launchdarkly.mjs"]),
    ("extended-eventsource", "node", &["tests/clients/extended_eventsource.mjs"]),
    ("httpx-sse", "target/venv/bin/python", &["tests/clients/httpx_sse_client.py"]),
    ("requests-sse", "target/venv/bin/python", &["tests/clients/requests_sse_client.py"]),
    ("sseclient-py", "target/venv/bin/python", &["tests/clients/sseclient_py_client.py"]),
    ("aiohttp-sse-client2", "target/venv/bin/python", &["tests/clients/aiohttp_sse_client.py"]),
    ("r3labs/sse", "target/go/r3labs", &[]),
    ("tmaxmax/go-sse", "target/go/tmaxmax", &[]),
    ("okhttp-eventsource", "java", &["-cp", "target/java:target/java/*", "Client"]),
    ("java.net.http", "java", &["-cp", "target/java", "Jdk"]),
    ("System.Net.Http", "target/dotnet/runtime/dotnet", &["target/dotnet/client.dll"]),
    ("Net::HTTP", "ruby", &["tests/clients/net_http.rb"]),
    ("ext-curl", "php", &["tests/clients/ext_curl.php"]),
];

/// Names of all of them, and of our own.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    SCRIPTS.iter().map(|&(name, ..)| name).chain([TAIL])
}

/// Prints events on stdout, and the hub's notices on stderr.
pub(crate) const TAIL: &str = "gapless tail";

/// Starts all of them.
pub(crate) fn all(url: &str) -> Vec<Client> {
    tool("curl");
    let start = |&(name, program, arguments): &(&'static str, &str, &[&str])| {
        let program = if program.contains('/') { here(program) } else { tool(program) };
        let mut command = Command::new(program);
        command.args(arguments).arg(url).current_dir(here("."));
        Client { name, listener: Box::new(Child::spawn(&mut command)) }
    };
    SCRIPTS.iter().map(start).chain([tail(url)]).collect()
}

/// `gapless tail`. It prints events on stdout, and the hub's notices on stderr.
fn tail(url: &str) -> Client {
    let (hub, query) = url.split_once("/events?topic=story").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
    command.args(["tail", "story", "--json", "--url", hub]);
    if query.contains("earliest") {
        command.args(["--from", "earliest"]);
    }
    Client { name: TAIL, listener: Box::new(Child::spawn(&mut command)) }
}
