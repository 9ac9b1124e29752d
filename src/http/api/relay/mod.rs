//! The relay's endpoints: `/relay/NAME/…`, through which SDKs reach a provider, and `/runs`.
//!
//! | module | idea |
//! |---|---|
//! | [`state`] | what these handlers share |
//! | [`drop_in`] | a request of an SDK: a run, or passed through |
//! | [`pass_through`] | a request that is no run, and its answer, both as they are |
//! | [`generation`] | a request for a generation: who asks, which run it joins |
//! | [`runs`] | `/runs`: begin, list, look at, read, stop, delete |
//! | `account` | the account that a run is charged to |
//! | [`responses`] | OpenAI's `/v1/responses/ID`, from the log |
//! | [`answer`] | the response with a run |
//! | [`run_body`] | its body: a subscription in a format |
//! | [`run_events`] | the events of a run among those of its topic |
//! | [`refusal`] | the hub's problems in a provider's shape |
//! | [`run_view`] | a run as JSON |

mod account;
pub mod answer;
pub mod drop_in;
pub mod generation;
pub mod pass_through;
pub mod refusal;
pub mod responses;
pub mod run_body;
pub mod run_events;
pub mod run_view;
pub mod runs;
pub mod state;
