//! Merged deltas: when they go out, and with which id.

use super::*;

/// An encoder, and a clock.
struct Watched {
    encoder: AnswerEncoder,
    begin: Instant,
    at: u64,
}

impl Watched {
    fn new(format: Format, ms: u64) -> Self {
        let batch = Some(Duration::from_millis(ms));
        let encoder = AnswerEncoder::new(AnswerOptions { batch, ..options(&IDS, format) });
        Self { encoder, begin: Instant::now(), at: 0 }
    }

    fn time(&self, ms: u64) -> Instant {
        self.begin + Duration::from_millis(ms)
    }

    /// A frame at `ms`: the names, the texts and the ids of what is written.
    fn frame(&mut self, ms: u64, data: &str) -> Vec<String> {
        self.at += 1;
        let (now, mut out) = (self.time(ms), Vec::new());
        self.encoder.push(id(self.at), RunEvent::Frame { name: "", data }, now, &mut out);
        told(&out)
    }

    fn due(&self) -> Option<u64> {
        let due = self.encoder.due()?;
        Some(u64::try_from((due - self.begin).as_millis()).expect("small"))
    }

    fn flush(&mut self, ms: u64) -> Vec<String> {
        let (now, mut out) = (self.time(ms), Vec::new());
        self.encoder.flush(now, &mut out);
        told(&out)
    }
}

/// `name text id` of each event.
fn told(out: &[u8]) -> Vec<String> {
    let one = |event: Seen| {
        let data: serde_json::Value = serde_json::from_str(&event.data).expect("JSON");
        let text = ["text", "arguments", "output", "mime"].iter().find_map(|key| data.get(key));
        let id = event.id.map_or("-".into(), |id| id.to_string());
        format!("{} {} {id}", event.name, text.map(ToString::to_string).unwrap_or_default())
    };
    seen(Format::Events, std::str::from_utf8(out).expect("UTF-8")).into_iter().map(one).collect()
}

#[test]
fn the_first_delta_never_waits_and_later_ones_are_merged_for_the_window() {
    let mut watched = Watched::new(Format::Events, 100);
    assert_eq!(watched.frame(0, "text 0 a"), ["delta \"a\" abcd-1"]);
    assert_eq!(watched.due(), None);
    assert_eq!((watched.frame(10, "text 0 b"), watched.due()), (vec![], Some(100)));
    assert_eq!((watched.frame(99, "text 0 c"), watched.due()), (vec![], Some(100)), "the window does not move");
    assert_eq!(watched.flush(101), ["delta \"bc\" abcd-3"]);
    assert_eq!((watched.frame(150, "text 0 d"), watched.due()), (vec![], Some(201)));
    assert_eq!(watched.flush(201), ["delta \"d\" abcd-4"]);
    assert_eq!(watched.frame(500, "text 0 e"), ["delta \"e\" abcd-5"], "a slow stream waits for nothing");
}

#[test]
fn anything_else_goes_out_at_once_after_what_waits() {
    let mut watched = Watched::new(Format::Events, 100);
    watched.frame(0, "think 0 a");
    assert_eq!(watched.frame(1, "think 0 b"), [""; 0]);
    assert_eq!(watched.frame(2, "text 0 c"), ["reasoning \"b\" abcd-2", "delta \"c\" abcd-3"], "another kind");
    assert_eq!(watched.frame(3, "text 0 d"), [""; 0]);
    assert_eq!(watched.frame(4, "block 1\ntext 0 e"), ["delta \"d\" abcd-4", "delta \"e\" abcd-5"], "another block");
    watched.frame(5, "text 0 f");
    assert_eq!(watched.frame(6, "text 1 g"), ["delta \"f\" abcd-6", "delta \"g\" abcd-7"], "another choice");
    watched.frame(7, "text 1 h");
    assert_eq!(watched.frame(8, "tool 0 i f"), ["delta \"h\" abcd-8", "tool \"\" abcd-9"], "a tool call");
    assert_eq!(watched.frame(9, "args 0 {"), [""; 0]);
    assert_eq!(watched.frame(10, "args 1 j"), ["tool \"{\" abcd-10", "tool \"j\" abcd-11"], "another call");
    watched.frame(11, "args 1 k");
    assert_eq!(watched.frame(12, "usage 1 2"), ["tool \"k\" abcd-12", "usage 2 abcd-13"], "counts alone");
    watched.frame(13, "args 1 l");
    assert_eq!(watched.frame(14, "image m m"), ["tool \"l\" abcd-14", "image \"m\" abcd-15"], "an image");
}

