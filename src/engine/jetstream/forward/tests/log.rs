//! A log with fencing: a write succeeds at the position that its writer expects, or never.

use std::collections::HashMap;

use super::super::{HubId, Unit, UnitResult};
use crate::{
    engine::{AppendError, ExpectedLast, IdempotencyKey, Receipt, TopicState},
    event::{Epoch, EventId, Millis, NewEvent, Retention, Seq, TopicName},
};

/// A record of the log; its position is its index plus 1.
#[derive(Debug, Clone)]
pub(super) enum Record {
    Leader(HubId),
    Event { tag: Option<Tag>, new: NewEvent },
    Key(IdempotencyKey, Vec<Receipt>),
    Closed(TopicName, bool),
    Deleted(TopicName),
    Other,
}

/// The follower, its number of the unit, and the event's index.
pub(super) type Tag = (HubId, u64, u32);

/// What a hub knows of the log.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    pub(super) applied: usize,
    topics: HashMap<TopicName, (bool, Option<Seq>)>,
    pub(super) keys: HashMap<[u8; 16], Vec<Receipt>>,
}

pub(super) fn epoch() -> Epoch {
    Epoch::new("simulated").expect("an epoch")
}

pub(super) fn receipt(topic: &TopicName, position: usize) -> Receipt {
    let position = position as u64;
    Receipt { topic: topic.clone(), epoch: epoch(), seq: Seq(position), time: Millis(1000) }
}

impl Table {
    pub(super) fn apply(&mut self, record: &Record) {
        self.applied += 1;
        let seq = Some(Seq(self.applied as u64));
        match record {
            Record::Event { new, .. } => drop(self.topics.insert(new.topic.clone(), (new.close, seq))),
            Record::Key(key, receipts) => drop(self.keys.insert(key.key, receipts.clone())),
            Record::Closed(topic, closed) => self.topics.entry(topic.clone()).or_default().0 = *closed,
            Record::Deleted(topic) => drop(self.topics.remove(topic)),
            Record::Leader(_) | Record::Other => {}
        }
    }

    fn topic(&self, topic: &TopicName) -> (bool, Option<Seq>) {
        self.topics.get(topic).copied().unwrap_or_default()
    }

    /// Executes a unit on this table. Returns its records, which are applied, and its result when they are written.
    pub(super) fn execute(&mut self, unit: &Unit, tag: impl Fn(usize) -> Option<Tag>) -> (Vec<Record>, UnitResult) {
        let mut records = Vec::new();
        let mut stage = |table: &mut Self, record: Record| {
            table.apply(&record);
            records.push(record);
            table.applied
        };
        let record = |index: usize, new: &NewEvent| Record::Event { tag: tag(index), new: new.clone() };
        let result = match unit {
            Unit::Append(append) => {
                let known = append.key.and_then(|key| self.keys.get(&key.key).cloned());
                UnitResult::Append(match (known, self.check(append.expect, &append.events)) {
                    (Some(receipts), _) => Ok(receipts),
                    (None, Err(error)) => Err(error),
                    (None, Ok(())) => {
                        let events = append.events.iter().enumerate();
                        let receipts: Vec<_> =
                            events.map(|(index, new)| receipt(&new.topic, stage(self, record(index, new)))).collect();
                        if let Some(key) = append.key {
                            stage(self, Record::Key(key, receipts.clone()));
                        }
                        Ok(receipts)
                    }
                })
            }
            Unit::Each(events) => {
                let each = events.iter().enumerate().map(|(index, new)| {
                    self.check(None, std::slice::from_ref(new))?;
                    Ok(receipt(&new.topic, stage(self, record(index, new))))
                });
                UnitResult::Each(Ok(each.collect()))
            }
            Unit::Configure(topic, change) => {
                stage(self, Record::Closed(topic.clone(), change.closed.unwrap_or(false)));
                let (closed, last) = self.topic(topic);
                UnitResult::Configure(Ok(TopicState {
                    topic: topic.clone(),
                    epoch: epoch(),
                    first: None,
                    last,
                    events: 0,
                    bytes: 0,
                    closed,
                    retention: Retention::default(),
                    retry: None,
                    metadata: None,
                }))
            }
            Unit::Delete(topic) => {
                stage(self, Record::Deleted(topic.clone()));
                UnitResult::Done(Ok(true))
            }
            Unit::Remove(..) => {
                stage(self, Record::Other);
                UnitResult::Done(Ok(true))
            }
        };
        (records, result)
    }

    fn check(&self, expect: Option<ExpectedLast>, events: &[NewEvent]) -> Result<(), AppendError> {
        let last = self.topic(&events[0].topic).1.map(|seq| EventId { epoch: epoch(), seq });
        let holds = match expect {
            None => true,
            Some(ExpectedLast::Empty) => last.is_none(),
            Some(ExpectedLast::Last(id)) => last == Some(id),
        };
        if !holds {
            return Err(AppendError::Precondition { last });
        }
        match events.iter().find(|event| self.topic(&event.topic).0) {
            Some(event) => Err(AppendError::Closed { topic: event.topic.clone() }),
            None => Ok(()),
        }
    }
}
