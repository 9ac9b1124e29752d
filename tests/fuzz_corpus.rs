//! The properties of the fuzz targets hold for every kept input: `fuzz/seeds/<target>/`.
//!
//! The fuzz targets and these tests share their bodies, `fuzz/properties/<target>.rs`.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../fuzz/properties/cloud_events.rs"]
mod cloud_events;
#[path = "../fuzz/properties/credentials.rs"]
mod credentials;
#[path = "../fuzz/properties/durable_append_records.rs"]
mod durable_append_records;
#[path = "../fuzz/properties/durable_messages.rs"]
mod durable_messages;
#[path = "../fuzz/properties/durable_offsets.rs"]
mod durable_offsets;
#[path = "../fuzz/properties/durable_producers.rs"]
mod durable_producers;
#[path = "../fuzz/properties/durable_sse.rs"]
mod durable_sse;
#[path = "../fuzz/properties/forwarded.rs"]
mod forwarded;
#[path = "../fuzz/properties/last_event_id.rs"]
mod last_event_id;
#[path = "../fuzz/properties/mercure_claims.rs"]
mod mercure_claims;
#[path = "../fuzz/properties/mercure_forms.rs"]
mod mercure_forms;
#[path = "../fuzz/properties/mercure_selectors.rs"]
mod mercure_selectors;
#[path = "../fuzz/properties/publish_envelopes.rs"]
mod publish_envelopes;
#[path = "../fuzz/properties/relay_anthropic.rs"]
mod relay_anthropic;
#[path = "../fuzz/properties/relay_gemini.rs"]
mod relay_gemini;
#[path = "../fuzz/properties/relay_ollama.rs"]
mod relay_ollama;
#[path = "../fuzz/properties/relay_openai.rs"]
mod relay_openai;
#[path = "../fuzz/properties/relay_stream.rs"]
mod relay_stream;
#[path = "../fuzz/properties/sse_encoder.rs"]
mod sse_encoder;
#[path = "../fuzz/properties/sse_parser.rs"]
mod sse_parser;
#[path = "../fuzz/properties/tokens.rs"]
mod tokens;
#[path = "../fuzz/properties/topic_names.rs"]
mod topic_names;

/// Checks the property of `target` with each kept input.
fn try_each(target: &str, property: fn(&[u8])) {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let inputs: Vec<_> = directory.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!inputs.is_empty(), "{} has inputs", directory.display());
    for path in inputs {
        println!("{}", path.display());
        property(&std::fs::read(path).unwrap());
    }
}

#[test]
fn any_data_is_read_as_one_event_with_exactly_that_data() {
    try_each("sse_encoder", sse_encoder::holds_for);
}

#[test]
fn any_cut_into_chunks_reads_the_same() {
    try_each("sse_parser", sse_parser::holds_for);
}

#[test]
fn names_and_patterns_are_what_the_rules_say() {
    try_each("topic_names", topic_names::holds_for);
}

#[test]
fn any_text_is_a_cursor_that_resumes_or_is_told() {
    try_each("last_event_id", last_event_id::holds_for);
}

#[test]
fn no_client_chooses_its_address() {
    try_each("forwarded", forwarded::holds_for);
}

#[test]
fn the_credential_that_counts_is_one_that_the_request_has() {
    try_each("credentials", credentials::holds_for);
}

#[test]
fn what_is_taken_as_envelopes_is_taken_again() {
    try_each("publish_envelopes", publish_envelopes::holds_for);
}

#[test]
fn only_what_a_configured_key_has_signed_is_a_good_token() {
    try_each("tokens", tokens::holds_for);
}

#[test]
fn a_provider_s_stream_is_the_same_frames_however_it_is_cut() {
    try_each("relay_anthropic", relay_anthropic::holds_for);
    try_each("relay_gemini", relay_gemini::holds_for);
    try_each("relay_ollama", relay_ollama::holds_for);
    try_each("relay_openai", relay_openai::holds_for);
}

#[test]
fn any_text_is_an_offset_of_one_position_or_none() {
    try_each("durable_offsets", durable_offsets::holds_for);
}

#[test]
fn a_body_is_taken_apart_into_the_messages_that_it_has() {
    try_each("durable_messages", durable_messages::holds_for);
}

#[test]
fn the_newest_records_tell_the_state_of_a_stream_s_appends() {
    try_each("durable_append_records", durable_append_records::holds_for);
}

#[test]
fn an_append_of_a_producer_is_accepted_once_and_in_order() {
    try_each("durable_producers", durable_producers::holds_for);
}

#[test]
fn data_is_a_pair_of_events_and_no_character_is_lost_where_it_is_cut() {
    try_each("durable_sse", durable_sse::holds_for);
}

/// Changes each byte of a valid token, which has some 350.
#[test]
fn a_good_token_changed_in_any_one_place_is_refused() {
    for at in 0..512_u16 {
        let [high, low] = at.to_be_bytes();
        for byte in [b'A', b'.', b'=', 0] {
            tokens::holds_for(&[high, low, byte]);
        }
    }
}

/// The hub has its own table of the characters that names must not contain.
#[test]
fn no_control_or_format_character_of_unicode_is_in_a_name() {
    for c in char::MIN..=char::MAX {
        topic_names::holds_for(format!("x{c}y").as_bytes());
    }
}

#[test]
fn no_selector_of_mercure_panics_and_a_name_and_its_topic_are_one_to_one() {
    try_each("mercure_selectors", mercure_selectors::holds_for);
}

#[test]
fn what_is_taken_as_an_update_of_mercure_is_taken_again() {
    try_each("mercure_forms", mercure_forms::holds_for);
}

#[test]
fn cloud_events_come_back_as_they_were_taken() {
    try_each("cloud_events", cloud_events::holds_for);
}

#[test]
fn no_claims_but_mercures_grant_anything_of_it() {
    try_each("mercure_claims", mercure_claims::holds_for);
}
