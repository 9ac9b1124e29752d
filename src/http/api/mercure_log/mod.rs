//! How updates of Mercure are kept in the log, and sent from it.
//!
//! An update of several topics is one event in each of them, in one commit. Each knows all topics and its place among them,
//! so that a stream is sent the first one that it selects, and no other.
//!
//! | module | idea |
//! |---|---|
//! | [`log_topic`] | the topic of the log that holds the updates of a topic |
//! | [`update_note`] | what an event knows of its update: the topics, its place, the publisher's id |
//! | [`update_id`] | the ids of updates, which are the cursors of streams |
//! | [`update_event`] | an update as an event of a stream |

pub mod log_topic;
pub mod update_event;
pub mod update_id;
pub mod update_note;
