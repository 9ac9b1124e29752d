#![no_main]

#[path = "../properties/durable_messages.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::holds_for(input));
