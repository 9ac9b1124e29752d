//! Mercure (<https://mercure.rocks>) as a front end of the log: both dialects of its wire protocol at one path.
//!
//! Dialect 0 is what hubs before 1.0 speak (`topic=`, the claim `mercure`), dialect 1 is that of 1.0 (`match=`, access
//! tokens). What a request says decides which it is, not a setting.
//!
//! | module | idea |
//! |---|---|
//! | [`topic_rules`] | what a topic may be called |
//! | [`selector`] | which topics a subscriber or a grant means |
//! | [`uri_template`], [`url_pattern`] | selectors that are patterns, matched in linear time |
//! | [`claims`] | what a token permits |
//! | [`form`] | the pairs of a form |
//! | [`update_form`] | the body of a publish |
//! | [`subscribe_query`] | the parameters of a subscription |

pub mod claims;
pub mod form;
pub mod selector;
pub mod subscribe_query;
pub mod topic_rules;
pub mod update_form;
pub mod uri_template;
pub mod url_pattern;
