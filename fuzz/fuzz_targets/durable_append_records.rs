#![no_main]

#[path = "../properties/durable_append_records.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::holds_for(input));
