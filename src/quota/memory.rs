//! The memory of request bodies: a bound for all of them together, and a share for each address and each holder. JSON
//! pages that are not read yet have a budget of the same kind.
//!
//! The bytes that have arrived count, not the announced ones. An address or a holder may have at most half of what is
//! free (a dynamic threshold, as in Choudhury and Hahne, 1998). So each client that takes all it can leaves two thirds
//! of what it found: one leaves 43 of 64 MiB to others, and ten leave 1.1 MiB. With a small body the limit is all that
//! is free, so that small publishes get memory beside large ones of the same address, which may be a proxy's.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use bytes::Bytes;

use super::{Account, account::HeldMemory};

/// The largest body that counts as small. Most publishes are smaller.
const SMALL: usize = 64 << 10;

/// A memory budget: of bodies, from their arrival until they are durable, or of pages, until they are read.
#[derive(Debug)]
pub struct BodyMemory {
    memory: HeldMemory,
    total: usize,
    used: AtomicUsize,
}

/// Memory was refused. `Display` says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemoryRefused {
    /// The budget, or the client's share of it, is used up at the moment.
    #[error(
        "request bodies hold {used} of {total} bytes of memory, and {whose} has {held} of them; one client may have at most \
         half of what is free. Wait for receipts, then send the request again"
    )]
    Exhausted {
        /// Bytes of the budget in use.
        used: usize,
        /// Bytes of the whole budget.
        total: usize,
        /// The account, in words.
        whose: &'static str,
        /// Bytes that it has.
        held: usize,
    },
    /// The body exceeds the whole budget.
    #[error("the batch takes {size} bytes of memory, and all bodies together have {total}; split it")]
    TooLarge {
        /// Bytes of the body.
        size: usize,
        /// Bytes of the whole budget.
        total: usize,
    },
}

/// The memory of one body or page, in bytes. Dropping it releases them.
#[derive(Debug)]
pub struct BodyPermit {
    body_memory: Arc<BodyMemory>,
    address: Arc<Account>,
    holder: Option<Arc<Account>>,
    bytes: usize,
}

impl BodyMemory {
    /// A budget of `total` bytes. There must be one of each kind: an account counts its bytes by kind.
    #[must_use]
    pub fn new(memory: HeldMemory, total: usize) -> Arc<Self> {
        Arc::new(Self { memory, total, used: AtomicUsize::new(0) })
    }

    /// A permit of 0 bytes, charged to the client with these accounts.
    #[must_use]
    pub fn permit(self: &Arc<Self>, address: &Arc<Account>, holder: Option<&Arc<Account>>) -> BodyPermit {
        BodyPermit { body_memory: Arc::clone(self), address: Arc::clone(address), holder: holder.cloned(), bytes: 0 }
    }

    /// Bytes in use.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// Whether a small body of any client might be refused.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.total.saturating_sub(self.used()) < (2 * SMALL).min(self.total / 8)
    }
}

/// Bytes with the permit of their memory.
struct HeldBytes<B> {
    bytes: B,
    _permit: BodyPermit,
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for HeldBytes<B> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

impl BodyPermit {
    /// `bytes`, which hold this permit as long as they live: for a response, until its client has read it.
    #[must_use]
    pub fn hold(self, bytes: impl AsRef<[u8]> + Send + 'static) -> Bytes {
        Bytes::from_owner(HeldBytes { bytes, _permit: self })
    }

    /// The bytes of this permit.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds `more` bytes.
    ///
    /// # Errors
    /// When the budget, or the share of the address or the holder, does not have them. Nothing changes then.
    pub fn grow(&mut self, more: usize) -> Result<(), MemoryRefused> {
        self.grow_to(more, false)
    }

    /// Adds `more` bytes for the parsed form of a body that has arrived. A client without other bodies may exceed its
    /// share for it: otherwise an idle hub would refuse a batch within its limits, at every retry.
    ///
    /// # Errors
    /// As [`Self::grow`]; [`MemoryRefused::TooLarge`] when it exceeds the whole budget.
    pub fn grow_arrived(&mut self, more: usize) -> Result<(), MemoryRefused> {
        let (size, total) = (self.bytes.saturating_add(more), self.body_memory.total);
        if size > total {
            return Err(MemoryRefused::TooLarge { size, total });
        }
        self.grow_to(more, true)
    }

