//! Where a provider's stream is cut, its run has one ending that says so, and no reader takes a part for the whole.

use serde_json::{Value, json};

use crate::{
    hub::Relay,
    mock::{Mock, Request},
    recordings::Recording,
    running::{
        self, ALL, Frame, at_once, ending_in, is_error, number, raw, recorded, request, rest, run_of, sse, texts,
        without_ids,
    },
};

/// A place in a stream, and how the provider's connection ends there.
#[derive(Debug, Clone, Copy)]
struct Cut {
    recording: Recording,
    at: usize,
    /// The body ends as HTTP says; else the connection breaks.
    is_clean: bool,
}

/// Requests at once.
const WORKERS: usize = 12;

/// The places within a recording: the ends of its frames, and every `step`th byte.
fn places(recording: Recording, step: usize) -> Vec<Cut> {
    let mut ends = vec![0];
    for frame in recording.frames() {
        ends.push(ends.last().unwrap() + frame.len());
    }
    let length = *ends.last().unwrap();
    let near = |at: usize| ends.iter().any(|&end| at.abs_diff(end) < 2);
    let chosen = (0..=length).filter(|&at| at % step == 0 || near(at));
    chosen.flat_map(|at| [false, true].map(|is_clean| Cut { recording, at, is_clean })).collect()
}

impl Cut {
    /// The frames that have come by then.
    fn whole_frames(self) -> usize {
        // The second CR of a CRLF CRLF ends a block; a last line of JSON needs no line end where the body ends.
        let early = match self.recording {
            Recording::Gemini => 1,
            Recording::Ollama => usize::from(self.is_clean),
            _ => 0,
        };
        let mut end = 0;
        let frames = self.recording.frames().into_iter().map(|frame| String::from_utf8(frame).unwrap());
        let ended = frames.take_while(|frame| {
            end += frame.len();
            end - early <= self.at
        });
        ended.filter(|frame| self.recording == Recording::Ollama || frame.contains("data:")).count()
    }

    fn is_complete(self, frames: usize) -> bool {
        // Gemini has no end marker: its stream must also end as HTTP says.
        frames == recorded(self.recording).len() && (self.is_clean || self.recording != Recording::Gemini)
    }
}

/// A mock that cuts each answer where its request says.
fn cutting() -> Mock {
    let mock = Mock::start();
    for recording in ALL {
        for path in recording.paths(true) {
            mock.answering(&path, move |asked: &Request| {
                let asked = asked.json();
                let at = usize::try_from(asked["cut"].as_u64().unwrap()).unwrap();
                let script = recording.opened();
                let script = if at == 0 { script } else { script.send(&recording.stream()[..at]) };
                if asked["clean"] == true { script } else { script.cut() }
            });
        }
    }
    mock
}

fn check(relay: &Relay, cut: Cut) {
    let Cut { recording, at, is_clean } = cut;
    let mut body = request(recording);
    body["cut"] = at.into();
    body["clean"] = is_clean.into();
    let mut answer = relay.ask_for(recording, &[], &body);
    let run = run_of(&answer);
    let seen = rest(&mut answer);
    assert!(!seen.is_broken, "{cut:?}: {seen:?}");
    let frames = without_ids(&raw(recording, &seen.text));
    let (whole, all) = (cut.whole_frames(), recorded(recording));
    let is_complete = cut.is_complete(whole);
    assert_eq!(frames[..whole.min(frames.len())], all[..whole], "{cut:?}");
    match &frames[whole..] {
        [] => assert!(is_complete, "{cut:?} looks complete"),
        [error] => assert!(!is_complete && is_error(recording, error), "{cut:?}: {error:?}"),
        more => panic!("{cut:?}: {more:?}"),
    }

    let status = if is_complete { "completed" } else { "truncated" };
    let logged = without_ids(&relay.logged(&format!("runs/{run}")));
    let ending = ending_in(&logged);
    assert_eq!(ending["status"], status, "{cut:?}: {ending}");
    assert_eq!(logged[0].name, "run.started", "{cut:?}");
    let named = |frame: &Frame| Frame {
        name: if frame.name.is_empty() { "message".into() } else { frame.name.clone() },
        ..frame.clone()
    };
    let stored: Vec<_> = logged[1..logged.len() - 1].iter().map(named).collect();
    assert_eq!(stored, all[..whole].iter().map(named).collect::<Vec<_>>(), "{cut:?}");
}

/// `GAPLESS_CUT_STEP=1` cuts at every byte.
#[test]
fn a_stream_that_is_cut_anywhere_has_one_ending_and_is_never_taken_for_complete() {
    let mock = cutting();
    let relay = Relay::start(&mock, "");
    let step = usize::try_from(number("GAPLESS_CUT_STEP", 211)).unwrap();
    let cuts: Vec<_> = ALL.into_iter().flat_map(|recording| places(recording, step)).collect();
    let count = cuts.len();
    at_once(WORKERS, cuts, |cut| check(&relay, cut));
    println!("{count} cuts");
    assert_eq!(mock.count(), count, "one request a cut");
}