#[test]
fn counts_of_tokens_that_come_with_every_delta_wait_with_it() {
    let mut watched = Watched::new(Format::Events, 100);
    assert_eq!(watched.frame(0, "text 0 a\nusage 9 1"), ["usage 1 -", "delta \"a\" abcd-1"]);
    assert_eq!(watched.frame(1, "text 0 b"), [""; 0]);
    assert_eq!(watched.frame(2, "text 0 c\nusage 9 2"), [""; 0]);
    assert_eq!(watched.frame(3, "text 0 d\nusage 9 3"), [""; 0]);
    assert_eq!(watched.flush(100), ["usage 3 -", "delta \"bcd\" abcd-4"], "a delta that was received has its id");
    assert_eq!(watched.frame(300, "text 0 e\nusage 9 3"), ["delta \"e\" abcd-5"], "the same counts are not told again");
}

#[test]
fn a_frame_with_several_events_is_not_merged() {
    let mut watched = Watched::new(Format::Events, 100);
    watched.frame(0, "text 0 a");
    watched.frame(1, "text 0 b");
    let several = watched.frame(2, "text 0 c\ntext 1 d");
    assert_eq!(several, ["delta \"b\" abcd-2", "delta \"c\" -", "delta \"d\" abcd-3"]);
    assert_eq!(watched.frame(200, "text 0 e\ntext 0 f"), ["delta \"ef\" abcd-4"], "but one text is one event");
}

#[test]
fn what_waits_is_bounded() {
    let mut watched = Watched::new(Format::Events, 100);
    watched.frame(0, "text 0 a");
    let kilobyte = format!("text 0 {}", "x".repeat(1 << 10));
    let written = (0..64).map(|_| watched.frame(1, &kilobyte).len()).collect::<Vec<_>>();
    assert_eq!((written.iter().sum::<usize>(), written[63], watched.due()), (1, 1, None));
}

#[test]
fn what_the_format_leaves_out_sends_nothing() {
    let mut watched = Watched::new(Format::Text, 100);
    let body = |watched: &mut Watched, ms, data: &str| {
        watched.at += 1;
        let (now, mut out) = (watched.time(ms), Vec::new());
        watched.encoder.push(id(watched.at), RunEvent::Frame { name: "", data }, now, &mut out);
        String::from_utf8(out).expect("UTF-8")
    };
    assert_eq!(body(&mut watched, 0, "text 0 a"), "a");
    assert_eq!(body(&mut watched, 1, "text 0 b"), "");
    assert_eq!(body(&mut watched, 2, "usage 1 2\ntext 1 x"), "");
    assert_eq!(body(&mut watched, 3, "text 0 c"), "");
    assert_eq!(body(&mut watched, 100, "block 1\ntext 0 d"), "bcd");
}

#[test]
fn a_window_of_any_length_is_accepted() {
    let batch = Some(Duration::MAX);
    let mut encoder = AnswerEncoder::new(AnswerOptions { batch, ..options(&IDS, Format::Events) });
    for at in 1..3 {
        encoder.push(id(at), RunEvent::Frame { name: "", data: "text 0 a" }, Instant::now(), &mut Vec::new());
    }
    assert!(encoder.due().is_some());
}
