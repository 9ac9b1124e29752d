#![no_main]

#[path = "../properties/relay_gemini.rs"]
mod property;
#[path = "../properties/relay_stream.rs"]
mod relay_stream;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::holds_for(input));
