//! The engine over a NATS JetStream stream, which is the log.

#![expect(dead_code, unused_imports, reason = "the engine that uses these modules is being built")]

mod wire;
