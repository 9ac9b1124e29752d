//! What the store knows of itself outside sled, so that sled cannot forget it.
//!
//! A damaged sled database may open without its newest commits, or empty, and say nothing. The watermark notices (it
//! holds the head), makes sure that no id is given twice (it holds how far ids are reserved) and remembers what was
//! lost. It is a file of two slots written in turn and synced, so that one of them is always whole.
//!
//! A slot: `version u8 | turn u64 | epoch | head | reserved | clean u8 | revision of settings | sum of settings
//! u64 | losses | lost ranges | CRC-32`, with its length before it, padded to 4096 bytes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::event::{Epoch, Seq};

use super::disk;
use super::wire::{Take, put_bytes, put_number, seal, unseal};

const VERSION: u8 = 1;

/// One page of the disk: the other slot stays whole when the power fails during a write.
const SLOT_BYTES: usize = 4096;

/// Ids reserved at a time: two syncs in a million events, and a hole of at most that many ids after a crash.
pub(super) const RESERVE_IDS: u64 = 1 << 20;

/// Lost ranges remembered, at most; the nearest are then merged. They must fit a slot: 64 * 2 * 10 bytes.
const MAX_LOST: usize = 64;

/// The watermark's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// The store's incarnation.
    pub(super) epoch: Epoch,
    /// A committed position; the newest one when `clean`.
    pub(super) head: Seq,
    /// No position above it was ever given.
    pub(super) reserved: Seq,
    /// The store was closed in order.
    pub(super) clean: bool,
    /// How often settings were saved, as of when this was written.
    pub(super) revision: u64,
    /// The sum of all settings when the store was closed in order (see `meta`).
    pub(super) settings: u64,
    /// Parts that were damaged, since the store was made.
    pub(super) losses: u64,
    /// Ranges in which events may have been lost, sorted and apart.
    pub(super) lost: Vec<(Seq, Seq)>,
}

/// The open file.
#[derive(Debug)]
pub(super) struct Watermark {
    file: File,
    change: u64,
    pub(super) mark: Mark,
}

/// What a watermark file said.
#[derive(Debug)]
pub(super) enum WatermarkRead {
    /// There is none.
    Nothing,
    /// Both slots are whole.
    Whole(Watermark),
    /// One slot is damaged, and it may have been the newer one.
    Half(Watermark),
    /// Neither is whole.
    Damaged,
}

impl Watermark {
    /// Reads the file at `path`.
    pub(super) fn open(path: &Path) -> io::Result<WatermarkRead> {
        let file = match File::options().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(WatermarkRead::Nothing),
            Err(error) => return Err(error),
        };
        let slots = [read_slot(&file, 0)?, read_slot(&file, 1)?];
        let whole = slots.iter().all(Option::is_some);
        let Some((change, mark)) = slots.into_iter().flatten().max_by_key(|(change, _)| *change) else {
            return Ok(WatermarkRead::Damaged);
        };
        let watermark = Self { file, change, mark };
        Ok(if whole { WatermarkRead::Whole(watermark) } else { WatermarkRead::Half(watermark) })
    }

    /// Makes the file at `path` anew, both slots alike.
    pub(super) fn create(path: &Path, mark: Mark) -> io::Result<Self> {
        let bytes = [slot(0, &mark), slot(1, &mark)].concat();
        disk::write_whole(path, &bytes)?;
        let file = File::options().read(true).write(true).open(path)?;
        Ok(Self { file, change: 1, mark })
    }

    /// Writes the mark over the older slot and waits until it is durable.
    pub(super) fn save(&mut self) -> io::Result<()> {
        let change = self.change + 1;
        self.file.write_all_at(&slot(change, &self.mark), place(change))?;
        self.file.sync_data()?;
        self.change = change;
        Ok(())
    }
}

impl Mark {
    /// Of a store without events.
    pub(super) fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            head: Seq::ZERO,
            reserved: Seq::ZERO,
            clean: false,
            revision: 0,
            settings: 0,
            losses: 0,
            lost: Vec::new(),
        }
    }

    /// Remembers that events in `range` may be gone, and counts it.
    pub(super) fn lose(&mut self, range: (Seq, Seq)) {
        self.losses += 1;
        if range.0 > range.1 {
            return;
        }
        self.lost.push(range);
        self.lost.sort_unstable();
        let mut apart: Vec<(Seq, Seq)> = Vec::with_capacity(self.lost.len());
        for &(first, last) in &self.lost {
            match apart.last_mut() {
                Some(before) if first.0 <= before.1.0.saturating_add(1) => before.1 = before.1.max(last),
                _ => apart.push((first, last)),
            }
        }
        while apart.len() > MAX_LOST {
            let gap = |at: &usize| apart[at + 1].0.0 - apart[*at].1.0;
            let nearest = (0..apart.len() - 1).min_by_key(gap).expect("more than one range");
            apart[nearest].1 = apart.remove(nearest + 1).1;
        }
        self.lost = apart;
    }

    /// Whether some of `range` is known to be lost.
    pub(super) fn touches(&self, range: (Seq, Seq)) -> bool {
        self.lost.iter().any(|lost| lost.0 <= range.1 && range.0 <= lost.1)
    }

    /// Whether all of `range` is known to be lost.
    pub(super) fn knows(&self, range: (Seq, Seq)) -> bool {
        self.lost.iter().any(|lost| lost.0 <= range.0 && range.1 <= lost.1)
    }
}

