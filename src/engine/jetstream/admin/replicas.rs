//! The newest messages of all replicas beside each other.
//!
//! A direct get is answered by any replica, and does not say by which. So the same page is read many times, and replicas
//! that hold the same messages answer with the same page. A replica may be late, and a purge may be under way: both pass.
//! Two messages at one position never pass.

use std::{
    collections::{BTreeMap, BTreeSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    time::Duration,
};

use tokio::time::sleep;

use crate::engine::jetstream::nats::{Nats, NatsError, Range, Stored};

/// The newest positions that are compared.
const POSITIONS: u64 = 100;

/// Reads of one round. The chance that one of three replicas answers none of them is below 1 in 10,000,000.
const READS: usize = 40;

/// Rounds, and the pause between them: a replica that is only late has caught up.
const ROUNDS: usize = 4;
const PAUSE: Duration = Duration::from_secs(1);

/// Most bytes of a page: [`POSITIONS`] of NATS's largest usual message (8 MiB) do not fit, and then fewer are compared.
const PAGE_BYTES: usize = 16 << 20;

/// What the replicas hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// The same messages; so many.
    Same(usize),
    /// Different messages at these positions: the first, and how many.
    Split { first: u64, count: usize },
    /// Some lack messages that others have, also after seconds: the first position, and how many.
    Uneven { first: u64, count: usize },
    /// No replica answered, or none for a while.
    Silent(String),
}

/// Compares the newest messages up to `last` of a stream whose subjects match `filter`.
pub(super) async fn compare(nats: &Nats, filter: &str, first: u64, last: u64) -> Comparison {
    let from = first.max((last + 1).saturating_sub(POSITIONS)).max(1);
    if last == 0 || from > last {
        return Comparison::Same(0);
    }
    let mut result = Comparison::Same(0);
    for round in 0..ROUNDS {
        if round > 0 {
            sleep(PAUSE).await;
        }
        result = match pages(nats, filter, from, last).await {
            Ok(pages) => verdict(&pages),
            Err(error) => Comparison::Silent(error.to_string()),
        };
        if matches!(result, Comparison::Same(_) | Comparison::Split { .. }) {
            break;
        }
    }
    result
}

/// A page: the digest of the message at each position.
type ReplicaPage = BTreeMap<u64, u64>;

async fn pages(nats: &Nats, filter: &str, from: u64, last: u64) -> Result<Vec<ReplicaPage>, NatsError> {
    let max = usize::try_from(last - from + 1).unwrap_or(usize::MAX);
    let mut pages = Vec::with_capacity(READS);
    for _ in 0..READS {
        let page = nats.range(Range { filter: filter.into(), from, max, max_bytes: PAGE_BYTES }).await?;
        let messages = page.messages.into_iter().filter(|message| message.seq <= last);
        pages.push(messages.map(|message| (message.seq, digest(&message))).collect());
    }
    Ok(pages)
}

fn verdict(pages: &[ReplicaPage]) -> Comparison {
    let positions: BTreeSet<u64> = pages.iter().flat_map(|page| page.keys().copied()).collect();
    let reach = positions.len();
    let (mut split, mut uneven) = (Vec::new(), Vec::new());
    for position in positions {
        let digests: BTreeSet<u64> = pages.iter().filter_map(|page| page.get(&position).copied()).collect();
        if digests.len() > 1 {
            split.push(position);
        } else if pages.iter().any(|page| !page.contains_key(&position)) {
            uneven.push(position);
        }
    }
    match (split.first(), uneven.first()) {
        (Some(&first), _) => Comparison::Split { first, count: split.len() },
        (None, Some(&first)) => Comparison::Uneven { first, count: uneven.len() },
        (None, None) => Comparison::Same(reach),
    }
}

/// Of all that a replica stores and a reader is given.
fn digest(message: &Stored) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&message.subject, message.time, &message.payload).hash(&mut hasher);
    for name in ["Gl", "Gl-Topic", "Gl-Job", "Gl-Write"] {
        message.headers.get(name).hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(content: &[(u64, u64)]) -> ReplicaPage {
        content.iter().copied().collect()
    }

    #[test]
    fn one_position_with_two_messages_is_a_split_and_a_missing_one_is_not() {
        let (whole, late) = (page(&[(1, 7), (2, 8), (4, 9)]), page(&[(1, 7), (2, 8)]));
        assert_eq!(verdict(&[whole.clone(), whole.clone()]), Comparison::Same(3));
        assert_eq!(verdict(&[whole.clone(), late.clone()]), Comparison::Uneven { first: 4, count: 1 });
        let other = page(&[(1, 7), (2, 5), (4, 6)]);
        assert_eq!(verdict(&[whole, late, other]), Comparison::Split { first: 2, count: 2 });
        assert_eq!(verdict(&[page(&[])]), Comparison::Same(0));
    }
}