    fn grow_to(&mut self, more: usize, arrived: bool) -> Result<(), MemoryRefused> {
        if more == 0 {
            return Ok(());
        }
        let size = self.bytes + more;
        let small = size <= SMALL;
        for (taken, (account, whose)) in self.accounts().enumerate() {
            // Added first and checked then, so that two bodies cannot both get the last bytes.
            let held = account.hold(self.body_memory.memory, more);
            let free = self.body_memory.total.saturating_sub(self.body_memory.used().saturating_add(more));
            let alone = arrived && held <= size;
            if !alone && held > if small { free } else { free / 2 } {
                self.accounts().take(taken + 1).for_each(|(account, _)| account.release(self.body_memory.memory, more));
                return Err(self.body_memory.refusal(held - more, whose));
            }
        }
        let within = |used: usize| used.checked_add(more).filter(|&used| used <= self.body_memory.total);
        if self.body_memory.used.fetch_update(Relaxed, Relaxed, within).is_err() {
            let held = self.address.hold(self.body_memory.memory, 0);
            self.accounts().for_each(|(account, _)| account.release(self.body_memory.memory, more));
            return Err(self.body_memory.refusal(held - more, THIS_ADDRESS));
        }
        self.bytes += more;
        Ok(())
    }

    /// Moves `bytes`, at most all, into a permit of their own.
    #[must_use = "dropping it releases the bytes"]
    pub fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        let (body_memory, address) = (Arc::clone(&self.body_memory), Arc::clone(&self.address));
        Self { body_memory, address, holder: self.holder.clone(), bytes }
    }

    fn accounts(&self) -> impl Iterator<Item = (&Account, &'static str)> {
        let holder = self.holder.as_deref().map(|holder| (holder, THE_HOLDER));
        holder.into_iter().chain([(&*self.address, THIS_ADDRESS)])
    }
}

const THIS_ADDRESS: &str = "this address";
const THE_HOLDER: &str = "the holder of this token";

impl BodyMemory {
    fn refusal(&self, held: usize, whose: &'static str) -> MemoryRefused {
        MemoryRefused::Exhausted { used: self.used(), total: self.total, whose, held }
    }
}

