//! Records of the stream itself: who leads, the epoch of its ids, the log's clock.

use std::time::Duration;

use super::{
    error::WireError,
    fields::{FieldText, Fields, GL, HeaderLookup, HeaderText, decode, number},
};
use crate::{
    engine::log::store::{ClockSeen, KeptClock, Leap},
    event::{Epoch, Millis},
};

/// The hub that leads from its position on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine::jetstream) struct LeaderRecord {
    /// The id of the hub.
    pub(in crate::engine::jetstream) hub: Box<str>,
    /// Where it is reached, for people; may be empty.
    pub(in crate::engine::jetstream) address: Box<str>,
    /// It has ended in order: nobody leads from its position on.
    pub(in crate::engine::jetstream) resigned: bool,
}

/// The epoch of the stream's ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine::jetstream) struct EpochRecord {
    /// The epoch.
    pub(in crate::engine::jetstream) epoch: Epoch,
    /// When the stream was created, as the servers told it.
    pub(in crate::engine::jetstream) created: Box<str>,
}

/// The state of the log's clock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::engine::jetstream) struct ClockRecord(pub(in crate::engine::jetstream) KeptClock);

/// Shows that the stream takes writes; tells nothing else.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine::jetstream) struct ProofRecord;

impl ProofRecord {
    /// The headers of the message, which has no payload.
    #[expect(clippy::unused_self, reason = "as the other records")]
    pub(in crate::engine::jetstream) fn headers(self) -> HeaderText {
        vec![(GL, FieldText::versioned().finish())]
    }
}

impl LeaderRecord {
    /// The headers of the message, which has no payload.
    pub(in crate::engine::jetstream) fn headers(&self) -> HeaderText {
        let text = FieldText::versioned().text('h', &self.hub).text('a', &self.address);
        vec![(GL, text.number_unless_0('r', self.resigned.into()).finish())]
    }

    /// The leader that a message tells.
    ///
    /// # Errors
    /// When it tells none, or is of a newer version.
    pub(in crate::engine::jetstream) fn decode(headers: &(impl HeaderLookup + ?Sized)) -> Result<Self, WireError> {
        let fields = Fields::of(headers)?;
        let hub = fields.text('h')?;
        if hub.is_empty() {
            return Err(WireError::Malformed("a leader without an id"));
        }
        Ok(Self { hub: hub.into(), address: fields.text('a')?.into(), resigned: fields.number_or_0('r')? > 0 })
    }
}

impl EpochRecord {
    /// The headers of the message, which has no payload.
    pub(in crate::engine::jetstream) fn headers(&self) -> HeaderText {
        vec![(GL, FieldText::versioned().text('e', self.epoch.as_str()).text('c', &self.created).finish())]
    }

    /// The epoch that a message tells.
    ///
    /// # Errors
    /// When it tells none, or is of a newer version.
    pub(in crate::engine::jetstream) fn decode(headers: &(impl HeaderLookup + ?Sized)) -> Result<Self, WireError> {
        let fields = Fields::of(headers)?;
        let epoch = Epoch::new(&fields.text('e')?).ok_or(WireError::Malformed("no epoch"))?;
        Ok(Self { epoch, created: fields.text('c')?.into() })
    }
}

impl ClockRecord {
    /// The headers of the message, which has no payload. `l`: each leap as `at_to_nanoseconds`, separated by commas.
    pub(in crate::engine::jetstream) fn headers(&self) -> HeaderText {
        let KeptClock { ahead, leaps, seen } = &self.0;
        let leap = |leap: &Leap| format!("{}_{}_{}", leap.at.0, leap.to.0, nanos(leap.gained));
        let leaps: Vec<String> = leaps.iter().map(leap).collect();
        let mut text = FieldText::versioned().verbatim('l', &leaps.join(","));
        if let Some(ahead) = ahead {
            text = text.number('a', ahead.0);
        }
        if let Some(seen) = seen {
            text = text.number('s', seen.time.0).number('u', nanos(seen.uptime)).text('b', &seen.boot);
        }
        vec![(GL, text.finish())]
    }

