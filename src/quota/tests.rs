//! Each limit and each bound. Time is tokio's, paused.

use std::{num::NonZeroU32, thread, time::Duration};

use proptest::prelude::*;
use tokio::time::advance;

use super::*;

const KIB: u64 = 1024;

fn some(n: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(n)
}

fn for_address(address: QuotaLimits) -> Quotas {
    Quotas::new(&QuotaConfig { address, ..QuotaConfig::default() })
}

fn for_holder(holder: QuotaLimits) -> Quotas {
    Quotas::new(&QuotaConfig { holder, ..QuotaConfig::default() })
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// The `n`th of many networks.
fn nth(n: u32) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8_u128 << 96) | (u128::from(n) << 64)))
}

/// Sweeps all parts.
fn sweep(quotas: &Quotas) {
    for _ in 0..8 {
        quotas.sweep();
    }
}

fn wait(result: Result<(), Exceeded>) -> Duration {
    result.expect_err("a limit is met").wait
}

#[tokio::test(start_paused = true)]
async fn without_limits_everything_is_let_in_and_holders_are_still_counted() {
    let quotas = Quotas::new(&QuotaConfig::default());
    let (address, holder) = (quotas.address(ip("192.0.2.1")), quotas.holder("a"));
    let connections: Vec<_> = (0..1000).map(|_| address.connect().unwrap()).collect();
    let streams: Vec<StreamPermit> =
        (0..1000).flat_map(|_| [address.stream(), holder.stream()]).map(Result::unwrap).collect();
    for _ in 0..1000 {
        address.publish_for(&holder, u32::MAX, u64::MAX / 2000).unwrap();
        holder.topic().unwrap();
        address.bad_credential();
        address.may_try_credential().unwrap();
    }
    let used = quotas.busiest(20);
    assert_eq!((used.len(), &*used[0].holder, used[0].streams, used[0].refused), (1, "a", 1000, 0));
    assert_eq!((used[0].events, used[0].bytes), (1000 * u64::from(u32::MAX), 1000 * (u64::MAX / 2000)));
    drop((connections, streams));
    assert_eq!(quotas.busiest(20)[0].streams, 0);
}

