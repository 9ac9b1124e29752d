//! A page of the list of topics, for who may see some of them only.

use crate::{
    access::Grant,
    http::{
        AppState,
        problem::{Code, Problem},
    },
    hub::TopicView,
};

/// Topics looked at at a time for who may not see all of them.
const SLICE: usize = 1000;

/// Topics looked at for one page at most: some 5 ms of work.
const LOOKED_AT: usize = 10_000;

/// Up to `limit` topics after `after` that `grant` lets one see, all of them without one; and whether there are more.
///
/// # Errors
/// When none of very many may be seen. To go on after the last of those would tell its name.
pub(super) async fn page(
    app: &AppState,
    grant: Option<&Grant>,
    prefix: &str,
    after: &str,
    limit: usize,
) -> Result<(Vec<TopicView>, bool), Problem> {
    // One more than is shown tells whether there are more.
    let slice = if grant.is_some() { SLICE } else { limit + 1 };
    let (mut views, mut after, mut looked_at) = (Vec::new(), after.to_owned(), 0);
    while looked_at < LOOKED_AT {
        let found = app.hub.topics(prefix.into(), after.clone(), slice).await;
        let last = found.last().filter(|_| found.len() == slice).map(|view| view.state.topic.to_string());
        looked_at += found.len();
        views.extend(found.into_iter().filter(|view| grant.is_none_or(|grant| grant.may_see(&view.state.topic))));
        if views.len() > limit {
            views.truncate(limit);
            return Ok((views, true));
        }
        match last {
            Some(last) => after = last,
            None => return Ok((views, false)),
        }
    }
    if views.is_empty() {
        let detail =
            format!("you may see none of the first {LOOKED_AT} topics; give a prefix of those that you may see");
        return Err(Problem::new(Code::QueryInvalid, detail));
    }
    Ok((views, true))
}
