//! `useChat` of Vercel's AI SDK in a page of a real browser, with the code of docs/RELAY.md: an answer outlives its page.

use std::{fs, process::Command};

use serde_json::{Value, json};

use crate::{
    child::{Child, here, tool},
    chromium::Chromium,
    hub::Relay,
    mock::{Gate, Mock, Script},
    recordings::Recording,
    support::eventually,
};

/// The halves of every answer.
const HALVES: [&str; 2] = ["春の朝、7 °C で", "晴れ 🌤。"];
const WHOLE: &str = "春の朝、7 °C で晴れ 🌤。";

/// An answer whose second half waits for the gate, each character in a frame of its own.
fn answer(gate: &Gate) -> Script {
    let frames = |text: &str| -> Vec<String> {
        let frame = |c: char| {
            json!({ "id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini",
            "choices": [{ "index": 0, "delta": { "content": c }, "finish_reason": null }] })
        };
        text.chars().map(|c| format!("data: {}\n\n", frame(c))).collect()
    };
    let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let opened = Recording::OpenAiChat.opened().send_each(frames(HALVES[0]));
    opened.wait_for(gate).send_each(frames(HALVES[1])).send(end)
}

/// The app: the server of the page, with a hub and a provider behind it, and a browser with two tabs.
struct App {
    mock: Mock,
    relay: Relay,
    server: Child,
    browser: Chromium,
}

impl App {
    /// Opens the chat with this address below the server's, once; the second tab is empty.
    fn open(address: impl Fn(&str) -> String) -> Self {
        let mock = Mock::start();
        let relay = Relay::start_with(&mock, "", "", &["--cors-origins", "http://127.0.0.1:*"]);
        let hub = format!("http://{}", relay.hub.address);
        let mut command = Command::new(tool("node"));
        command.arg(here("tests/relay/usechat/server.mjs")).env("HUB", &hub).env("HUB_TOKEN", "unused");
        let server = Child::spawn(&mut command);
        eventually("the app's server listens", || !server.lines().is_empty());
        let mut browser = Chromium::open(&[], &format!("{}{}", server.lines()[0], address(&hub)));
        browser.run("globalThis.tabs = [page, await page.context().newPage()]");
        Self { mock, relay, server, browser }
    }

    /// The provider's next answer.
    fn next_answer(&self) -> Gate {
        let gate = Gate::closed();
        self.mock.next("/v1/chat/completions", answer(&gate));
        gate
    }

    /// Runs JavaScript with a tab as `page`.
    fn run(&mut self, tab: usize, script: &str) -> Value {
        self.browser.run(&format!("{{ const page = tabs[{tab}]; {script} }}"))
    }

    fn send(&mut self, text: &str) {
        self.run(0, &format!("await page.fill('input', {text:?}); await page.click('text=Send')"));
    }

    /// Fails unless a tab shows exactly these messages, at once or soon.
    fn shows(&mut self, tab: usize, messages: &[&str]) {
        let expected = json!(messages);
        let shown = self.run(
            tab,
            &format!(
                "const shown = () => [...document.querySelectorAll('p')].map(p => p.textContent);
                 const same = ({{ shown, expected }}) => JSON.stringify(eval(shown)()) === JSON.stringify(expected);
                 await page.waitForFunction(same, {{ shown: `${{shown}}`, expected: {expected} }}, {{ timeout: 15_000 }}).catch(() => {{}});
                 return await page.evaluate(shown)"
            ),
        );
        assert_eq!(shown, expected, "tab {tab}");
    }

    /// Waits until a tab's chat has this status.
    fn status(&mut self, tab: usize, status: &str) {
        self.run(tab, &format!("await page.waitForSelector('output:text-is({status:?})', {{ timeout: 15_000 }})"));
    }

    /// Opens the page again; returns the status with which its request for the active run was answered.
    fn reload(&mut self, tab: usize) -> Value {
        self.run(
            tab,
            "const asked = page.waitForResponse(response =>
               response.request().method() === 'GET' && /\\/(stream|active)(\\?|$)/.test(response.url()));
             await page.goto(tabs[0].url());
             return (await asked).status()",
        )
    }
}