#[tokio::test(start_paused = true)]
async fn one_address_has_no_more_connections_than_it_may() {
    let quotas = for_address(QuotaLimits { connections: Some(2), ..QuotaLimits::default() });
    let address = quotas.address(ip("192.0.2.1"));
    let first = address.connect().unwrap();
    let _second = address.connect().unwrap();
    let refused = address.connect().expect_err("two are open");
    assert_eq!((refused.what, refused.limit, refused.shared), (Limit::AddressConnections, 2, false));
    assert!(refused.wait > Duration::ZERO);
    let _other = quotas.address(ip("192.0.2.2")).connect().unwrap();
    drop(first);
    let _third = address.connect().expect("one was closed");
    assert_eq!(address.connections(), 2);
    assert_eq!((quotas.refused(Limit::AddressConnections), address.refused()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn one_address_and_one_holder_have_no_more_streams_than_they_may() {
    let one = QuotaLimits { streams: Some(1), ..QuotaLimits::default() };
    let quotas = Quotas::new(&QuotaConfig { address: one.clone(), holder: one });
    for (account, what) in
        [(quotas.address(ip("192.0.2.1")), Limit::AddressStreams), (quotas.holder("a"), Limit::HolderStreams)]
    {
        let permit = account.stream().unwrap();
        assert_eq!(account.stream().expect_err("one is open").what, what);
        let _connection = account.connect().expect("is no stream");
        drop(permit);
        assert_eq!(account.streams(), 0);
        let _again = account.stream().unwrap();
        assert_eq!(quotas.refused(what), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn events_and_bytes_a_second_are_limited_and_the_reported_wait_is_exact() {
    let limits = QuotaLimits { events: some(10), bytes: some(1000), ..QuotaLimits::default() };
    let quotas = Quotas::new(&QuotaConfig { address: limits.clone(), holder: limits });
    for (account, events, bytes) in [
        (quotas.address(ip("192.0.2.1")), Limit::AddressEvents, Limit::AddressBytes),
        (quotas.holder("a"), Limit::HolderEvents, Limit::HolderBytes),
    ] {
        account.publish(10, 0).unwrap();
        let refused = account.publish(1, 0).expect_err("ten a second");
        assert_eq!((refused.what, refused.limit, refused.wait), (events, 10, Duration::from_millis(100)));
        advance(Duration::from_millis(99)).await;
        assert_eq!(wait(account.publish(1, 0)), Duration::from_millis(1));
        advance(Duration::from_millis(1)).await;
        account.publish(1, 1000).unwrap();
        advance(Duration::from_millis(500)).await;
        let refused = account.publish(1, 501).expect_err("a thousand bytes a second");
        assert_eq!((refused.what, refused.limit, refused.wait), (bytes, 1000, Duration::from_millis(1)));
        account.publish(1, 500).unwrap();
        assert_eq!((account.events(), account.bytes(), account.refused()), (12, 1500, 3));
    }
}

#[tokio::test(start_paused = true)]
async fn one_large_event_is_let_in_and_what_follows_waits_for_it() {
    let quotas = for_holder(QuotaLimits { bytes: some(64 << 10), ..QuotaLimits::default() });
    let holder = quotas.holder("a");
    holder.publish(1, 1024 * KIB).expect("it could not come otherwise");
    assert_eq!(wait(holder.publish(1, 64 * KIB)), Duration::from_secs(16));
    assert_eq!(wait(holder.publish(1, 1)), Duration::from_secs(15) + Duration::from_nanos(15_258));
    advance(Duration::from_secs(16)).await;
    holder.publish(1, 1024 * KIB).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_refused_publish_uses_nothing_up() {
    let quotas = Quotas::new(&QuotaConfig {
        address: QuotaLimits { events: some(10), bytes: some(100), ..QuotaLimits::default() },
        holder: QuotaLimits { events: some(5), bytes: some(50), ..QuotaLimits::default() },
    });
    let (address, holder) = (quotas.address(ip("192.0.2.1")), quotas.holder("a"));
    address.publish_for(&holder, 5, 0).unwrap();
    for _ in 0..100 {
        assert_eq!(address.publish_for(&holder, 5, 0).unwrap_err().what, Limit::HolderEvents);
        assert_eq!(address.publish_for(&quotas.holder("b"), 6, 0).unwrap_err().what, Limit::AddressEvents);
    }
    advance(Duration::from_secs(1)).await;
    address.publish_for(&holder, 0, 50).unwrap();
    for _ in 0..100 {
        assert_eq!(address.publish_for(&holder, 1, 50).unwrap_err().what, Limit::HolderBytes);
    }
    address.publish_for(&quotas.holder("b"), 5, 50).expect("the refused ones cost the address nothing");
    assert_eq!((address.events(), address.bytes(), holder.events(), holder.bytes()), (10, 100, 5, 50));
    assert_eq!((address.refused(), holder.refused(), quotas.refused(Limit::HolderBytes)), (100, 200, 100));
}

#[tokio::test(start_paused = true)]
async fn one_holder_makes_no_more_topics_an_hour_than_it_may() {
    let quotas = for_holder(QuotaLimits { topics: some(2), ..QuotaLimits::default() });
    let holder = quotas.holder("a");
    holder.topic().unwrap();
    holder.topic().unwrap();
    let refused = holder.topic().expect_err("two an hour");
    assert_eq!((refused.what, refused.limit, refused.wait), (Limit::HolderTopics, 2, Duration::from_mins(30)));
    advance(Duration::from_mins(30)).await;
    holder.topic().unwrap();
    assert!(holder.topic().is_err());
    assert_eq!(quotas.refused(Limit::HolderTopics), 2);
}

#[tokio::test(start_paused = true)]
async fn one_holder_has_no_more_runs_at_once_or_a_minute_than_it_may() {
    let limits = QuotaLimits { runs: Some(2), runs_per_minute: some(4), ..QuotaLimits::default() };
    let quotas = for_holder(limits);
    let holder = quotas.holder("a");
    let first = holder.run().unwrap();
    let _second = holder.run().unwrap();
    for _ in 0..100 {
        assert_eq!(holder.run().unwrap_err().what, Limit::HolderRuns);
    }
    assert_eq!(holder.runs(), 2, "the refused ones took no permit");
    drop(first);
    let third = holder.run().expect("the refused ones used no rate up");
    drop(third);
    drop(holder.run().expect("a run that has ended"));
    for _ in 0..100 {
        let refused = holder.run().expect_err("four a minute");
        assert_eq!((refused.what, refused.wait), (Limit::HolderRunsPerMinute, Duration::from_secs(15)));
    }
    assert_eq!(holder.runs(), 1, "a run that the rate refuses returns its permit");
    quotas.holder("b").run().map(drop).expect("another holder");
    advance(Duration::from_secs(15)).await;
    drop(holder.run().unwrap());
    assert_eq!((quotas.refused(Limit::HolderRuns), quotas.refused(Limit::HolderRunsPerMinute)), (100, 100));
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_owes_tokens_begins_no_run_until_they_are_paid_back() {
    let limits = QuotaLimits { tokens_per_day: some(24_000), runs_per_minute: some(3), ..QuotaLimits::default() };
    let quotas = for_holder(limits);
    let holder = quotas.holder("a");
    let (run, other) = (holder.run().unwrap(), holder.run().unwrap());
    run.charge_tokens(20_000);
    run.charge_tokens(3_999);
    drop(run);
    let last = holder.run().expect("one token is left");
    last.charge_tokens(1);
    other.charge_tokens(1_000);
    advance(Duration::from_mins(1)).await;
    let refused = holder.run().expect_err("a thousand tokens are owed");
    let (hour, a_token) = (Duration::from_hours(1), Duration::from_millis(3_600));
    assert_eq!((refused.what, refused.limit), (Limit::HolderTokensPerDay, 24_000));
    assert_eq!(refused.wait + Duration::from_mins(1), hour + a_token, "a thousand an hour");
    sweep(&quotas);
    assert!(quotas.holder("a").run().is_err(), "a debt is not swept away");
    advance(refused.wait).await;
    drop(holder.run().expect("paid back"));
    assert!(quotas.holder("b").run().is_ok());

    quotas.configure(&QuotaConfig::default());
    other.charge_tokens(u64::MAX);
    drop(holder.run().expect("no limit"));
}

#[test]
fn a_permit_goes_to_the_task_of_its_run() {
    fn sent<T: Send + 'static>(_: T) {}
    sent(Quotas::new(&QuotaConfig::default()).holder("a").run().expect("no limit"));
}

#[tokio::test(start_paused = true)]
async fn after_too_many_bad_credentials_the_next_are_not_checked_for_a_while() {
    let quotas = for_address(QuotaLimits { bad_credentials: some(20), ..QuotaLimits::default() });
    let address = quotas.address(ip("192.0.2.1"));
    for _ in 0..20 {
        for _ in 0..100 {
            address.may_try_credential().expect("asking uses nothing up");
        }
        address.bad_credential();
    }
    let refused = address.may_try_credential().expect_err("twenty a second");
    assert_eq!((refused.what, refused.limit, refused.wait), (Limit::BadCredentials, 20, Duration::from_millis(50)));
    for _ in 0..10_000 {
        address.bad_credential();
    }
    assert_eq!(wait(address.may_try_credential()), Duration::from_millis(1050), "about a second, however many came");
    quotas.address(ip("192.0.2.2")).may_try_credential().expect("another one");
    advance(Duration::from_millis(1050)).await;
    address.may_try_credential().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_ipv6_network_is_one_client_and_a_mapped_address_is_ipv4() {
    let quotas = for_address(QuotaLimits { connections: Some(1), ..QuotaLimits::default() });
    let _permit = quotas.address(ip("2001:db8:1:2::1")).connect().unwrap();
    assert!(quotas.address(ip("2001:db8:1:2:ffff:ffff:ffff:ffff")).connect().is_err());
    let _other = quotas.address(ip("2001:db8:1:3::1")).connect().unwrap();
    let _permit = quotas.address(ip("::ffff:192.0.2.1")).connect().unwrap();
    assert!(quotas.address(ip("192.0.2.1")).connect().is_err());
    let _other = quotas.address(ip("::ffff:192.0.2.2")).connect().unwrap();
    assert_eq!(quotas.addresses(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_reload_applies_to_existing_accounts_and_closes_nothing() {
    let quotas = Quotas::new(&QuotaConfig::default());
    let holder = quotas.holder("a");
    let permits = [holder.stream().unwrap(), holder.stream().unwrap()];
    holder.publish(1000, 0).unwrap();
    let limits = |streams, events| QuotaConfig {
        holder: QuotaLimits { streams: Some(streams), events: some(events), ..QuotaLimits::default() },
        ..QuotaConfig::default()
    };
    quotas.configure(&limits(1, 10));
    assert!(holder.stream().is_err() && holder.streams() == 2, "two were open before");
    holder.publish(10, 0).expect("what was free costs nothing afterwards");
    assert!(holder.publish(1, 0).is_err());
    quotas.configure(&limits(3, 1000));
    let _third = holder.stream().unwrap();
    assert!(holder.stream().is_err());
    drop(permits);
    assert_eq!(holder.streams(), 1);
    quotas.configure(&QuotaConfig::default());
    holder.publish(100_000, 0).unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_idle_account_is_removed_and_one_that_owes_or_has_something_open_is_not() {
    let limits = QuotaLimits { events: some(10), bad_credentials: some(1), ..QuotaLimits::default() };
    let quotas = for_address(limits);
    let permit = quotas.address(nth(0)).stream().unwrap();
    quotas.address(nth(1)).publish(10, 0).unwrap();
    quotas.address(nth(2)).bad_credential();
    let held = quotas.address(nth(3));
    let _ = quotas.address(nth(4));
    assert_eq!(quotas.addresses(), 5);
    sweep(&quotas);
    assert_eq!(quotas.addresses(), 4, "one was idle");
    quotas.address(nth(1)).publish(1, 0).expect_err("it was not forgotten");
    advance(Duration::from_secs(1)).await;
    sweep(&quotas);
    assert_eq!(quotas.addresses(), 2);
    drop((permit, held));
    sweep(&quotas);
    assert_eq!(quotas.addresses(), 0);
}

#[tokio::test(start_paused = true)]
async fn when_the_table_is_full_new_clients_share_one_account() {
    let one = QuotaLimits { streams: Some(1), events: some(1), ..QuotaLimits::default() };
    let quotas = Quotas::with_capacity(&QuotaConfig { address: one.clone(), holder: one }, 100, 100);
    let permits: Vec<StreamPermit> = (0..100)
        .flat_map(|n| [quotas.address(nth(n)).stream(), quotas.holder(&format!("{n}")).stream()])
        .map(Result::unwrap)
        .collect();
    for (first, second) in
        [(quotas.address(nth(100)), quotas.address(nth(101))), (quotas.holder("100"), quotas.holder("101"))]
    {
        let permit = first.stream().expect("nobody is refused outright");
        let refused = second.stream().expect_err("they share it");
        assert!(refused.shared && refused.to_string().contains("shared by all"), "{refused}");
        first.publish(1, 0).unwrap();
        assert!(second.publish(1, 0).unwrap_err().shared);
        drop(permit);
    }
    for n in 0..10_000 {
        let _ = (quotas.address(nth(n)), quotas.holder(&format!("{n}")));
    }
    sweep(&quotas);
    assert_eq!((quotas.addresses(), quotas.holders()), (100, 100));
    assert!(!quotas.address(nth(7)).stream().unwrap_err().shared, "who is known keeps its own");
    drop(permits);
    sweep(&quotas);
    assert_eq!((quotas.addresses(), quotas.holders()), (0, 0), "all of them have as few events");
    let (own, other) = (quotas.address(nth(100)).stream(), quotas.address(nth(101)).stream());
    assert!(own.is_ok() && other.is_ok(), "there is room again");
}

#[tokio::test(start_paused = true)]
async fn idle_holders_keep_their_totals_while_there_is_room_and_the_busiest_keep_them_longest() {
    let quotas = Quotas::with_capacity(&QuotaConfig::default(), 1, 100);
    for n in 0..100_u32 {
        quotas.holder(&format!("{n}")).publish(n, 0).unwrap();
        sweep(&quotas);
        assert!(quotas.holders() <= 50);
    }
    let names = |count| quotas.busiest(count).iter().map(|used| used.holder.to_string()).collect::<Vec<_>>();
    assert_eq!(names(3), ["99", "98", "97"]);
    assert_eq!(names(1000).len(), 50);
    let permits: Vec<StreamPermit> = (0..90).map(|n| quotas.holder(&format!("open/{n}")).stream().unwrap()).collect();
    sweep(&quotas);
    let open = quotas.busiest(1000).iter().filter(|used| used.streams == 1).count();
    assert!(open >= 50 && quotas.holders() == open, "only the idle ones made room: {open}");
    drop(permits);
}

#[tokio::test(start_paused = true)]
async fn the_busiest_holders_are_ordered_by_events_then_by_streams() {
    let quotas = Quotas::new(&QuotaConfig::default());
    for n in 0..100 {
        quotas.holder(&format!("h{n:02}")).publish(1, 1).unwrap();
    }
    quotas.holder("h50").publish(1, 7).unwrap();
    let _permits = [quotas.holder("h20").stream().unwrap(), quotas.holder("h20").stream().unwrap()];
    let _permit = quotas.holder("h30").stream().unwrap();
    let busiest = quotas.busiest(20);
    let names: Vec<&str> = busiest.iter().map(|used| &*used.holder).collect();
    assert_eq!((names.len(), &names[..3]), (20, &["h50", "h20", "h30"][..]));
    assert!(names[3..].is_sorted());
    assert_eq!((busiest[0].events, busiest[0].bytes, busiest[1].streams), (2, 8, 2));
}

#[test]
fn a_thousand_threads_leave_nothing_open_and_never_have_too_much() {
    const LIMIT: u64 = 30;
    let few = QuotaLimits { connections: Some(LIMIT), streams: Some(LIMIT), ..QuotaLimits::default() };
    let quotas = Quotas::new(&QuotaConfig { address: few.clone(), holder: few });
    thread::scope(|scope| {
        for n in 0..1000_u32 {
            let quotas = &quotas;
            scope.spawn(move || {
                let (address, holder) = (quotas.address(nth(n % 2)), quotas.holder(["a", "b"][n as usize % 2]));
                for _ in 0..10 {
                    let permits = (address.connect(), address.stream(), holder.stream());
                    assert!(address.connections() <= LIMIT && address.streams() <= LIMIT && holder.streams() <= LIMIT);
                    thread::yield_now();
                    drop(permits);
                }
            });
        }
    });
    for n in 0..2_u32 {
        let (address, holder) = (quotas.address(nth(n)), quotas.holder(["a", "b"][n as usize]));
        assert_eq!((address.connections(), address.streams(), holder.streams()), (0, 0, 0));
    }
    assert_eq!(quotas.addresses(), 2);
    sweep(&quotas);
    assert_eq!(quotas.addresses(), 0);
}

#[test]
fn an_account_takes_the_memory_that_the_bounds_assume() {
    // With the two counts of its Arc: one of jemalloc's class of 160 bytes.
    assert!(size_of::<Account>() + 16 <= 160, "{}", size_of::<Account>());
    assert!(size_of::<(IpAddr, Arc<Account>)>() <= 32);
}

proptest! {
    /// Two accounts, random limits, random publishes: the same decisions and counts as a simple model of two buckets
    /// each.
    #[test]
    fn nothing_is_permitted_beyond_any_limit(
        limits in prop::array::uniform4(prop::option::of(1_u32..50)),
        steps in prop::collection::vec((0_u64..400, 0_u32..60, 0_u64..60), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async move {
            let rates = |events: Option<u32>, bytes: Option<u32>| QuotaLimits {
                events: events.and_then(some), bytes: bytes.and_then(some), ..QuotaLimits::default()
            };
            let quotas = Quotas::new(&QuotaConfig { address: rates(limits[0], limits[1]), holder: rates(limits[2], limits[3]) });
            let (address, holder) = (quotas.address(nth(0)), quotas.holder("a"));
            // What each may still take, in thousandths; one that owes is below 0.
            let mut there = limits.map(|limit| limit.map(|limit| i64::from(limit) * 1000));
            let mut sums = (0, 0);
            for (pause, events, bytes) in steps {
                advance(Duration::from_millis(pause)).await;
                let needs = [u64::from(events), bytes, u64::from(events), bytes].map(|n| i64::try_from(n).unwrap() * 1000);
                let mut fits = true;
                for (limit, (there, needs)) in limits.iter().zip(there.iter_mut().zip(needs)) {
                    let (Some(limit), Some(there)) = (limit, there) else { continue };
                    let full = i64::from(*limit) * 1000;
                    *there = full.min(*there + i64::from(*limit) * i64::try_from(pause).unwrap());
                    fits &= *there >= needs.min(full);
                }
                assert_eq!(address.publish_for(&holder, events, bytes).is_ok(), fits, "{there:?} {needs:?}");
                if fits {
                    sums = (sums.0 + u64::from(events), sums.1 + bytes);
                    for (there, needs) in there.iter_mut().zip(needs) {
                        if let Some(there) = there {
                            *there -= needs;
                        }
                    }
                }
                assert_eq!((address.events(), holder.bytes()), sums);
            }
        });
    }
}
