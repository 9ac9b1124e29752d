//! The index from a topic to the feeds that receive its events.
//!
//! Names are looked up by hash, and so are patterns, once for each [`Shape`] in use that can match the topic. So the
//! cost of publishing depends on the number of shapes, which are few and bounded, not on the number of patterns. The
//! result is cached for each topic until the set of selections changes.

use std::{collections::BTreeMap, sync::Arc};

use super::feed::Feed;
use crate::{
    event::{Filter, Pattern, Selection, TopicName, shape::Shape},
    sync::{HashMap, Mutex},
};

/// Topics in the cache, and feeds of all of them together: 1.5 MB. Beyond that the cache is cleared.
const CACHED_TOPICS: usize = 4096;
const CACHED_FEEDS: usize = 65_536;

/// Feeds, indexed by the names and patterns of their selections.
#[derive(Debug, Default)]
pub(super) struct FeedDirectory {
    names: HashMap<TopicName, Vec<Arc<Feed>>>,
    patterns: HashMap<Pattern, Vec<Arc<Feed>>>,
    /// The shapes of the patterns, with the number of patterns of each.
    shapes: BTreeMap<Shape, usize>,
    feeds: HashMap<Selection, Arc<Feed>>,
    cache: Mutex<MatchCache>,
}

/// Results of look-ups since the selections last changed.
#[derive(Debug, Default)]
struct MatchCache {
    feeds: HashMap<TopicName, Arc<[Arc<Feed>]>>,
    entries: usize,
    /// Shapes looked up so far.
    lookups: u64,
}

impl FeedDirectory {
    pub(super) fn get(&self, selection: &Selection) -> Option<&Arc<Feed>> {
        self.feeds.get(selection)
    }

    pub(super) fn feeds(&self) -> impl Iterator<Item = &Arc<Feed>> {
        self.feeds.values()
    }

    pub(super) fn insert(&mut self, feed: Arc<Feed>) {
        self.cache.get_mut().clear();
        for filter in feed.selection.filters() {
            let feeds = match filter {
                Filter::Topic(name) => self.names.entry(name.clone()).or_default(),
                Filter::Pattern(pattern) => {
                    let feeds = self.patterns.entry(pattern.clone()).or_default();
                    if feeds.is_empty() {
                        *self.shapes.entry(Shape::of(pattern.as_str())).or_default() += 1;
                    }
                    feeds
                }
            };
            feeds.push(Arc::clone(&feed));
        }
        self.feeds.insert(feed.selection.clone(), feed);
    }

    pub(super) fn remove(&mut self, feed: &Feed) {
        self.cache.get_mut().clear();
        self.feeds.remove(&feed.selection);
        for filter in feed.selection.filters() {
            match filter {
                Filter::Topic(name) => {
                    unlist(&mut self.names, name, feed);
                }
                Filter::Pattern(pattern) => {
                    let shape = Shape::of(pattern.as_str());
                    if unlist(&mut self.patterns, pattern, feed)
                        && let Some(count) = self.shapes.get_mut(&shape)
                    {
                        *count -= 1;
                        if *count == 0 {
                            self.shapes.remove(&shape);
                        }
                    }
                }
            }
        }
    }

    /// The feeds that receive `topic`'s events, each once.
    pub(super) fn matching(&self, topic: &TopicName) -> Arc<[Arc<Feed>]> {
        let mut cache = self.cache.lock();
        if let Some(feeds) = cache.feeds.get(topic) {
            return Arc::clone(feeds);
        }
        let feeds = self.find(topic, &mut cache.lookups);
        cache.insert(topic, &feeds);
        feeds
    }

    fn find(&self, topic: &TopicName, lookups: &mut u64) -> Arc<[Arc<Feed>]> {
        let mut found: Vec<&Arc<Feed>> = self.names.get(topic).into_iter().flatten().collect();
        let mut text = String::new();
        let segments = Shape::segments_of(topic);
        let closed = self.shapes.range(Shape::first(false, segments)..Shape::first(false, segments + 1));
        // A final `**` stands for one segment or more.
        let open = self.shapes.range(Shape::first(true, 0)..Shape::first(true, segments));
        for (shape, _) in closed.chain(open) {
            *lookups += 1;
            if shape.pattern_for(topic, &mut text) {
                found.extend(self.patterns.get(text.as_str()).into_iter().flatten());
            }
        }
        found.retain(|feed| feed.selection.admits_topic(topic));
        found.sort_unstable_by_key(|feed| feed.id);
        found.dedup_by_key(|feed| feed.id);
        found.into_iter().cloned().collect()
    }

    /// Live streams that receive `topic`'s events.
    pub(super) fn subscriber_count(&self, topic: &TopicName) -> u32 {
        self.matching(topic).iter().map(|feed| feed.streams()).sum()
    }

    /// The names in all selections, each with the number of streams of its feed. A name in several selections appears
    /// several times.
    pub(super) fn streams_by_name(&self) -> impl Iterator<Item = (&TopicName, u32)> {
        self.feeds.values().flat_map(|feed| feed.selection.names().map(|name| (name, feed.streams())))
    }
}

impl MatchCache {
    fn insert(&mut self, topic: &TopicName, feeds: &Arc<[Arc<Feed>]>) {
        if self.feeds.len() >= CACHED_TOPICS || self.entries + feeds.len() > CACHED_FEEDS {
            self.clear();
        }
        self.entries += feeds.len();
        self.feeds.insert(topic.clone(), Arc::clone(feeds));
    }

