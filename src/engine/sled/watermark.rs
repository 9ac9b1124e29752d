//! Facts about the store that are kept outside sled, in case sled loses data.
//!
//! A damaged sled database may open without its newest commits, or empty, without an error. The watermark holds the
//! head, which reveals such a loss; the highest reserved id, so that no id is used twice; and the ranges that were
//! lost. The file has two slots, written alternately and synced, so that one of them is always intact.
//!
//! A slot: `version u8 | change u64 | epoch | head | reserved | clean u8 | revision of settings | sum of settings
//! u64 | losses | lost ranges | CRC-32`, preceded by its length and padded to 4096 bytes.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::event::{Epoch, Seq};

use super::disk;
use super::wire::{ByteReader, put_bytes, put_number, seal, unseal};

const VERSION: u8 = 1;

/// Size of a slot, one disk page: a power loss during a write of one slot does not damage the other.
const SLOT_BYTES: usize = 4096;

/// Ids reserved at a time: two syncs for a million events, and at most that many unused ids after a crash.
pub(super) const RESERVE_IDS: u64 = 1 << 20;

/// Maximum number of lost ranges; beyond it the two nearest are merged. They must fit a slot: 64 * 2 * 10 bytes.
const MAX_LOST: usize = 64;

/// The watermark's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WatermarkState {
    /// The store's incarnation.
    pub(super) epoch: Epoch,
    /// A committed position; the newest one when `clean`.
    pub(super) head: Seq,
    /// No position above it was ever allocated.
    pub(super) reserved: Seq,
    /// The store was shut down cleanly.
    pub(super) clean: bool,
    /// Number of saves of settings when this was written.
    pub(super) revision: u64,
    /// The checksum of all settings when the store was shut down cleanly (see `meta`).
    pub(super) settings: u64,
    /// Number of damaged parts since the store was created.
    pub(super) losses: u64,
    /// Ranges in which events may have been lost, both ends included; sorted, disjoint and not adjacent.
    pub(super) lost: Vec<(Seq, Seq)>,
}

/// The open file.
#[derive(Debug)]
pub(super) struct Watermark {
    file: File,
    /// Number of saves. The slot with the higher number is valid; even numbers are in the first slot.
    change: u64,
    pub(super) state: WatermarkState,
}

/// The result of reading a watermark file.
#[derive(Debug)]
pub(super) enum WatermarkRead {
    /// There is no file.
    Missing,
    /// Both slots are intact.
    Intact(Watermark),
    /// One slot is damaged, and it may have been the newer one.
    OneSlot(Watermark),
    /// Both slots are damaged.
    Damaged,
}

impl Watermark {
    /// Length of the file.
    pub(super) const BYTES: u64 = 2 * SLOT_BYTES as u64;

    /// Reads the file at `path`, to be written later.
    pub(super) fn open(path: &Path) -> io::Result<WatermarkRead> {
        Self::open_with(File::options().read(true).write(true), path)
    }

    /// Reads the file at `path` without the right to write it: [`save`](Self::save) fails.
    pub(super) fn open_read_only(path: &Path) -> io::Result<WatermarkRead> {
        Self::open_with(File::options().read(true), path)
    }

    fn open_with(options: &OpenOptions, path: &Path) -> io::Result<WatermarkRead> {
        let file = match options.open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(WatermarkRead::Missing),
            Err(error) => return Err(error),
        };
        let slots = [read_slot(&file, 0)?, read_slot(&file, 1)?];
        let intact = slots.iter().all(Option::is_some);
        let Some((change, state)) = slots.into_iter().flatten().max_by_key(|(change, _)| *change) else {
            return Ok(WatermarkRead::Damaged);
        };
        let watermark = Self { file, change, state };
        Ok(if intact { WatermarkRead::Intact(watermark) } else { WatermarkRead::OneSlot(watermark) })
    }

    /// Writes a new file at `path`, with the same content in both slots.
    pub(super) fn create(path: &Path, state: WatermarkState) -> io::Result<Self> {
        let bytes = [slot(0, &state), slot(1, &state)].concat();
        disk::write_whole(path, &bytes)?;
        let file = File::options().read(true).write(true).open(path)?;
        Ok(Self { file, change: 1, state })
    }

    /// Overwrites the older slot with the current state and waits until it is durable.
    pub(super) fn save(&mut self) -> io::Result<()> {
        let change = self.change + 1;
        self.file.write_all_at(&slot(change, &self.state), offset(change))?;
        self.file.sync_data()?;
        self.change = change;
        Ok(())
    }
}

impl WatermarkState {
    /// The state of a store without events.
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

