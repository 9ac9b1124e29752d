#![no_main]

#[path = "../properties/last_event_id.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::holds_for(input));