fn place(change: u64) -> u64 {
    change % 2 * SLOT_BYTES as u64
}

fn slot(change: u64, mark: &Mark) -> Vec<u8> {
    let mut body = vec![VERSION];
    body.extend_from_slice(&change.to_be_bytes());
    put_bytes(&mut body, mark.epoch.as_str().as_bytes());
    put_number(&mut body, mark.head.0);
    put_number(&mut body, mark.reserved.0);
    body.push(mark.clean.into());
    put_number(&mut body, mark.revision);
    body.extend_from_slice(&mark.settings.to_be_bytes());
    put_number(&mut body, mark.losses);
    put_number(&mut body, mark.lost.len() as u64);
    for (first, last) in &mark.lost {
        put_number(&mut body, first.0);
        put_number(&mut body, last.0);
    }
    seal(&mut body, b"watermark");
    let mut slot = Vec::with_capacity(SLOT_BYTES);
    put_bytes(&mut slot, &body);
    assert!(slot.len() <= SLOT_BYTES, "64 ranges of two numbers fit a slot");
    slot.resize(SLOT_BYTES, 0);
    slot
}

/// Reads a slot; `None` when it is damaged. That the system does not let it be read is no damage.
fn read_slot(file: &File, change: u64) -> io::Result<Option<(u64, Mark)>> {
    let mut slot = [0; SLOT_BYTES];
    match file.read_exact_at(&mut slot, place(change)) {
        Ok(()) => Ok(parse_slot(&slot)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse_slot(slot: &[u8]) -> Option<(u64, Mark)> {
    let mut take = Take::new(unseal(Take::new(slot).bytes()?, b"watermark")?);
    if take.byte()? != VERSION {
        return None;
    }
    let change = take.u64()?;
    let epoch = Epoch::new(take.text()?)?;
    let (head, reserved) = (Seq(take.number()?), Seq(take.number()?));
    let (clean, revision, settings) = (take.byte()? != 0, take.number()?, take.u64()?);
    let (losses, count) = (take.number()?, take.number()?);
    let lost = (0..count).map(|_| Some((Seq(take.number()?), Seq(take.number()?)))).collect::<Option<_>>()?;
    Some((change, Mark { epoch, head, reserved, clean, revision, settings, losses, lost }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark() -> Mark {
        let epoch = Epoch::new("abcd1234").expect("valid");
        Mark::new(epoch)
    }

    #[test]
    fn a_damaged_slot_leaves_the_other() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("watermark");
        let mut written = Watermark::create(&path, mark()).expect("written");
        written.mark.head = Seq(6);
        written.save().expect("written");
        let Ok(WatermarkRead::Whole(read)) = Watermark::open(&path) else { panic!("whole") };
        assert_eq!(read.mark, written.mark);
        let newer = usize::try_from(place(written.change)).expect("small");
        for (at, head) in [(newer, Seq(0)), (SLOT_BYTES - newer, Seq(6))] {
            let mut bytes = std::fs::read(&path).expect("there");
            bytes[at + 7] ^= 1;
            let hurt = dir.path().join("hurt");
            std::fs::write(&hurt, &bytes).expect("written");
            let Ok(WatermarkRead::Half(read)) = Watermark::open(&hurt) else { panic!("half") };
            assert_eq!(read.mark.head, head);
        }
        std::fs::write(&path, [0; 100]).expect("written");
        assert!(matches!(Watermark::open(&path), Ok(WatermarkRead::Damaged)));
    }

    #[test]
    fn lost_ranges_stay_apart_sorted_and_bounded() {
        let mut mark = mark();
        for (first, last) in [(10, 20), (40, 50), (21, 30), (5, 12)] {
            mark.lose((Seq(first), Seq(last)));
        }
        assert_eq!(mark.lost, [(Seq(5), Seq(30)), (Seq(40), Seq(50))]);
        assert!(mark.knows((Seq(6), Seq(30))) && !mark.knows((Seq(30), Seq(31))));
        for n in 0..500 {
            mark.lose((Seq(100 + 10 * n), Seq(101 + 10 * n)));
        }
        assert_eq!(mark.lost.len(), MAX_LOST);
        assert!(mark.knows((Seq(100), Seq(101))) && mark.losses == 504);
        slot(0, &mark);
    }
}
