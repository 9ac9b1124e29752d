//! Judges the history of a run: pure, so that wrong histories can be fed to it ([`tests`]).
//!
//! Retention and deletions that a client asked for are the only reasons for an event to be gone ([`Fate`]); every other absence is a
//! violation, told or not. The history has one epoch.
//!
//! | module | rules |
//! |---|---|
//! | [`known`] | one id is one event, in the whole history |
//! | [`publishes`] | receipts, batches, keys, conditions, closing, real time |
//! | [`readers`] | order, absence, gaps, ends |
//! | [`logs`] | what the hubs return at the end |

mod known;
mod logs;
mod publishes;
mod readers;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

use self::known::Known;
use crate::history::{Finish, History, Item};

/// A rule that can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Rule {
    /// All ids are of one epoch.
    OneEpoch,
    /// An id is one event, for all who saw it and at all times.
    OneEventPerId,
    /// An event has one id: it is stored once.
    OneIdPerEvent,
    /// What is delivered was sent, as it was sent, to the topic that it comes from.
    Sent,
    /// A reader's ids rise, over all its connections.
    Rising,
    /// A reader misses nothing, unless a gap was told.
    Missing,
    /// A gap is told only where a client's order may have removed events.
    Gap,
    /// The end of a topic is told after its last event, and nothing follows.
    End,
    /// An answer or event that the protocol does not have.
    Odd,
    /// A reader that can have everything has it in time.
    Finished,
    /// An acknowledged event is in the log of every hub.
    Acknowledged,
    /// All hubs return the same log.
    SameLog,
    /// `GET /topics/T` agrees with the log.
    Figures,
    /// A batch is there as a whole or not at all, in its order.
    Batch,
    /// All receipts of one key are equal.
    Receipts,
    /// A publish whose every attempt was refused is not in the log.
    Refused,
    /// What `If-Match` named was the topic's last event when the publish became the next.
    Premise,
    /// At most one publish follows a premise.
    PremiseOnce,
    /// An answer 412 knows of a newer event than the publisher did.
    Refusal,
    /// Nothing follows the event that closed a topic, and nothing is accepted once a closing was acknowledged.
    Closed,
    /// A publish that began after the receipt of another has a higher id.
    RealTime,
}

/// A broken rule.
#[derive(Debug, Clone)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    pub(crate) detail: String,
}

/// Result of a check.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) violations: Vec<Violation>,
    pub(crate) figures: Figures,
}

/// The statistics of a run.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    publishes: usize,
    acknowledged_events: usize,
    refused: usize,
    unknown_kept: usize,
    unknown_absent: usize,
    conditions_granted: usize,
    conditions_refused: usize,
    repeated_receipts: usize,
    deliveries: usize,
    connections: usize,
    gaps: usize,
    ends: usize,
    stopped_readers: usize,
    longest_without_receipt_ms: u64,
}

/// Checks all rules.
pub(crate) fn check(history: &History) -> Verdict {
    let mut verdict = Verdict::default();
    let known = Known::of(history, &mut verdict);
    publishes::check(history, &known, &mut verdict);
    for reader in &history.readers {
        readers::check(history, reader, &known, &mut verdict);
    }
    logs::check(history, &known, &mut verdict);
    verdict.figures.count(history, &known);
    verdict
}

impl Verdict {
    fn broken(&mut self, rule: Rule, detail: String) {
        self.violations.push(Violation { rule, detail });
    }

    /// Nothing but this rule is broken, and it is.
    #[cfg(test)]
    fn breaks_only(&self, rules: &[Rule]) -> bool {
        let mut broken: Vec<Rule> = self.violations.iter().map(|violation| violation.rule).collect();
        broken.sort_unstable();
        broken.dedup();
        broken == rules
    }

    /// The number of violations of each rule, and the first few of each.
    pub(crate) fn report(&self) -> String {
        /// Violations of one rule that are written out: later ones are mostly the consequences of the first.
        const WRITTEN: usize = 5;
        let mut by_rule: BTreeMap<Rule, Vec<&str>> = BTreeMap::new();
        for violation in &self.violations {
            by_rule.entry(violation.rule).or_default().push(&violation.detail);
        }
        let mut lines = Vec::new();
        for (rule, details) in by_rule {
            lines.push(format!("{rule:?}: {} times", details.len()));
            lines.extend(details.iter().take(WRITTEN).map(|detail| format!("  {detail}")));
        }
        lines.join("\n")
    }
}

impl Figures {
    fn count(&mut self, history: &History, known: &Known) {
        self.publishes = history.publishes.len();
        for publish in &history.publishes {
            let there = publish.events.iter().any(|number| known.id_of(*number).is_some());
            match (publish.acknowledged, publish.unknown) {
                (Some(_), _) => self.acknowledged_events += publish.events.len(),
                (None, true) if there => self.unknown_kept += 1,
                (None, true) => self.unknown_absent += 1,
                (None, false) => self.refused += 1,
            }
            self.conditions_granted += usize::from(publish.expect.is_some() && publish.acknowledged.is_some());
            self.conditions_refused += publish.refusals.len();
            self.repeated_receipts += publish.receipts.len().saturating_sub(1);
        }
        // A line's receipt is read only when its publisher waits for it: it has no attempts of its own.
        let requests = history.publishes.iter().filter(|publish| !publish.attempts.is_empty());
        let mut times: Vec<u64> = requests.filter_map(|publish| publish.acknowledged).collect();
        times.sort_unstable();
        let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max();
        self.longest_without_receipt_ms = longest.unwrap_or(0) / 1000;
        for item in history.readers.iter().flat_map(|reader| &reader.items) {
            match item {
                Item::Connected { .. } => self.connections += 1,
                Item::Event { .. } => self.deliveries += 1,
                Item::Gap { .. } => self.gaps += 1,
                Item::End { .. } => self.ends += 1,
                Item::Cursor(_) | Item::Foreign { .. } | Item::Odd(_) => {}
            }
        }
        self.stopped_readers = history.readers.iter().filter(|reader| reader.finish == Finish::Stopped).count();
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} publishes: {} events acknowledged ({} receipts repeated under a key), {} refused, {} of unknown fate in the log \
             and {} not; conditions: {} granted, {} refused; {} deliveries over {} connections ({} readers stopped before \
             their end), {} gaps and {} ends told; longest time without a receipt {} ms",
            self.publishes,
            self.acknowledged_events,
            self.repeated_receipts,
            self.refused,
            self.unknown_kept,
            self.unknown_absent,
            self.conditions_granted,
            self.conditions_refused,
            self.deliveries,
            self.connections,
            self.stopped_readers,
            self.gaps,
            self.ends,
            self.longest_without_receipt_ms
        )
    }
}
