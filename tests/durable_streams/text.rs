//! Text that is cut anywhere, also within a character.

use crate::{
    stream::{CLOSES, PROTOCOL, Stream, TEXT, data},
    support::hub::Hub,
};

const WHOLE: &str = "a€𝄞\r\nü";

/// Appends the text in pieces of `size` bytes; returns the offset after each.
fn append_in_pieces(stream: &Stream, size: usize) -> Vec<String> {
    WHOLE.as_bytes().chunks(size).map(|piece| stream.append(TEXT, piece)).collect()
}

#[test]
fn a_text_that_is_cut_within_characters_is_read_whole() {
    let hub = Hub::start_with(&PROTOCOL);
    for size in 1..=5 {
        let stream = Stream::create(&hub, &format!("{size}"), TEXT);
        let mut live = stream.sse("-1", None);
        let offsets = append_in_pieces(&stream, size);
        assert_eq!(stream.post(&[("content-type", TEXT), CLOSES], b".").status, 204);
        assert_eq!(stream.text(), format!("{WHOLE}."), "pieces of {size}");
        for (index, offset) in offsets.iter().enumerate() {
            let rest = &WHOLE.as_bytes()[WHOLE.len().min((index + 1) * size)..];
            assert_eq!(stream.read_after(offset).0, [rest, b"."].concat(), "pieces of {size}, from {index}");
        }
        // A break of the line that is cut in two is two breaks in SSE, which has no other way to write it.
        let lines = |text: &str| text.replace("\r\n", "\n").replace('\r', "\n").replace("\n\n", "\n");
        for (reader, mut reader_of) in [("live", live), ("later", stream.sse("-1", None))] {
            let text = data(&reader_of.rest());
            assert_eq!(lines(&text), lines(&format!("{WHOLE}.")), "{reader}, pieces of {size}");
        }
        live = stream.sse("-1", None);
        drop(live);
    }
}

#[test]
fn a_reader_that_comes_back_within_a_character_gets_it_whole() {
    let hub = Hub::start_with(&PROTOCOL);
    let whole = "x€𝄞ü.";
    for size in 1..=3 {
        let stream = Stream::create(&hub, &format!("{size}"), TEXT);
        for piece in whole.as_bytes().chunks(size) {
            stream.append(TEXT, piece);
        }
        // Reads one event on each connection, as if each broke.
        let (mut text, mut id) = (String::new(), None::<String>);
        while !text.ends_with('.') {
            let mut reader = stream.sse("-1", id.as_deref());
            let block = std::iter::from_fn(|| reader.next()).find(|block| block.event == "data").unwrap();
            text.push_str(&block.data.unwrap());
            id = block.id;
        }
        assert_eq!(text, whole, "pieces of {size}");
    }
}

#[test]
fn a_reader_of_a_fork_within_a_character_gets_it_whole() {
    let hub = Hub::start_with(&PROTOCOL);
    let source = Stream::create(&hub, "source", TEXT);
    let within = source.append(TEXT, b"a\xe2\x82");
    source.append(TEXT, b"\xac of the source");
    let fork = Stream::at(&hub, "fork");
    assert_eq!(fork.fork_of(&source, &[("stream-fork-offset", &within)], b"\xac of the fork").status, 201);
    assert_eq!(fork.text(), "a€ of the fork");
    assert_eq!(fork.sse("-1", None).data(2).concat(), "a€ of the fork");
    assert_eq!(fork.sse(&within, None).data(1), ["€ of the fork"]);
    assert_eq!(source.sse("-1", Some(&within)).data(1), ["€ of the source"]);
}

/// Words come with the space before them, and readers of SSE drop one after the colon.
#[test]
fn a_space_at_the_beginning_is_kept() {
    let hub = Hub::start_with(&PROTOCOL);
    let stream = Stream::create(&hub, "s", TEXT);
    let words = ["one", " two", "  three", "\n four\r\n  five\r six", " "];
    let mut live = stream.sse("-1", None);
    for word in words {
        stream.append(TEXT, word);
    }
    assert_eq!(stream.text(), words.concat());
    let want = words.map(|word| word.replace("\r\n", "\n").replace('\r', "\n"));
    assert_eq!(live.data(words.len()), want);
    assert_eq!(stream.sse("-1", None).data(words.len()), want);
}

#[test]
fn what_is_no_text_at_all_is_exact_in_pages() {
    let hub = Hub::start_with(&PROTOCOL);
    let stream = Stream::create(&hub, "s", TEXT);
    let bytes: Vec<u8> = (0..=255).rev().collect();
    bytes.chunks(7).for_each(|piece| drop(stream.append(TEXT, piece)));
    assert_eq!(stream.read(), bytes);
    assert_eq!(stream.post(&[CLOSES], b"").status, 204);
    assert!(data(&stream.sse("-1", None).rest()).contains('\u{fffd}'));
}
