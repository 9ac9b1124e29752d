//! The relay: answers of LLM providers as runs, which belong to the hub and not to a socket.
//!
//! A **run** is one generation: one request to a provider, and the stream that answers it. Its frames are ordinary events
//! of a topic, so replay, fan-out, retention, access and gaps are the hub's. What is stored is what the provider sent;
//! every other form is derived when it is read.
//!
//! | module | idea |
//! |---|---|
//! | [`dialect`] | the wire formats of the providers: requests, credentials, errors; what a frame means |
//! | [`frames`] | a provider's bytes as frames |
//! | [`ending`] | how a run ends |
//! | [`format`] | the events of a run as the bytes of a response |

pub mod dialect;
pub mod ending;
pub mod format;
pub mod frames;