/// How the same stream may be written, and cut into chunks.
fn spellings(recording: Recording) -> Vec<(String, Vec<u8>)> {
    let stream = String::from_utf8(recording.stream()).unwrap().replace("\r\n", "\n");
    let mut texts = vec![("LF", stream.clone()), ("CRLF", stream.replace('\n', "\r\n"))];
    if recording != Recording::Ollama {
        texts.extend([
            ("CR", stream.replace('\n', "\r")),
            ("BOM", format!("\u{feff}{stream}")),
            ("comments", stream.replace("data: ", ": 注\n: {\"error\":1}\ndata: ")),
            ("comment blocks", stream.replace("\n\n", "\n\n: ka\n\n")),
            ("no space", stream.replace("data: ", "data:")),
        ]);
    }
    texts.into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes())).collect()
}

#[test]
fn however_a_stream_is_spelled_and_wherever_its_bytes_are_cut_it_says_the_same() {
    let mock = Mock::start();
    for recording in ALL {
        for path in recording.paths(true) {
            mock.answering(&path, move |asked: &Request| {
                let asked = asked.json();
                let spelling =
                    spellings(recording).into_iter().find(|(name, _)| asked["spelling"] == **name).unwrap().1;
                let size = usize::try_from(asked["size"].as_u64().unwrap()).unwrap();
                recording.opened().send_each(spelling.chunks(size))
            });
        }
    }
    let relay = Relay::start(&mock, "");
    let spelled = |recording| spellings(recording).into_iter().map(move |(name, _)| (recording, name));
    let jobs: Vec<_> = ALL
        .into_iter()
        .flat_map(spelled)
        .flat_map(|(recording, name)| {
            [if ["LF", "CRLF"].contains(&&*name) { 1 } else { 5 }, 1000].map(|size| (recording, name.clone(), size))
        })
        .collect();
    at_once(WORKERS, jobs, |(recording, name, size)| {
        let mut body = request(recording);
        body["spelling"] = name.as_str().into();
        body["size"] = size.into();
        let what = format!("{recording:?}, {name}, in pieces of {size}");
        let mut answer = relay.ask_for(recording, &[], &body);
        let run = run_of(&answer);
        let seen = rest(&mut answer);
        assert_eq!(without_ids(&raw(recording, &seen.text)), recorded(recording), "{what}");
        let told = recording.told();
        let text = rest(&mut relay.read(&run, "format=text"));
        assert_eq!(text, running::Body { text: told.text.clone(), is_broken: false }, "{what}");
        let events = sse(&rest(&mut relay.read(&run, "format=events")).text);
        assert_eq!((texts(&events, "delta"), texts(&events, "reasoning")), (told.text, told.reasoning), "{what}");
    });
}

/// Four bytes a character, of several code points; halves of it are no text.
const FAMILY: &str = "家族👩‍👩‍👧‍👦と🏴󠁧󠁢󠁥󠁮󠁧󠁿é";

#[test]
fn text_that_is_split_at_any_byte_arrives_whole_in_every_format() {
    let stream = format!(
        "data: {}\n\ndata: {{\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\ndata: [DONE]\n\n",
        json!({ "choices": [{ "index": 0, "delta": { "content": FAMILY } }] })
    );
    let (mock, bytes) = (Mock::start(), stream.clone().into_bytes());
    mock.answering("/v1/chat/completions", move |asked: &Request| {
        let (before, after) = bytes.split_at(usize::try_from(asked.json()["at"].as_u64().unwrap()).unwrap());
        Recording::OpenAiChat.opened().send(before).send(after)
    });
    let relay = Relay::start(&mock, "");
    let first = stream.find('家').unwrap();
    at_once(WORKERS, (first..=first + FAMILY.len()).collect(), |at| {
        let mut body = request(Recording::OpenAiChat);
        body["at"] = at.into();
        let mut answer = relay.ask_for(Recording::OpenAiChat, &[], &body);
        let run = run_of(&answer);
        let seen = rest(&mut answer).text;
        assert_eq!(sse(&seen)[0].data, stream[6..].split("\n\n").next().unwrap(), "{at}");
        assert_eq!(rest(&mut relay.read(&run, "format=text")).text, FAMILY, "{at}");
        assert_eq!(texts(&sse(&rest(&mut relay.read(&run, "")).text), "delta"), FAMILY, "{at}");
        let lines = rest(&mut relay.read(&run, "format=ndjson")).text;
        let deltas = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let deltas: String = deltas
            .filter(|line| line["event"] == "delta")
            .map(|line| line["data"]["text"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(deltas, FAMILY, "{at}");
    });
}

#[test]
fn a_whole_answer_is_complete_and_has_its_providers_counts() {
    let mock = Mock::start();
    let relay = Relay::start(&mock, "");
    for recording in ALL {
        for path in recording.paths(true) {
            mock.usually(&path, recording.streamed());
        }
        let mut answer = relay.ask(recording, &[]);
        let run = run_of(&answer);
        assert_eq!(without_ids(&raw(recording, &rest(&mut answer).text)), recorded(recording));
        let ending = relay.ending(&run);
        let told = recording.told();
        assert_eq!(ending["status"], "completed", "{ending}");
        assert_eq!(ending["usage"]["source"], "upstream", "{recording:?}: {ending}");
        // The hub also counts the tokens that a provider reads from its cache, and those of reasoning.
        assert!(ending["usage"]["input"].as_u64().unwrap() >= told.tokens.0, "{recording:?}: {ending}");
        assert!(ending["usage"]["output"].as_u64().unwrap() >= told.tokens.1, "{recording:?}: {ending}");
    }
}
