//! A page of the list of topics, restricted to those that the caller may see.

use crate::{
    access::Grant,
    engine::TopicQuery,
    event::TopicName,
    http::message::problem::{Code, Problem},
    hub::{Hub, TopicView},
};

/// Topics read at a time when a grant restricts the list.
const BATCH: usize = 1000;

/// Topics read for one page at most: some 5 ms of work.
const MAX_SCANNED: usize = 10_000;

/// Up to `limit` topics of `query` that `grant` permits to see (all of them without a grant), and whether there are more.
///
/// # Errors
/// When the engine cannot be read now, or when none of the first [`MAX_SCANNED`] may be seen: a page that continues
/// after them would reveal the name of the last.
pub(super) async fn page(
    hub: &Hub,
    grant: Option<&Grant>,
    mut query: TopicQuery,
    limit: usize,
) -> Result<(Vec<TopicView>, bool), Problem> {
    // One more than the limit shows whether there are more.
    let batch = if grant.is_some() { BATCH } else { limit + 1 };
    let (mut views, mut scanned) = (Vec::new(), 0);
    while scanned < MAX_SCANNED {
        let found = hub.topics(query.clone(), batch).await?;
        let last = found.last().filter(|_| found.len() == batch).map(|view| view.state.topic.to_string());
        scanned += found.len();
        let is_visible =
            |topic: &TopicName| !topic.is_internal() && grant.is_none_or(|grant| grant.may_read_metadata(topic));
        views.extend(found.into_iter().filter(|view| is_visible(&view.state.topic)));
        if views.len() > limit {
            views.truncate(limit);
            return Ok((views, true));
        }
        match last {
            Some(last) => query.after = last,
            None => return Ok((views, false)),
        }
    }
    if views.is_empty() {
        let detail =
            format!("you may see none of the first {MAX_SCANNED} topics; give a prefix of those that you may see");
        return Err(Problem::new(Code::QueryInvalid, detail));
    }
    Ok((views, true))
}
