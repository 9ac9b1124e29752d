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

use super::{
    auth::CallerQuotas,
    problem::{Code, Problem},
    quota::{Account, account::HeldMemory},
};

/// The largest body that counts as small. Most publishes are smaller.
const SMALL: usize = 64 << 10;

/// A memory budget: of bodies, from their arrival until they are durable, or of pages, until they are read.
#[derive(Debug)]
pub struct BodyMemory {
    memory: HeldMemory,
    total: usize,
    used: AtomicUsize,
}

/// The memory of one body or page, in bytes. Dropping it releases them.
#[derive(Debug)]
pub struct BodyPermit {
    body_memory: Arc<BodyMemory>,
    caller_quotas: CallerQuotas,
    bytes: usize,
}

impl BodyMemory {
    /// A budget of `total` bytes. There must be one of each kind: an account counts its bytes by kind.
    #[must_use]
    pub fn new(memory: HeldMemory, total: usize) -> Arc<Self> {
        Arc::new(Self { memory, total, used: AtomicUsize::new(0) })
    }

    /// A permit of 0 bytes, charged to a client with these quotas.
    #[must_use]
    pub fn permit(self: &Arc<Self>, caller_quotas: &CallerQuotas) -> BodyPermit {
        BodyPermit { body_memory: Arc::clone(self), caller_quotas: caller_quotas.clone(), bytes: 0 }
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

impl BodyPermit {
    /// The bytes of this permit.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds `more` bytes.
    ///
    /// # Errors
    /// When the budget, or the share of the address or the holder, does not have them. Nothing changes then.
    pub fn grow(&mut self, more: usize) -> Result<(), Problem> {
        self.grow_to(more, false)
    }

    /// Adds `more` bytes for the parsed form of a body that has arrived. A client without other bodies may exceed its
    /// share for it: otherwise an idle hub would refuse a batch within its limits, at every retry.
    ///
    /// # Errors
    /// As [`Self::grow`]; [`Code::TooLarge`] when it exceeds the whole budget.
    pub fn grow_arrived(&mut self, more: usize) -> Result<(), Problem> {
        let (size, total) = (self.bytes.saturating_add(more), self.body_memory.total);
        if size > total {
            let detail =
                format!("the batch takes {size} bytes of memory, and all bodies together have {total}; split it");
            return Err(Problem::new(Code::TooLarge, detail));
        }
        self.grow_to(more, true)
    }

    fn grow_to(&mut self, more: usize, arrived: bool) -> Result<(), Problem> {
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
            let held = self.caller_quotas.address.hold(self.body_memory.memory, 0);
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
        Self { body_memory: Arc::clone(&self.body_memory), caller_quotas: self.caller_quotas.clone(), bytes }
    }

    fn accounts(&self) -> impl Iterator<Item = (&Account, &'static str)> {
        let holder = self.caller_quotas.holder.as_deref().map(|holder| (holder, THE_HOLDER));
        holder.into_iter().chain([(&*self.caller_quotas.address, THIS_ADDRESS)])
    }
}

const THIS_ADDRESS: &str = "this address";
const THE_HOLDER: &str = "the holder of this token";

impl BodyMemory {
    fn refusal(&self, held: usize, whose: &str) -> Problem {
        let (total, used) = (self.total, self.used());
        let detail = format!(
            "request bodies hold {used} of {total} bytes of memory, and {whose} has {held} of them; one client may have at most \
             half of what is free. Wait for receipts, then send it again"
        );
        Problem::new(Code::OverCapacity, detail)
    }
}

impl Drop for BodyPermit {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.body_memory.used.fetch_sub(self.bytes, Relaxed);
            self.accounts().for_each(|(account, _)| account.release(self.body_memory.memory, self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::http::quota::{QuotaConfig, Quotas};

    const MIB: usize = 1 << 20;

    fn quotas() -> Quotas {
        Quotas::new(&QuotaConfig::default())
    }

    fn caller_quotas(quotas: &Quotas, address: u8, holder: Option<&str>) -> CallerQuotas {
        CallerQuotas {
            address: quotas.address(Ipv4Addr::new(192, 0, 2, address).into()),
            holder: holder.map(|name| quotas.holder(name)),
            owner: 0,
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
            let mut permit = body_memory.permit(&caller_quotas(&quotas, address, None));
            fill(&mut permit);
            assert!(permit.bytes().abs_diff(free / 3) < 2000, "{address}: {} of {free}", permit.bytes());
            greedy.push(permit);
            assert!(!body_memory.is_full(), "{address}");
        }
        greedy.extend((11..20).map(|address| body_memory.permit(&caller_quotas(&quotas, address, None))));
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
        let caller_quotas = caller_quotas(&quotas, 1, None);
        let mut large = body_memory.permit(&caller_quotas);
        fill(&mut large);
        assert!(body_memory.permit(&caller_quotas).grow(SMALL + 1).is_err());
        let small = || {
            let mut permit = body_memory.permit(&caller_quotas);
            permit.grow(SMALL).map(|()| permit)
        };
        let permits: Vec<BodyPermit> = std::iter::from_fn(|| small().ok()).collect();
        assert!(permits.len() > 150, "{}", permits.len());
    }

    #[test]
    fn a_share_is_the_address_s_and_the_holder_s_however_many_bodies_they_come_as() {
        let (quotas, body_memory) = (quotas(), BodyMemory::new(HeldMemory::Bodies, 60 * MIB));
        let mut permits: Vec<BodyPermit> =
            (0..10).map(|n| body_memory.permit(&caller_quotas(&quotas, n, Some("ann")))).collect();
        for permit in &mut permits {
            fill(permit);
        }
        assert_eq!(body_memory.used() / MIB, 20, "one holder at many addresses");
        let mut same = body_memory.permit(&caller_quotas(&quotas, 0, Some("bob")));
        assert!(same.grow(MIB).is_err(), "one address with many tokens");
        let problem =
            body_memory.permit(&caller_quotas(&quotas, 50, Some("ann"))).grow(MIB).expect_err("it has its share");
        assert!(problem.detail.contains("the holder of this token has 2"), "{problem}");
        drop(permits);
        assert_eq!((body_memory.used(), fill(&mut same)), (0, 20), "nothing stays counted for a refused body");
    }

    #[test]
    fn a_batch_that_has_arrived_is_not_refused_for_its_share_by_an_idle_hub() {
        let (quotas, body_memory) = (quotas(), BodyMemory::new(HeldMemory::Bodies, 64 * MIB));
        let whole = |address| {
            let mut permit = body_memory.permit(&caller_quotas(&quotas, address, None));
            permit.grow(16 * MIB).and_then(|()| permit.grow_arrived(20_000_000)).map(|()| permit)
        };
        let first = whole(1).expect("nothing else is there");
        assert_eq!(
            body_memory.permit(&caller_quotas(&quotas, 1, None)).grow(MIB).expect_err("its share").code,
            Code::OverCapacity
        );
        assert_eq!(whole(1).expect_err("a second of the same address").code, Code::OverCapacity);
        assert!(body_memory.permit(&caller_quotas(&quotas, 2, None)).grow(8 * MIB).is_ok(), "others have room");
        drop(first);
        assert!(whole(1).is_ok());
        let mut permit = body_memory.permit(&caller_quotas(&quotas, 1, None));
        assert_eq!(permit.grow_arrived(64 * MIB + 1).expect_err("never").code, Code::TooLarge);
        assert_eq!(body_memory.used(), 0);
    }

    #[test]
    fn pages_that_are_not_read_take_no_share_of_bodies() {
        let (quotas, bodies, pages) =
            (quotas(), BodyMemory::new(HeldMemory::Bodies, 3 * MIB), BodyMemory::new(HeldMemory::Pages, 64 * MIB));
        let caller_quotas = caller_quotas(&quotas, 1, Some("ann"));
        let (mut page, mut body) = (pages.permit(&caller_quotas), bodies.permit(&caller_quotas));
        assert_eq!((fill(&mut page), fill(&mut body)), (22, 1));
        drop((page, body));
        assert_eq!((pages.used(), bodies.used()), (0, 0));
        assert!(
            [HeldMemory::Bodies, HeldMemory::Pages].iter().all(|memory| caller_quotas.address.hold(*memory, 0) == 0)
        );
    }

    #[test]
    fn what_is_split_off_is_given_back_by_itself() {
        let (quotas, body_memory) = (quotas(), BodyMemory::new(HeldMemory::Bodies, 1000));
        let mut permit = body_memory.permit(&caller_quotas(&quotas, 1, None));
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
                let (body_memory, caller_quotas) = (&body_memory, caller_quotas(&quotas, address, Some("ann")));
                scope.spawn(move || {
                    for n in 0..5000 {
                        let mut permit = body_memory.permit(&caller_quotas);
                        let _ = permit.grow(n % 400 * 1000);
                        assert!(body_memory.used() <= MIB);
                    }
                });
            }
        });
        assert_eq!(body_memory.used(), 0);
        assert!(body_memory.permit(&caller_quotas(&quotas, 9, Some("ann"))).grow(300_000).is_ok());
    }
}
