//! Splits values of any size into parts that are small enough for sled's log.
//!
//! sled moves a page larger than a quarter of its log segment into a separate file, which it never syncs and does not
//! delete when the page is replaced. A leaf holds up to about 17 values, so with log segments of 4 MiB a value must
//! stay below about 60 KiB.
//!
//! Part 0 begins with the number of parts and is inserted last. After a crash sled recovers a prefix of the inserts, so
//! a value that has its part 0 is complete.

use bytes::Bytes;

/// Size of a part in bytes, far below the limit above to save memory. sled's cache has 256 shards, and each keeps at
/// least one page whatever its size, so an open segment holds up to 256 pages of 17 values. Measured after 200 MB of
/// 1 MiB events: 241 MiB with parts of 48 KiB, 76 MiB with parts of 8 KiB, at the same speed.
pub(super) const PART_BYTES: usize = 8 * 1024;

/// Reads of each part after it is written, so that its page leaves sled's cache. sled evicts pages from one of the
/// cache's 256 shards only after 64 accesses to that shard's pages. Each insert counts as two accesses, and a page of
/// consecutive parts is split after 9 inserts, so without these reads three or four pages pile up in each shard before
/// one is evicted. With 4 more accesses for each of 9 parts a shard evicts about once for every page. Measured after 130 MB
/// of events of 1 MB, as the resident memory of a process that does nothing else: 63 to 66 MiB without reads, 44 to 47
/// with 3, 30 to 33 with 4, 30 with 5, 31 with 14. A read takes 0.6 us.
const READS: usize = 4;

/// Size in bytes of the number of parts, which precedes the data in part 0.
pub(super) const COUNT_BYTES: usize = 2;

/// Why a value could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum PartError {
    /// Parts are missing or invalid.
    #[error("parts of a value are missing")]
    Torn,
    /// sled returned an error.
    #[error(transparent)]
    Sled(#[from] sled::Error),
}

/// Inserts `value` under `stem`, part 0 last and the others in order: inserted in reverse order they take twice the
/// memory in sled's cache (146 MiB instead of 76).
pub(super) fn insert(tree: &sled::Tree, stem: &[u8], value: &[u8]) -> sled::Result<()> {
    let (head, tail) = value.split_at(value.len().min(PART_BYTES - COUNT_BYTES));
    let tail: Vec<&[u8]> = tail.chunks(PART_BYTES).collect();
    let count = u16::try_from(tail.len() + 1).expect("a commit's largest value is far below 512 MiB");
    for (part, bytes) in (1..count).zip(tail) {
        let key = key(stem, part);
        tree.insert(&key, bytes)?;
        for _ in 0..READS {
            tree.get(&key)?;
        }
    }
    tree.insert(key(stem, 0), [&count.to_be_bytes(), head].concat())?;
    Ok(())
}

/// Inserts the value that follows the first [`COUNT_BYTES`] of `framed` under `stem`. Does not copy a value of one
/// part.
pub(super) fn insert_framed(tree: &sled::Tree, stem: &[u8], framed: &mut [u8]) -> sled::Result<()> {
    if framed.len() > PART_BYTES {
        return insert(tree, stem, &framed[COUNT_BYTES..]);
    }
    framed[..COUNT_BYTES].copy_from_slice(&1_u16.to_be_bytes());
    tree.insert(key(stem, 0), &*framed).map(drop)
}

/// Removes all parts under `stem`.
pub(super) fn remove(tree: &sled::Tree, stem: &[u8]) -> sled::Result<()> {
    for entry in tree.scan_prefix(stem).keys() {
        tree.remove(entry?)?;
    }
    Ok(())
}

/// Reads the value under `stem`. `None` when there is none.
pub(super) fn get(tree: &sled::Tree, stem: &[u8]) -> Result<Option<Bytes>, PartError> {
    tree.get(key(stem, 0))?.map(|part| complete(tree, stem, part)).transpose()
}

/// Reads the rest of the value whose part 0 is `part`. Shares the bytes of a single part.
pub(super) fn complete(tree: &sled::Tree, stem: &[u8], part: sled::IVec) -> Result<Bytes, PartError> {
    let count = count(&part).ok_or(PartError::Torn)?;
    if count <= 1 {
        return Ok(Bytes::from_owner(part).slice(COUNT_BYTES..));
    }
    let mut whole = Vec::with_capacity(usize::from(count) * PART_BYTES);
    whole.extend_from_slice(&part[COUNT_BYTES..]);
    for part in 1..count {
        whole.extend_from_slice(&tree.get(key(stem, part))?.ok_or(PartError::Torn)?);
    }
    Ok(whole.into())
}

/// The number of parts of the value whose part 0 is `part`.
pub(super) fn count(part: &[u8]) -> Option<u16> {
    part.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

/// The key of a part.
pub(super) fn key(stem: &[u8], part: u16) -> Vec<u8> {
    [stem, &part.to_be_bytes()].concat()
}