impl Drop for BodyPermit {
    fn drop(&mut self) {
        if self.bytes > 0 {
            let used = self.body_memory.used.fetch_sub(self.bytes, Relaxed);
            debug_assert!(used >= self.bytes, "the budget counts what its permits hold");
            self.accounts().for_each(|(account, _)| account.release(self.body_memory.memory, self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::quota::{QuotaConfig, Quotas};

    const MIB: usize = 1 << 20;

    fn quotas() -> Quotas {
        Quotas::new(&QuotaConfig::default())
    }

    /// The accounts of a client.
    struct Client {
        address: Arc<Account>,
        holder: Option<Arc<Account>>,
    }

    impl Client {
        fn permit(&self, body_memory: &Arc<BodyMemory>) -> BodyPermit {
            body_memory.permit(&self.address, self.holder.as_ref())
        }
    }

    fn client(quotas: &Quotas, address: u8, holder: Option<&str>) -> Client {
        Client {
            address: quotas.address(Ipv4Addr::new(192, 0, 2, address).into()),
            holder: holder.map(|name| quotas.holder(name)),
        }
    }

    /// Takes all that one large body can. Answers with how much that is, in MiB.
    fn fill(permit: &mut BodyPermit) -> usize {
        while permit.grow(1000).is_ok() {}
        permit.bytes().div_ceil(MIB)
    }

    #[test]
    fn each_that_takes_all_it_can_leaves_two_thirds_to_others() {
        let (quotas, body_memory) = (quotas(), BodyMemory::new(HeldMemory::Bodies, 64 * MIB));
        let mut greedy: Vec<BodyPermit> = Vec::new();
        for address in 1..=10 {
            let free = body_memory.total - body_memory.used();
            let mut permit = client(&quotas, address, None).permit(&body_memory);
            fill(&mut permit);
            assert!(permit.bytes().abs_diff(free / 3) < 2000, "{address}: {} of {free}", permit.bytes());
            greedy.push(permit);
            assert!(!body_memory.is_full(), "{address}");
        }
        greedy.extend((11..20).map(|address| client(&quotas, address, None).permit(&body_memory)));
        for permit in &mut greedy {
            fill(permit);
        }
        assert!(body_memory.is_full());
        drop(greedy);
        assert_eq!(body_memory.used(), 0);
    }

    #[test]
    fn small_bodies_find_room_beside_large_ones_of_the_same_address() {
        let (quotas, body_memory) = (quotas(), BodyMemory::new(HeldMemory::Bodies, 64 * MIB));
        let client = client(&quotas, 1, None);
        let mut large = client.permit(&body_memory);
        fill(&mut large);
        assert!(client.permit(&body_memory).grow(SMALL + 1).is_err());
        let small = || {
            let mut permit = client.permit(&body_memory);
            permit.grow(SMALL).map(|()| permit)
        };
        let permits: Vec<BodyPermit> = std::iter::from_fn(|| small().ok()).collect();
        assert!(permits.len() > 150, "{}", permits.len());
    }

    #[test]
    fn a_share_is_the_address_s_and_the_holder_s_however_many_bodies_they_come_as() {
        let (quotas, body_memory) = (quotas(), BodyMemory::new(HeldMemory::Bodies, 60 * MIB));
        let mut permits: Vec<BodyPermit> =
            (0..10).map(|n| client(&quotas, n, Some("ann")).permit(&body_memory)).collect();
        for permit in &mut permits {
            fill(permit);
        }
        assert_eq!(body_memory.used() / MIB, 20, "one holder at many addresses");
        let mut same = client(&quotas, 0, Some("bob")).permit(&body_memory);
        assert!(same.grow(MIB).is_err(), "one address with many tokens");
        let problem = client(&quotas, 50, Some("ann")).permit(&body_memory).grow(MIB).expect_err("it has its share");
        assert!(problem.to_string().contains("the holder of this token has 2"), "{problem}");
        drop(permits);
        assert_eq!((body_memory.used(), fill(&mut same)), (0, 20), "nothing stays counted for a refused body");
    }

    #[test]
    fn a_batch_that_has_arrived_is_not_refused_for_its_share_by_an_idle_hub() {
        let (quotas, body_memory) = (quotas(), BodyMemory::new(HeldMemory::Bodies, 64 * MIB));
        let whole = |address| {
            let mut permit = client(&quotas, address, None).permit(&body_memory);
            permit.grow(16 * MIB).and_then(|()| permit.grow_arrived(20_000_000)).map(|()| permit)
        };
        let first = whole(1).expect("nothing else is there");
        let refused = client(&quotas, 1, None).permit(&body_memory).grow(MIB).expect_err("its share");
        assert!(matches!(refused, MemoryRefused::Exhausted { .. }), "{refused}");
        let refused = whole(1).expect_err("a second of the same address");
        assert!(matches!(refused, MemoryRefused::Exhausted { .. }), "{refused}");
        assert!(client(&quotas, 2, None).permit(&body_memory).grow(8 * MIB).is_ok(), "others have room");
        drop(first);
        assert!(whole(1).is_ok());
        let mut permit = client(&quotas, 1, None).permit(&body_memory);
        let refused = permit.grow_arrived(64 * MIB + 1).expect_err("never");
        assert!(matches!(refused, MemoryRefused::TooLarge { .. }), "{refused}");
        assert_eq!(body_memory.used(), 0);
    }

    #[test]
    fn pages_that_are_not_read_take_no_share_of_bodies() {
        let (quotas, bodies, pages) =
            (quotas(), BodyMemory::new(HeldMemory::Bodies, 3 * MIB), BodyMemory::new(HeldMemory::Pages, 64 * MIB));
        let client = client(&quotas, 1, Some("ann"));
        let (mut page, mut body) = (client.permit(&pages), client.permit(&bodies));
        assert_eq!((fill(&mut page), fill(&mut body)), (22, 1));
        drop((page, body));
        assert_eq!((pages.used(), bodies.used()), (0, 0));
        assert!([HeldMemory::Bodies, HeldMemory::Pages].iter().all(|memory| client.address.hold(*memory, 0) == 0));
    }

    #[test]
    fn what_is_split_off_is_given_back_by_itself() {
        let (quotas, body_memory) = (quotas(), BodyMemory::new(HeldMemory::Bodies, 1000));
        let mut permit = client(&quotas, 1, None).permit(&body_memory);
        permit.grow(100).expect("room");
        let part = permit.split(30);
        assert_eq!((permit.bytes(), part.bytes(), body_memory.used()), (70, 30, 100));
        drop(part);
        assert_eq!(body_memory.used(), 70);
        assert_eq!(permit.split(99).bytes(), 70);
        assert_eq!(body_memory.used(), 0);
    }

    #[test]
    fn cores_that_take_and_give_back_at_once_never_exceed_the_room_and_leave_nothing_counted() {
        let (quotas, body_memory) = (quotas(), BodyMemory::new(HeldMemory::Bodies, MIB));
        std::thread::scope(|scope| {
            for address in 0..4 {
                let (body_memory, client) = (&body_memory, client(&quotas, address, Some("ann")));
                scope.spawn(move || {
                    for n in 0..5000 {
                        let mut permit = client.permit(body_memory);
                        let _ = permit.grow(n % 400 * 1000);
                        assert!(body_memory.used() <= MIB);
                    }
                });
            }
        });
        assert_eq!(body_memory.used(), 0);
        assert!(client(&quotas, 9, Some("ann")).permit(&body_memory).grow(300_000).is_ok());
    }
}
