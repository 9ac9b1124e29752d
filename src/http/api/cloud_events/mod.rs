//! [CloudEvents 1.0](https://github.com/cloudevents/spec/tree/v1.0.2): the description of an event by attributes, whatever
//! its data, as the hub keeps it in the log and sends it to readers who ask for it. What publishers send is parsed where
//! all publishes are.
//!
//! | module | idea |
//! |---|---|
//! | [`attributes`] | the context attributes, and how they are kept with an event |
//! | [`context`] | the attributes of any event of the log |
//! | [`payload`] | in which form the data of an event is sent |
//! | [`json_event`] | an event in the JSON format |
//! | [`uri`] | URIs of attributes |
//! | [`header_value`] | an attribute as the value of an HTTP header, and back |

pub mod attributes;
pub mod context;
pub mod header_value;
pub mod json_event;
pub mod payload;
pub mod uri;

/// The Content-Type of an event in the JSON format, without its parameters.
pub const EVENT_TYPE: &str = "application/cloudevents+json";

/// The Content-Type of a batch in the JSON format, without its parameters.
pub const BATCH_TYPE: &str = "application/cloudevents-batch+json";

/// What the Content-Types of all formats begin with.
pub const TYPE_PREFIX: &str = "application/cloudevents";