    /// Records that events in `range` may be lost, and counts the loss.
    pub(super) fn add_lost(&mut self, range: (Seq, Seq)) {
        self.losses += 1;
        if range.0 > range.1 {
            return;
        }
        self.lost.push(range);
        self.lost.sort_unstable();
        let mut merged: Vec<(Seq, Seq)> = Vec::with_capacity(self.lost.len());
        for &(first, last) in &self.lost {
            match merged.last_mut() {
                Some(before) if first.0 <= before.1.0.saturating_add(1) => before.1 = before.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        while merged.len() > MAX_LOST {
            let distance = |at: &usize| merged[at + 1].0.0 - merged[*at].1.0;
            let nearest = (0..merged.len() - 1).min_by_key(distance).expect("more than one range");
            merged[nearest].1 = merged.remove(nearest + 1).1;
        }
        self.lost = merged;
    }

    /// Whether a part of `range` is recorded as lost.
    pub(super) fn overlaps_lost(&self, range: (Seq, Seq)) -> bool {
        self.lost.iter().any(|lost| lost.0 <= range.1 && range.0 <= lost.1)
    }

    /// Whether all of `range` is recorded as lost.
    pub(super) fn contains_lost(&self, range: (Seq, Seq)) -> bool {
        self.lost.iter().any(|lost| lost.0 <= range.0 && range.1 <= lost.1)
    }
}

/// Offset of a change's slot in the file.
fn offset(change: u64) -> u64 {
    change % 2 * SLOT_BYTES as u64
}

fn slot(change: u64, state: &WatermarkState) -> Vec<u8> {
    let mut body = vec![VERSION];
    body.extend_from_slice(&change.to_be_bytes());
    put_bytes(&mut body, state.epoch.as_str().as_bytes());
    put_number(&mut body, state.head.0);
    put_number(&mut body, state.reserved.0);
    body.push(state.clean.into());
    put_number(&mut body, state.revision);
    body.extend_from_slice(&state.settings.to_be_bytes());
    put_number(&mut body, state.losses);
    put_number(&mut body, state.lost.len() as u64);
    for (first, last) in &state.lost {
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

/// Reads a slot; `None` when it is damaged.
///
/// # Errors
/// When the system refuses the read, which is no sign of damage.
fn read_slot(file: &File, change: u64) -> io::Result<Option<(u64, WatermarkState)>> {
    let mut slot = [0; SLOT_BYTES];
    match file.read_exact_at(&mut slot, offset(change)) {
        Ok(()) => Ok(parse_slot(&slot)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse_slot(slot: &[u8]) -> Option<(u64, WatermarkState)> {
    let mut take = ByteReader::new(unseal(ByteReader::new(slot).bytes()?, b"watermark")?);
    if take.byte()? != VERSION {
        return None;
    }
    let change = take.u64()?;
    let epoch = Epoch::new(take.text()?)?;
    let (head, reserved) = (Seq(take.number()?), Seq(take.number()?));
    let (clean, revision, settings) = (take.byte()? != 0, take.number()?, take.u64()?);
    let (losses, count) = (take.number()?, take.number()?);
    let lost = (0..count).map(|_| Some((Seq(take.number()?), Seq(take.number()?)))).collect::<Option<_>>()?;
    Some((change, WatermarkState { epoch, head, reserved, clean, revision, settings, losses, lost }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> WatermarkState {
        let epoch = Epoch::new("abcd1234").expect("valid");
        WatermarkState::new(epoch)
    }

    #[test]
    fn a_damaged_slot_leaves_the_other() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("watermark");
        let mut written = Watermark::create(&path, state()).expect("written");
        written.state.head = Seq(6);
        written.save().expect("written");
        let Ok(WatermarkRead::Intact(read)) = Watermark::open(&path) else { panic!("intact") };
        assert_eq!(read.state, written.state);
        let newer = usize::try_from(offset(written.change)).expect("small");
        for (at, head) in [(newer, Seq(0)), (SLOT_BYTES - newer, Seq(6))] {
            let mut bytes = std::fs::read(&path).expect("there");
            bytes[at + 7] ^= 1;
            let hurt = dir.path().join("hurt");
            std::fs::write(&hurt, &bytes).expect("written");
            let Ok(WatermarkRead::OneSlot(read)) = Watermark::open(&hurt) else { panic!("one slot") };
            assert_eq!(read.state.head, head);
        }
        std::fs::write(&path, [0; 100]).expect("written");
        assert!(matches!(Watermark::open(&path), Ok(WatermarkRead::Damaged)));
    }

    #[test]
    fn lost_ranges_stay_disjoint_sorted_and_bounded() {
        let mut state = state();
        for (first, last) in [(10, 20), (40, 50), (21, 30), (5, 12)] {
            state.add_lost((Seq(first), Seq(last)));
        }
        assert_eq!(state.lost, [(Seq(5), Seq(30)), (Seq(40), Seq(50))]);
        assert!(state.contains_lost((Seq(6), Seq(30))) && !state.contains_lost((Seq(30), Seq(31))));
        for n in 0..500 {
            state.add_lost((Seq(100 + 10 * n), Seq(101 + 10 * n)));
        }
        assert_eq!(state.lost.len(), MAX_LOST);
        assert!(state.contains_lost((Seq(100), Seq(101))) && state.losses == 504);
        slot(0, &state);
    }
}
