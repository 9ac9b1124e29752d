//! The `gapless` binary.
fn main() {}
