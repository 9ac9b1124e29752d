//! Which feeds a topic's events go to: a tree of segments, so that publishing costs what is matched, not what exists.

use std::{collections::HashMap, sync::Arc};

use super::feed::Feed;
use crate::event::{Filter, Selection, TopicName};

/// Feeds by the names and patterns of their selections.
#[derive(Debug, Default)]
pub(super) struct Directory {
    root: Node,
    feeds: HashMap<Selection, Arc<Feed>>,
}

#[derive(Debug, Default)]
struct Node {
    children: HashMap<Box<str>, Node>,
    /// What a `*` at this depth leads to.
    any: Option<Box<Node>>,
    /// Feeds whose filter ends here.
    here: Vec<Arc<Feed>>,
    /// Feeds whose filter ends in a `**` below here.
    below: Vec<Arc<Feed>>,
}

impl Directory {
    pub(super) fn get(&self, selection: &Selection) -> Option<&Arc<Feed>> {
        self.feeds.get(selection)
    }

    pub(super) fn feeds(&self) -> impl Iterator<Item = &Arc<Feed>> {
        self.feeds.values()
    }

    pub(super) fn insert(&mut self, feed: Arc<Feed>) {
        for filter in feed.selection.filters() {
            self.root.leaf(filter.as_str()).push(Arc::clone(&feed));
        }
        self.feeds.insert(feed.selection.clone(), feed);
    }

    pub(super) fn remove(&mut self, feed: &Feed) {
        self.feeds.remove(&feed.selection);
        for filter in feed.selection.filters() {
            self.root.remove(filter.as_str(), feed.id);
        }
    }

    /// The feeds that get `topic`'s events, each once.
    pub(super) fn matching(&self, topic: &TopicName) -> Vec<Arc<Feed>> {
        let mut found = Vec::new();
        self.root.collect(topic.as_str(), &mut found);
        if found.len() > 1 {
            found.sort_unstable_by_key(|feed| feed.id);
            found.dedup_by_key(|feed| feed.id);
        }
        found
    }

    /// How many live streams get `topic`'s events.
    pub(super) fn audience(&self, topic: &TopicName) -> u32 {
        self.matching(topic).iter().map(|feed| feed.streams()).sum()
    }

    /// Streams of the feeds that ask for exactly one topic by name, for each such topic.
    pub(super) fn streams_by_name(&self) -> impl Iterator<Item = (&TopicName, u32)> {
        self.feeds.values().flat_map(|feed| {
            feed.selection.filters().iter().filter_map(|filter| match filter {
                Filter::Topic(name) => Some((name, feed.streams())),
                Filter::Pattern(_) => None,
            })
        })
    }
}

impl Node {
    /// The list that feeds of `path` stand in, made if need be.
    fn leaf(&mut self, path: &str) -> &mut Vec<Arc<Feed>> {
        let (first, rest) = split(path);
        if first == "**" {
            return &mut self.below;
        }
        let next = if first == "*" {
            &mut **self.any.get_or_insert_default()
        } else {
            self.children.entry(first.into()).or_default()
        };
        match rest {
            Some(rest) => next.leaf(rest),
            None => &mut next.here,
        }
    }

    /// Takes the feed out of `path`'s list and drops what has become empty. Answers with whether this node has.
    fn remove(&mut self, path: &str, id: u64) -> bool {
        let (first, rest) = split(path);
        if first == "**" {
            self.below.retain(|feed| feed.id != id);
        } else if let Some(next) = if first == "*" { self.any.as_deref_mut() } else { self.children.get_mut(first) } {
            let empty = if let Some(rest) = rest {
                next.remove(rest, id)
            } else {
                next.here.retain(|feed| feed.id != id);
                next.is_empty()
            };
            if empty && first == "*" {
                self.any = None;
            } else if empty {
                self.children.remove(first);
            }
        }
        self.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.children.is_empty() && self.any.is_none() && self.here.is_empty() && self.below.is_empty()
    }

    fn collect(&self, path: &str, found: &mut Vec<Arc<Feed>>) {
        found.extend_from_slice(&self.below);
        let (first, rest) = split(path);
        for next in [self.children.get(first), self.any.as_deref()].into_iter().flatten() {
            match rest {
                Some(rest) => next.collect(rest, found),
                None => found.extend_from_slice(&next.here),
            }
        }
    }
}

fn split(path: &str) -> (&str, Option<&str>) {
    path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{event::Seq, hub::feed::Budget};

    fn feed(id: u64, filters: &[&str]) -> Arc<Feed> {
        let filters = filters.iter().map(|text| Filter::new(text).expect("valid"));
        let selection = Selection::new(filters).expect("some");
        Arc::new(Feed::new(id, selection, Seq(0), 1, Arc::new(Budget::new(1, 1))))
    }

    fn matching(directory: &Directory, topic: &str) -> Vec<u64> {
        directory.matching(&TopicName::new(topic).expect("valid")).iter().map(|feed| feed.id).collect()
    }

    #[test]
    fn a_feed_that_matches_twice_gets_an_event_once() {
        let mut directory = Directory::default();
        directory.insert(feed(1, &["a/b", "a/*", "**"]));
        directory.insert(feed(2, &["a/*"]));
        assert_eq!(matching(&directory, "a/b"), [1, 2]);
    }

    #[test]
    fn an_empty_directory_holds_no_nodes() {
        let mut directory = Directory::default();
        let feeds = [feed(1, &["a/b/c", "*/x", "a/**"]), feed(2, &["a/b", "**"])];
        for feed in &feeds {
            directory.insert(Arc::clone(feed));
        }
        for feed in &feeds {
            directory.remove(feed);
        }
        assert!(directory.root.is_empty());
    }

    proptest! {
        /// The tree agrees with [`Selection::matches`] on every name.
        #[test]
        fn the_tree_matches_what_the_filters_match(
            filters in proptest::collection::vec("([ab*]/){0,2}([ab*]|\\*\\*)", 1..8),
            topic in "([ab]/){0,3}[ab]",
        ) {
            let mut directory = Directory::default();
            let feeds: Vec<_> = (0..).zip(&filters).map(|(id, filter)| feed(id, &[filter])).collect();
            for feed in &feeds {
            directory.insert(Arc::clone(feed));
        }
            let topic = TopicName::new(&topic).expect("valid");
            let want: Vec<u64> = feeds.iter().filter(|f| f.selection.matches(&topic)).map(|f| f.id).collect();
            prop_assert_eq!(matching(&directory, topic.as_str()), want);
        }
    }
}
