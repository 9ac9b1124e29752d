//! Topics and positions as subjects.
//!
//! A topic's segments are tokens. Every byte but `[A-Za-z0-9_-]` is percent-encoded, because white space, also that of
//! Unicode, ends a subject for some clients, and because `.`, `*`, `>` and `$` have a meaning.

use super::fields::{decode, encode, number};
use crate::event::{Epoch, Seq, TopicName};

/// The subjects of one stream: all begin with its prefix.
#[derive(Debug, Clone)]
pub(in crate::engine::jetstream) struct StreamSubjects {
    prefix: Box<str>,
}

/// What a subject of the stream is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine::jetstream) enum SubjectPlace {
    /// An event of a topic.
    Event(TopicName),
    /// The settings and the state of a topic.
    Settings(TopicName),
    /// The place of a topic's removed event at this position.
    Tombstone(TopicName, Seq),
    /// Idempotency keys of the commit that begins at this position.
    Keys(Seq),
    /// Who leads.
    Leader,
    /// The epoch of ids.
    Epoch,
    /// The log's clock.
    Clock,
    /// The import of another store.
    Import,
    /// Where old positions of this epoch are now; parts are numbered from 0.
    OldIds(Epoch, u64),
    /// Shows that the stream takes writes.
    Proof,
}

impl SubjectPlace {
    /// Whether its messages expire.
    pub(in crate::engine::jetstream) fn expires(&self) -> bool {
        matches!(self, Self::Keys(_) | Self::OldIds(..))
    }
}

impl StreamSubjects {
    /// The subjects below `prefix`.
    pub(in crate::engine::jetstream) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    /// All of them, as a filter.
    pub(in crate::engine::jetstream) fn all(&self) -> String {
        format!("{}.>", self.prefix)
    }

    /// Events of all topics, as a filter.
    pub(in crate::engine::jetstream) fn events(&self) -> String {
        format!("{}.e.>", self.prefix)
    }

    /// Events of a topic.
    pub(in crate::engine::jetstream) fn event(&self, topic: &TopicName) -> String {
        self.of_topic('e', topic)
    }

    /// The settings of a topic.
    pub(in crate::engine::jetstream) fn settings(&self, topic: &TopicName) -> String {
        self.of_topic('s', topic)
    }

    /// The tombstone of an event of a topic.
    pub(in crate::engine::jetstream) fn tombstone(&self, topic: &TopicName, seq: Seq) -> String {
        format!("{}.{seq}", self.of_topic('t', topic))
    }

    /// Part `part` of the idempotency keys of the commit that begins at `seq`. The first has no number.
    pub(in crate::engine::jetstream) fn keys(&self, seq: Seq, part: usize) -> String {
        if part == 0 { format!("{}.k.{seq}", self.prefix) } else { format!("{}.k.{seq}.{part}", self.prefix) }
    }

    /// Idempotency keys, as a filter.
    pub(in crate::engine::jetstream) fn all_keys(&self) -> String {
        format!("{}.k.>", self.prefix)
    }

    /// Who leads.
    pub(in crate::engine::jetstream) fn leader(&self) -> String {
        format!("{}.x.leader", self.prefix)
    }

    /// The epoch of ids.
    pub(in crate::engine::jetstream) fn epoch(&self) -> String {
        format!("{}.x.epoch", self.prefix)
    }

    /// The log's clock.
    pub(in crate::engine::jetstream) fn clock(&self) -> String {
        format!("{}.x.clock", self.prefix)
    }

    /// The import of another store.
    pub(in crate::engine::jetstream) fn import(&self) -> String {
        format!("{}.x.import", self.prefix)
    }

    /// Part `part` of the table of old positions of an epoch.
    pub(in crate::engine::jetstream) fn old_ids(&self, epoch: Epoch, part: u64) -> String {
        format!("{}.m.{epoch}.{part}", self.prefix)
    }

    /// Shows that the stream takes writes.
    pub(in crate::engine::jetstream) fn proof(&self) -> String {
        format!("{}.x.proof", self.prefix)
    }

    /// What `subject` is for; `None` when gapless does not write it.
    pub(in crate::engine::jetstream) fn parse(&self, subject: &str) -> Option<SubjectPlace> {
        let rest = subject.strip_prefix(&*self.prefix)?.strip_prefix('.')?;
        let (kind, tokens) = rest.split_once('.')?;
        Some(match kind {
            "e" => SubjectPlace::Event(topic(tokens)?),
            "s" => SubjectPlace::Settings(topic(tokens)?),
            "t" => {
                let (name, seq) = tokens.rsplit_once('.')?;
                SubjectPlace::Tombstone(topic(name)?, position(seq)?)
            }
            "k" => match tokens.split_once('.') {
                None => SubjectPlace::Keys(position(tokens)?),
                Some((seq, part)) => {
                    position(part).filter(|part| part.0 > 0).and(position(seq)).map(SubjectPlace::Keys)?
                }
            },
            "m" => {
                let (epoch, part) = tokens.split_once('.')?;
                SubjectPlace::OldIds(Epoch::new(epoch)?, position(part)?.0)
            }
            "x" => match tokens {
                "leader" => SubjectPlace::Leader,
                "epoch" => SubjectPlace::Epoch,
                "clock" => SubjectPlace::Clock,
                "import" => SubjectPlace::Import,
                "proof" => SubjectPlace::Proof,
                _ => return None,
            },
            _ => return None,
        })
    }