#[test]
fn an_answer_of_use_chat_outlives_its_page_and_its_network() {
    let mut app = App::open(|_| "/chats/42".into());
    let gate = app.next_answer();
    app.send("今日は?");
    app.shows(0, &["今日は?", HALVES[0]]);

    assert_eq!(app.reload(0), 200);
    assert_eq!(app.reload(1), 200);
    for tab in [0, 1] {
        app.shows(tab, &["今日は?", HALVES[0]]);
    }
    // The network breaks, and the user comes back to the tab.
    app.server.say("cut");
    for tab in [0, 1] {
        app.status(tab, "error");
        app.run(tab, "await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')))");
        app.status(tab, "streaming");
        app.shows(tab, &["今日は?", HALVES[0]]);
    }
    gate.open();
    for tab in [0, 1] {
        app.shows(tab, &["今日は?", WHOLE]);
    }

    for tab in [0, 1] {
        eventually("the app has saved it", || app.reload(tab) == 204);
        app.shows(tab, &["今日は?", WHOLE]);
    }
    assert_eq!(app.mock.count(), 1, "one request an answer");
}

#[test]
fn an_answer_that_ended_while_no_page_was_open_is_shown_once() {
    let mut app = App::open(|_| "/chats/42".into());
    let gate = app.next_answer();
    app.send("今日は?");
    app.shows(0, &["今日は?", HALVES[0]]);
    let page = app.run(0, "const url = page.url(); await page.goto('about:blank'); return url");
    gate.open();
    let active = |seen: &str| app.relay.hub.get(&format!("/runs/active?topic=chats/42{seen}")).status;
    eventually("the run has ended", || active("") == 204);
    assert_eq!(active("&seen="), 200, "nobody has seen it");

    app.run(0, &format!("await page.goto({page})"));
    app.shows(0, &["今日は?", WHOLE]);
    eventually("the app has saved it", || app.reload(0) == 204);
    app.shows(0, &["今日は?", WHOLE]);
    let _gate = app.next_answer();
    app.send("明日は?");
    app.shows(0, &["今日は?", WHOLE, "明日は?", HALVES[0]]);
    let asked = app.mock.request(1).json();
    assert_eq!(asked["messages"][1], json!({ "role": "assistant", "content": WHOLE }));
}

#[test]
fn a_stopped_answer_is_shown_as_stopped_in_every_tab() {
    let mut app = App::open(|_| "/chats/42".into());
    let _gate = app.next_answer();
    app.send("今日は?");
    app.shows(0, &["今日は?", HALVES[0]]);
    assert_eq!(app.reload(1), 200);
    app.shows(1, &["今日は?", HALVES[0]]);

    app.run(1, "await page.click('text=Stop')");
    let stopped = format!("{} (stopped)", HALVES[0]);
    for tab in [0, 1] {
        app.shows(tab, &["今日は?", &stopped]);
        app.status(tab, "ready");
    }
    app.mock.closed(0);
    eventually("the app has saved it", || app.reload(0) == 204);
    app.shows(0, &["今日は?", &stopped]);
}

#[test]
fn a_page_of_another_origin_can_send_to_the_hub_and_resume_there() {
    let mut app = App::open(|hub| format!("/chats/42?hub={hub}"));
    let gate = app.next_answer();
    app.send("今日は?");
    app.shows(0, &["今日は?", HALVES[0]]);
    assert_eq!(app.reload(0), 200);
    app.shows(0, &["今日は?", HALVES[0]]);
    gate.open();
    app.shows(0, &["今日は?", WHOLE]);
    eventually("the page has saved it", || app.reload(0) == 204);
    app.shows(0, &["今日は?", WHOLE]);
    assert_eq!(app.mock.count(), 1);
}

#[test]
fn the_documents_code_is_the_code_that_runs_here() {
    let read = |path: &str| fs::read_to_string(here(path)).unwrap();
    let document = read("docs/RELAY.md");
    for file in [
        "hub.js",
        "api/chat/route.js",
        "api/chat/[id]/stream/route.js",
        "api/runs/[id]/stop/route.js",
        "api/chat/[id]/route.js",
        "chat.jsx",
        "direct.js",
    ] {
        let code = read(&format!("tests/relay/usechat/app/{file}"));
        assert!(document.contains(&code), "docs/RELAY.md lacks {file}");
    }
}