    fn clear(&mut self) {
        self.feeds.clear();
        self.entries = 0;
    }
}

/// Removes `feed` from the list of `key`. Returns whether the list is empty now, and removed.
fn unlist<K: Eq + std::hash::Hash>(lists: &mut HashMap<K, Vec<Arc<Feed>>>, key: &K, feed: &Feed) -> bool {
    let Some(feeds) = lists.get_mut(key) else { return false };
    feeds.retain(|other| other.id != feed.id);
    let empty = feeds.is_empty();
    if empty {
        lists.remove(key);
    }
    empty
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hub::{epoch::HubCursor, feed::RingBudget};

    fn feed(id: u64, filters: &[&str]) -> Arc<Feed> {
        let filters = filters.iter().map(|text| Filter::new(text).expect("valid"));
        let selection = Selection::new(filters).expect("some");
        Arc::new(Feed::new(id, selection, HubCursor::default(), 1, Arc::new(RingBudget::new(1, 1))))
    }

    fn matching(directory: &FeedDirectory, topic: &str) -> Vec<u64> {
        directory.matching(&TopicName::new(topic).expect("valid")).iter().map(|feed| feed.id).collect()
    }

    #[test]
    fn a_feed_that_matches_twice_receives_an_event_once() {
        let mut directory = FeedDirectory::default();
        directory.insert(feed(1, &["a/b", "a/*", "**"]));
        directory.insert(feed(2, &["a/*"]));
        assert_eq!(matching(&directory, "a/b"), [1, 2]);
    }

    #[test]
    fn an_empty_directory_holds_nothing() {
        let mut directory = FeedDirectory::default();
        let feeds = [feed(1, &["a/b/c", "*/x", "a/**"]), feed(2, &["a/b", "**"])];
        for feed in &feeds {
            directory.insert(Arc::clone(feed));
        }
        for feed in &feeds {
            directory.remove(feed);
        }
        let FeedDirectory { names, patterns, shapes, feeds, cache } = &directory;
        assert!(names.is_empty() && patterns.is_empty() && shapes.is_empty() && feeds.is_empty());
        assert!(cache.lock().feeds.is_empty());
    }

    /// Shapes looked up for `topic`.
    fn cost(directory: &FeedDirectory, topic: &str) -> u64 {
        let before = directory.cache.lock().lookups;
        matching(directory, topic);
        directory.cache.lock().lookups - before
    }

    #[test]
    fn a_publisher_pays_for_the_shapes_that_can_match_its_topic_and_not_for_patterns() {
        let pattern = |n: u64, segments: u32| {
            let segment = |place: u32| if (n >> place) & 1 == 0 { "a" } else { "*" };
            (0..segments).map(segment).collect::<Vec<_>>().join("/")
        };
        let (mut hostile, mut harmless) = (FeedDirectory::default(), FeedDirectory::default());
        for id in 0..60 {
            let patterns: Vec<String> = (0..1000).map(|n| pattern(id * 1000 + n + 1, 17)).collect();
            hostile.insert(feed(id, &patterns.iter().map(String::as_str).collect::<Vec<_>>()));
            let names: Vec<String> = (0..1000).map(|n| format!("a/{id}/{n}/*")).collect();
            harmless.insert(feed(id, &names.iter().map(String::as_str).collect::<Vec<_>>()));
        }
        for topic in ["x", "a/b/c/d", "a/1/2/3", "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"] {
            assert!(cost(&hostile, topic) <= cost(&harmless, topic), "{topic}");
        }
        let deep = vec!["a"; 17].join("/");
        assert_eq!((cost(&hostile, &deep), cost(&hostile, &deep)), (60_000, 0), "once for each topic");
        assert_eq!(hostile.matching(&TopicName::new(&deep).expect("valid")).len(), 60);
    }

    #[test]
    fn a_new_selection_invalidates_the_cache() {
        let mut directory = FeedDirectory::default();
        let (first, second) = (feed(1, &["a/*"]), feed(2, &["a/**"]));
        directory.insert(Arc::clone(&first));
        assert_eq!((cost(&directory, "a/b"), cost(&directory, "a/b")), (1, 0));
        directory.insert(second);
        assert_eq!(matching(&directory, "a/b"), [1, 2]);
        directory.remove(&first);
        assert_eq!(matching(&directory, "a/b"), [2]);
        assert_eq!(matching(&directory, "a"), [0_u64; 0]);
    }

    #[test]
    fn the_cache_is_bounded() {
        let mut directory = FeedDirectory::default();
        directory.insert(feed(1, &["**"]));
        for n in 0..3 * CACHED_TOPICS {
            matching(&directory, &format!("t/{n}"));
            let cache = directory.cache.lock();
            assert!(cache.feeds.len() <= CACHED_TOPICS && cache.entries <= CACHED_FEEDS);
            assert_eq!(cache.entries, cache.feeds.values().map(|feeds| feeds.len()).sum::<usize>());
        }
    }

    proptest! {
        /// The directory agrees with [`Selection::matches`] on every name.
        #[test]
        fn the_directory_finds_what_the_filters_match(
            filters in proptest::collection::vec("([ab*]/){0,2}([ab*]|\\*\\*)", 1..8),
            topic in "([ab]/){0,3}[ab]",
        ) {
            let mut directory = FeedDirectory::default();
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