    /// The clock that a message tells.
    ///
    /// # Errors
    /// When it tells none, or is of a newer version.
    pub(in crate::engine::jetstream) fn decode(headers: &(impl HeaderLookup + ?Sized)) -> Result<Self, WireError> {
        let fields = Fields::of(headers)?;
        let leaps = fields.verbatim('l').map_or(Some(Vec::new()), |text| text.split(',').map(leap).collect());
        let (time, uptime) = (fields.number('s')?, fields.number('u')?);
        let boot = fields.verbatim('b').map(|text| decode(text).ok_or(WireError::Malformed("the boot's id")));
        let seen = match (time, uptime, boot.transpose()?) {
            (Some(time), Some(uptime), Some(boot)) => {
                Some(ClockSeen { time: Millis(time), boot: boot.into(), uptime: Duration::from_nanos(uptime) })
            }
            _ => None,
        };
        Ok(Self(KeptClock {
            ahead: fields.number('a')?.map(Millis),
            leaps: leaps.ok_or(WireError::Malformed("a leap of the clock"))?.into_iter().collect(),
            seen,
        }))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn leap(text: &str) -> Option<Leap> {
    let mut numbers = text.split('_').map(number);
    let [at, to, gained] = [numbers.next()??, numbers.next()??, numbers.next()??];
    let leap = Leap { at: Millis(at), to: Millis(to), gained: Duration::from_nanos(gained) };
    numbers.next().is_none().then_some(leap)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_leader_survives_its_message(hub in "\\PC{1,20}", address in "\\PC{0,20}", resigned in any::<bool>()) {
            let leader = LeaderRecord { hub: hub.into(), address: address.into(), resigned };
            prop_assert_eq!(LeaderRecord::decode(leader.headers().as_slice()), Ok(leader));
        }

        #[test]
        fn an_epoch_survives_its_message(epoch in "[0-9a-z]{4,16}", created in "\\PC{0,40}") {
            let record = EpochRecord { epoch: Epoch::new(&epoch).expect("valid"), created: created.into() };
            prop_assert_eq!(EpochRecord::decode(record.headers().as_slice()), Ok(record));
        }

        #[test]
        fn a_clock_survives_its_message(
            ahead in any::<Option<u64>>(),
            leaps in prop::collection::vec(any::<[u64; 3]>(), 0..=16),
            seen in any::<Option<(u64, u64)>>(),
            boot in "\\PC{1,40}",
        ) {
            let leap = |[at, to, gained]: [u64; 3]| Leap {
                at: Millis(at),
                to: Millis(to),
                gained: Duration::from_nanos(gained),
            };
            let seen = seen.map(|(time, uptime)| ClockSeen {
                time: Millis(time),
                boot: boot.as_str().into(),
                uptime: Duration::from_nanos(uptime),
            });
            let leaps = leaps.into_iter().map(leap).collect();
            let clock = ClockRecord(KeptClock { ahead: ahead.map(Millis), leaps, seen });
            prop_assert_eq!(ClockRecord::decode(clock.headers().as_slice()), Ok(clock));
        }

        #[test]
        fn no_headers_panic(text in any::<String>()) {
            for key in ['h', 'e', 'l', 'b', 's'] {
                let headers = [(GL, format!("1 {key}={text}"))];
                drop(LeaderRecord::decode(headers.as_slice()));
                drop(EpochRecord::decode(headers.as_slice()));
                drop(ClockRecord::decode(headers.as_slice()));
            }
        }
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let headers = |text: &str| [(GL, text.to_owned())];
        assert!(LeaderRecord::decode(headers("1").as_slice()).is_err());
        assert!(EpochRecord::decode(headers("1 e=AB").as_slice()).is_err());
        for text in ["1 l=1", "1 l=1_2", "1 l=1_2_3_4", "1 l=,", "1 l=a_b_c", "1 a=x"] {
            assert!(ClockRecord::decode(headers(text).as_slice()).is_err(), "{text}");
        }
        assert_eq!(ClockRecord::decode(headers("3").as_slice()), Err(WireError::Newer(3)));
    }
}
