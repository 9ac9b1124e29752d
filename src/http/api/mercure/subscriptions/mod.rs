//! Which subscriptions are active: in memory, of this process, and told to those who may see it.
//!
//! A connection is a subscriber, and each of its selectors is a subscription. Begins and ends are changes with a number; the
//! newest are kept, so that a stream that knows a number is told what has changed since. One that does not is told all that
//! is active.
//!
//! | module | idea |
//! |---|---|
//! | [`collection`] | the path of a selector's subscriptions |
//! | [`subscriber`] | a connection with its subscriptions |
//! | [`document`] | a subscription as JSON |
//! | [`change_id`] | how far a client knows the changes, as a part of its cursor |
//! | [`changes`] | the newest changes |
//! | [`interest`] | which subscriptions a stream can be told of, so that others do not wake it |
//! | [`watchers`] | the streams that are told |
//! | [`registry`] | what is active |
//! | [`stream`] | what one stream is sent |

pub mod change_id;
pub mod changes;
pub mod collection;
pub mod document;
pub mod interest;
pub mod registry;
pub mod stream;
pub mod subscriber;
pub mod watchers;
