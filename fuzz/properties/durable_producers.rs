//! The headers of a producer are three plain values or refused, and each append is accepted once and in order.
//!
//! Input: the three values, a line each, then three bytes for each append: producer, epoch and number.

use std::collections::HashMap;

use gapless::http::{
    api::durable_streams::producer::{
        MAX_NUMBER, PRODUCER_EPOCH, PRODUCER_ID, PRODUCER_SEQ, ProducerAppend, ProducerVerdict, Producers,
    },
    message::problem::Code,
};
use http::{HeaderMap, HeaderValue};

/// Reads the headers, and checks the appends against the rules of the protocol.
pub(crate) fn holds_for(input: &[u8]) {
    let mut parts = input.splitn(4, |byte| *byte == b'\n');
    let mut values = || parts.next().and_then(|value| HeaderValue::from_bytes(value).ok());
    check_headers([values(), values(), values()]);
    check_appends(parts.next().unwrap_or_default());
}

fn check_headers(values: [Option<HeaderValue>; 3]) {
    let names = [PRODUCER_ID, PRODUCER_EPOCH, PRODUCER_SEQ];
    let given = names.into_iter().zip(&values).filter_map(|(name, value)| Some((name, value.clone()?)));
    let headers: HeaderMap = given.collect();
    match (ProducerAppend::of_request(&headers), values) {
        (Ok(None), [None, None, None]) => {}
        (Ok(Some(append)), [Some(id), Some(epoch), Some(seq)]) => {
            assert!((1..=255).contains(&id.len()), "{id:?}");
            for (number, text) in [(append.epoch, epoch), (append.seq, seq)] {
                let text = text.to_str().expect("digits");
                assert!(text.bytes().all(|byte| byte.is_ascii_digit()) && number <= MAX_NUMBER, "{text}");
                assert_eq!(text.parse(), Ok(number));
            }
        }
        (Err(problem), given) => {
            assert_eq!(problem.code, Code::HeaderInvalid);
            assert!(given.iter().any(Option::is_some), "{problem}");
        }
        other => panic!("{other:?}"),
    }
}

fn check_appends(story: &[u8]) {
    let (mut producers, mut known) = (Producers::default(), HashMap::<u8, (u64, u64)>::new());
    for step in story.chunks_exact(3) {
        let (epoch, seq) = (u64::from(step[1] % 4), u64::from(step[2] % 8));
        let append = ProducerAppend { producer: [step[0]; 8], epoch, seq };
        let verdict = producers.check(append);
        let want = match known.get(&step[0]) {
            None if seq == 0 => ProducerVerdict::New,
            None => ProducerVerdict::Gap { expected: 0 },
            Some((newest, _)) if epoch < *newest => ProducerVerdict::Fenced { epoch: *newest },
            Some((newest, _)) if epoch > *newest && seq > 0 => ProducerVerdict::NotFromZero,
            Some((newest, _)) if epoch > *newest => ProducerVerdict::New,
            Some((_, highest)) if seq <= *highest => ProducerVerdict::Duplicate { highest: *highest },
            Some((_, highest)) if seq == highest + 1 => ProducerVerdict::New,
            Some((_, highest)) => ProducerVerdict::Gap { expected: highest + 1 },
        };
        assert_eq!(verdict, want, "{append:?}");
        if verdict == ProducerVerdict::New {
            producers.accept(append);
            known.insert(step[0], (epoch, seq));
        }
    }
    assert_eq!(producers.count(), known.len());
}
