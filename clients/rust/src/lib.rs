#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! | module | idea |
//! |---|---|
//! | `hub` | a hub, and what can be done with it |
//! | `subscribe`, `items`, `store` | subscriptions, what they give, and where their cursor is kept |
//! | `publish`, `stream` | one publish; a stream of many |
//! | `follow` | one stream across connections |
//! | `delivery`, `connection` | one request until its outcome is known; requests over one connection |
//! | `requests` | the hub's address, credential and connections |
//! | `transport` | HTTP/1.1, TLS and proxies |
//! | `problem`, `delay`, `sse_parser` | error responses, delays, the format of streams |
//!
//! The modules that are not in the documentation are those that the hub's own commands share with this client. They may change
//! with each version.

mod error;
mod hub;
mod items;
mod publish;
mod store;
mod stream;
mod subscribe;

#[doc(hidden)]
pub mod connection;
#[doc(hidden)]
pub mod delay;
#[doc(hidden)]
pub mod delivery;
#[doc(hidden)]
pub mod follow;
#[doc(hidden)]
pub mod problem;
#[doc(hidden)]
pub mod requests;
#[doc(hidden)]
pub mod sse_parser;
#[doc(hidden)]
pub mod transport;

pub use self::{
    error::{BoxError, ClientError},
    hub::{Hub, HubBuilder},
    items::{End, Event, Gap, Item, Removed},
    problem::HubProblem,
    publish::{Data, NewEvent, Publish, Receipt, random_key},
    requests::credential::TokenFailure,
    store::{CursorStore, FileStore, StoreFuture},
    stream::PublishStream,
    subscribe::{Delivery, Status, Subscribe, Subscription},
};
