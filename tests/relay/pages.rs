//! The pages of `examples/` in a real browser, on a hub whose provider answers at the test's pace.

use std::{
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{
    child::here,
    chromium::Chromium,
    hub::Relay,
    mock::{Gate, Mock, Script},
    support::eventually,
};

const CHAT: &str = "/v1/chat/completions";

/// Screenshots of the last run, for inspection: `target/tmp/chat-*.png`, `target/tmp/e-ink-*.png`.
const PICTURES: &str = env!("CARGO_TARGET_TMPDIR");

/// Widths of a phone and of a desktop, in CSS pixels.
const WIDTHS: [u32; 2] = [360, 1280];

fn start(mock: &Mock, example: &str) -> Relay {
    Relay::start_with(mock, "", "", &["--site", &here(&format!("examples/{example}"))])
}

fn answering() -> Script {
    Script::chunked(200, &[("content-type", "text/event-stream")])
}

fn frame(value: &Value) -> String {
    format!("data: {value}\n\n")
}

fn delta(delta: &Value) -> String {
    frame(&json!({"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]}))
}

fn said(text: &str) -> String {
    delta(&json!({"content": text}))
}

/// The end of an answer, with its usage.
fn end() -> String {
    let last = frame(&json!({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}));
    let usage = frame(&json!({"id": "c", "choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 7}}));
    format!("{last}{usage}data: [DONE]\n\n")
}

/// Forwards connections to the hub, until they are cut.
struct Wire {
    address: SocketAddr,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    fn to(hub: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let kept = Arc::clone(&open);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(hub) else { continue };
                kept.lock().extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)]
                {
                    thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self { address, open }
    }

    /// Breaks each open connection off.
    fn cut(&self) {
        self.open.lock().drain(..).for_each(|socket| drop(socket.shutdown(Shutdown::Both)));
    }
}

/// A page of the chat.
struct Chat(Chromium);

impl Chat {
    fn open(address: SocketAddr, chat: &str) -> Self {
        let mut page = Self(Chromium::open(&[], "about:blank"));
        // Whatever it asks anyone for: a page of the hub asks the hub alone.
        page.0.run("globalThis.asked = []; page.on('request', request => asked.push(request.url()))");
        page.0.run(&format!("await page.goto('http://{address}/site/?chat={chat}&model=m')"));
        page
    }

    fn send(&mut self, text: &str) {
        self.0.run(&format!("await page.fill('#text', {text:?}); await page.click('#send')"));
    }

    /// The text of each answer.
    fn answers(&mut self) -> Vec<String> {
        let texts = "[...document.querySelectorAll('.answer .text')].map(text => text.innerText)";
        serde_json::from_value(self.0.eval(texts)).unwrap()
    }

    fn shows(&mut self, answers: &[&str]) {
        eventually(&format!("it shows {answers:?}"), || {
            let now = self.answers();
            let too_much = now.iter().zip(answers).find(|(now, want)| now.len() > want.len());
            assert!(too_much.is_none(), "nothing is shown twice: {too_much:?}");
            now == answers
        });
    }

    fn text(&mut self, selector: &str) -> String {
        self.0.run(&format!("return await page.innerText({selector:?})")).as_str().unwrap().into()
    }

    fn status(&mut self, status: &str) {
        let last = "[...document.querySelectorAll('.answer')].at(-1)?.dataset.status";
        eventually(&format!("the last answer is {status}"), || self.0.eval(last) == status);
    }

    fn asked_only(&mut self, address: SocketAddr) {
        let asked: Vec<String> = serde_json::from_value(self.0.run("return asked")).unwrap();
        let hub = format!("http://{address}/");
        let other: Vec<_> = asked.iter().filter(|url| !url.starts_with(&hub) && !url.starts_with("data:")).collect();
        assert!(asked.len() > 5 && other.is_empty(), "{other:?}");
    }
}

/// Takes a picture at each width, and checks that nothing is wider than the screen.
fn pictures(page: &mut Chromium, name: &str) {
    for width in WIDTHS {
        for scheme in ["light", "dark"] {
            page.run(&format!(
                "await page.setViewportSize({{ width: {width}, height: 740 }}); \
                 await page.emulateMedia({{ colorScheme: '{scheme}' }}); \
                 await page.screenshot({{ path: '{PICTURES}/{name}-{width}-{scheme}.png' }})"
            ));
            let wide = page.eval("document.documentElement.scrollWidth - innerWidth");
            assert!(wide.as_i64().unwrap() <= 0, "{name} is {wide} pixels too wide at {width}");
        }
    }
}

#[test]
fn a_chat_is_the_same_after_a_reload_a_cut_and_in_a_second_tab() {
    let (mock, [first, second, last]) = (Mock::start(), [Gate::closed(), Gate::closed(), Gate::closed()]);
    let thinking = delta(&json!({"reasoning_content": "It must be <b>erosion</b>."}));
    let answer = answering().send(thinking).send(said("A river **be")).wait_for(&first).send(said("nds** here,"));
    let answer = answer.wait_for(&second).send(said(" and <i>there</i>")).wait_for(&last).send(said(".\n\n- end\n"));
    mock.usually(CHAT, answer.send(end()));
    let relay = start(&mock, "chat");
    let wire = Wire::to(relay.hub.address);
    let mut chat = Chat::open(wire.address, "one");
    chat.send("Why?");
    chat.shows(&["A river **be"]);
    assert_eq!(chat.text(".thinking summary"), "Thoughts");
    assert!(!chat.0.run("return await page.isVisible('.thinking > div')").as_bool().unwrap(), "it is folded");
    chat.0.run("await page.click('.thinking summary')");
    assert_eq!(chat.text(".thinking > div"), "It must be <b>erosion</b>.");

    chat.0.run("await page.reload()");
    chat.shows(&["A river **be"]);
    assert_eq!(chat.text(".user"), "You\nWhy?");
    let mut tab = Chat::open(relay.hub.address, "one");
    tab.shows(&["A river **be"]);

    first.open();
    chat.shows(&["A river bends here,"]);
    tab.shows(&["A river bends here,"]);
    wire.cut();
    second.open();
    for page in [&mut chat, &mut tab] {
        page.shows(&["A river bends here, and <i>there</i>"]);
        assert_eq!(page.text(".answer .text strong"), "bends");
        assert!(page.0.run("return await page.isVisible('#stop')").as_bool().unwrap());
    }
    last.open();
    for page in [&mut chat, &mut tab] {
        page.status("completed");
        page.shows(&["A river bends here, and <i>there</i>.\n\nend"]);
        assert_eq!(page.text(".answer footer"), "m · 12 tokens in, 7 out");
        assert!(page.0.run("return await page.isVisible('#send')").as_bool().unwrap());
    }
    assert_eq!(mock.count(), 1, "the provider is asked once");
    chat.asked_only(wire.address);
    pictures(&mut tab.0, "chat");
}

#[test]
fn a_chat_tells_how_an_answer_ended_and_asks_again() {
    let mock = Mock::start();
    mock.next(CHAT, answering().send(said("Whole.")).send(end()));
    mock.next(CHAT, answering().send(said("Half of")).silence());
    mock.next(CHAT, answering().send(said("Cut")).cut());
    mock.next(CHAT, Script::json(400, r#"{"error":{"message":"the model is gone"}}"#));
    mock.next(CHAT, answering().send(said("At last.")).send(end()));
    let relay = start(&mock, "chat");
    let mut chat = Chat::open(relay.hub.address, "two");
    chat.send("First");
    chat.status("completed");
    chat.send("Second");
    chat.shows(&["Whole.", "Half of"]);
    chat.0.run("await page.click('#stop')");
    chat.status("stopped");
    mock.closed(1);
    let last = ".answer:last-of-type .ending b";
    assert_eq!(chat.text(last), "Stopped");
    for (status, words) in [("truncated", "Cut off: "), ("failed", "Failed: "), ("completed", "")] {
        chat.0.run("await page.click('.ending button:visible')");
        chat.status(status);
        assert!(words.is_empty() || chat.text(last).starts_with(words), "{}", chat.text(last));
        chat.0.run("await page.reload()");
        chat.status(status);
    }
    chat.shows(&["Whole.", "Half of", "Cut", "", "At last."]);
    assert_eq!(chat.0.eval("[...document.querySelectorAll('.ending button')].filter(one => !one.hidden).length"), 0);
    let asked: Value = mock.request(4).json();
    let turn = |role: &str, text: &str| json!({"role": role, "content": text});
    let turns = [turn("user", "First"), turn("assistant", "Whole."), turn("user", "Second")];
    assert_eq!(asked["messages"], json!(turns), "an answer is asked for anew");
}

#[test]
fn a_reader_draws_an_answer_twice_a_second_and_turns_its_pages() {
    let (mock, gate) = (Mock::start(), Gate::closed());
    let line = |number: u32| said(&format!("Line {number} of it.\n"));
    let mut answer = answering();
    for number in 1..=40 {
        answer = answer.send(line(number)).pause(Duration::from_millis(50));
    }
    mock.usually(CHAT, answer.wait_for(&gate).send(said("The end.")).cut());
    let relay = start(&mock, "e-ink");
    let asked = json!({"provider": "openai", "request": {"model": "m", "messages": []}}).to_string();
    let run = relay.hub.post("/runs", &[("content-type", "application/json")], asked.as_bytes()).json();
    let mut page = Chromium::open(&[], &format!("http://{}/site/", relay.hub.address));
    let shown = |page: &mut Chromium, selector: &str| -> String {
        page.run(&format!("return await page.innerText({selector:?})")).as_str().unwrap().into()
    };
    eventually("the run is listed", || shown(&mut page, "#runs").contains("being written"));
    pictures(&mut page, "e-ink-list");
    page.eval(
        "{ window.drawn = []; new MutationObserver(() => drawn.push(performance.now())) \
         .observe(document.getElementById('text'), { characterData: true, childList: true, subtree: true }); }",
    );
    page.run("await page.setViewportSize({ width: 600, height: 436 }); await page.click('#runs a')");
    eventually("all of it is there", || shown(&mut page, "#text").contains("Line 40 of it."));
    let drawn: Vec<f64> = serde_json::from_value(page.eval("drawn")).unwrap();
    let apart: Vec<f64> = drawn.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(apart.len() >= 2, "it grows while it is written: {drawn:?}");
    assert!(apart.iter().all(|apart| *apart >= 400.0), "{apart:?}");

    let place = |page: &mut Chromium| shown(page, "#where");
    assert_eq!(place(&mut page), "4 of 4", "ten lines a page, the last one in view");
    let turn = |page: &mut Chromium, x: u32| page.run(&format!("await page.mouse.click({x}, 200)"));
    turn(&mut page, 100);
    assert_eq!(place(&mut page), "3 of 4");
    assert_eq!(page.eval("document.getElementById('page').scrollTop"), 720);
    turn(&mut page, 500);
    gate.open();
    eventually("the ending is told", || shown(&mut page, "#how") == "truncated");
    assert!(shown(&mut page, "#text").contains("The end.\n\n[truncated: "), "{}", shown(&mut page, "#text"));
    assert_eq!(place(&mut page), "5 of 5", "who is at the last page sees it grow");
    pictures(&mut page, "e-ink");
    assert_eq!(page.eval("location.hash"), format!("#{}", run["run"].as_str().unwrap()));
}
