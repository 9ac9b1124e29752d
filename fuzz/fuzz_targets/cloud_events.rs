#![no_main]

#[path = "../properties/cloud_events.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::holds_for(input));