    fn of_topic(&self, kind: char, topic: &TopicName) -> String {
        let mut subject = String::with_capacity(self.prefix.len() + 3 + 3 * topic.as_str().len());
        subject.push_str(&self.prefix);
        subject.push('.');
        subject.push(kind);
        for segment in topic.as_str().split('/') {
            subject.push('.');
            encode(segment, &mut subject);
        }
        subject
    }
}

/// The topic of these tokens; `None` unless it is encoded to just these.
fn topic(tokens: &str) -> Option<TopicName> {
    let mut name = String::with_capacity(tokens.len());
    for (at, token) in tokens.split('.').enumerate() {
        let segment = decode(token).filter(|segment| !segment.contains('/'))?;
        if at > 0 {
            name.push('/');
        }
        name.push_str(&segment);
    }
    TopicName::stored(&name).ok()
}

/// A number as it is written: without leading zeros.
fn position(text: &str) -> Option<Seq> {
    number(text).filter(|number| number.to_string() == text).map(Seq)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn subjects() -> StreamSubjects {
        StreamSubjects::new("gapless")
    }

    fn names() -> impl Strategy<Value = TopicName> {
        let segment = prop_oneof!["[a-z0-9_.$ >-]{1,6}", "[\u{a0}\u{3000}\u{2028}é€😀%]{1,3}"];
        let name = prop::collection::vec(segment, 1..5).prop_map(|segments| segments.join("/"));
        name.prop_filter_map("valid", |name| TopicName::stored(&name).ok())
    }

    proptest! {
        #[test]
        fn a_topic_survives_its_subject(name in names(), seq in any::<u64>()) {
            let subjects = subjects();
            let subject = subjects.event(&name);
            prop_assert!(subject.len() <= "gapless.e.".len() + 3 * name.as_str().len());
            prop_assert!(subject.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'*' | b'>' | b'$')));
            prop_assert!(!subject.contains("..") && !subject.ends_with('.'));
            prop_assert_eq!(subjects.parse(&subject), Some(SubjectPlace::Event(name.clone())));
            prop_assert_eq!(subjects.parse(&subjects.settings(&name)), Some(SubjectPlace::Settings(name.clone())));
            let place = SubjectPlace::Tombstone(name.clone(), Seq(seq));
            prop_assert_eq!(subjects.parse(&subjects.tombstone(&name, Seq(seq))), Some(place));
        }

        #[test]
        fn two_subjects_are_two_topics(rest in "[a-z%0-9A-F./]{0,16}") {
            let subject = format!("gapless.e.{rest}");
            if let Some(SubjectPlace::Event(name)) = subjects().parse(&subject) {
                prop_assert_eq!(subjects().event(&name), subject);
            }
        }

        #[test]
        fn nothing_panics(subject in any::<String>()) {
            drop(subjects().parse(&subject));
            drop(subjects().parse(&format!("gapless.{subject}")));
        }
    }

    #[test]
    fn what_gapless_does_not_write_is_not_taken_for_its_own() {
        for subject in [
            "gapless",
            "gapless.e",
            "gapless.e.",
            "gapless.e.a..b",
            "gapless.e.%61",
            "gapless.e.a%2Fb",
            "gapless.e.a b",
            "gapless.e.*",
            "other.e.a",
            "gaplesse.a",
            "gapless.t.a",
            "gapless.t.a.01",
            "gapless.t.a.x",
            "gapless.k.x",
            "gapless.k.7.0",
            "gapless.k.7.1.2",
            "gapless.x.other",
            "gapless.m.abcd",
            "gapless.m.abcd.01",
            "gapless.m.a.1",
            "gapless.z.a",
            "gapless.e.a%2Ab",
        ] {
            assert_eq!(subjects().parse(subject), None, "{subject}");
        }
    }

    #[test]
    fn the_longest_topic_fits() {
        let longest = TopicName::new(&"é".repeat(127)).expect("254 bytes");
        assert!(subjects().event(&longest).len() <= 10 + 765);
    }

    #[test]
    fn control_subjects_and_keys_are_told_apart() {
        let of = subjects();
        assert_eq!(of.parse(&of.leader()), Some(SubjectPlace::Leader));
        assert_eq!(of.parse(&of.epoch()), Some(SubjectPlace::Epoch));
        assert_eq!(of.parse(&of.clock()), Some(SubjectPlace::Clock));
        assert_eq!(of.parse(&of.import()), Some(SubjectPlace::Import));
        let epoch = Epoch::new("abcd").expect("valid");
        assert_eq!(of.parse(&of.proof()), Some(SubjectPlace::Proof));
        assert_eq!(of.parse(&of.old_ids(epoch, 12)), Some(SubjectPlace::OldIds(epoch, 12)));
        for part in [0, 1, 12] {
            assert_eq!(of.parse(&of.keys(Seq(7), part)), Some(SubjectPlace::Keys(Seq(7))));
        }
    }
}
