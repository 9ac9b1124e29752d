#![no_main]

#[path = "../properties/durable_offsets.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::holds_for(input));
