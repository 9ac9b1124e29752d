//! The limit on open files: every connection is one, and so is every file of the store.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Files kept for what is not a connection: the store's segments (up to 16 open at a time, with four files each at most, and
/// those that are being copied or looked at), files that are read at a reload, issuers' keys that are fetched.
const KEPT: u64 = 128;

/// What each core has open besides its connections and listeners: its event queue and what wakes it (three), and some to spare.
const A_CORE: u64 = 7;

/// Connections beyond the limit, only to be told to come back: an eighth of what there is, and at most this.
const OVERFLOW: u64 = 256;

/// With fewer connections than this a hub is no use.
const LEAST: u64 = 16;

/// How many connections fit below the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Served at most.
    pub connections: usize,
    /// Beyond those, only to be told to come back.
    pub overflow: usize,
}

/// The limit is too low for any connection.
#[derive(Debug, thiserror::Error)]
#[error(
    "the limit on open files is {limit}, and the hub needs {needed}; raise it (ulimit -n, or LimitNOFILE= of systemd)"
)]
pub struct TooFew {
    limit: u64,
    needed: u64,
}

/// Room for `connections` of a hub on so many cores, which have so many listeners together: as many as fit.
///
/// # Errors
/// When next to none fit.
pub fn for_hub(connections: usize, cores: usize, listeners: usize) -> Result<ConnectionLimits, TooFew> {
    let kept = kept(cores, listeners);
    let needed = kept + connections as u64 + OVERFLOW;
    below(raise(needed).unwrap_or(needed), connections, kept)
}

/// Room for `connections` of a client. Answers with how many fit, and with `None` when all of them do.
#[must_use]
pub fn make_room(connections: usize) -> Option<usize> {
    let needed = KEPT + connections as u64;
    let soft = raise(needed)?;
    (soft < needed).then(|| usize::try_from(soft.saturating_sub(KEPT)).unwrap_or(usize::MAX))
}

/// Raises the soft limit to the hard one, as far as is needed, and answers with what it is then. It is often 1024 for the sake of
/// programs that use `select(2)`.
fn raise(needed: u64) -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|soft| soft < needed) {
        limit.current = Some(limit.maximum.map_or(needed, |hard| hard.min(needed)));
        // A refusal leaves the limit that is read back below.
        let _refused = setrlimit(Resource::Nofile, limit);
    }
    getrlimit(Resource::Nofile).current
}

/// What fits below `limit`, of which so many are `kept`.
fn below(limit: u64, connections: usize, kept: u64) -> Result<ConnectionLimits, TooFew> {
    let left = limit.saturating_sub(kept);
    if left < LEAST {
        return Err(TooFew { limit, needed: kept + LEAST });
    }
    let overflow = (left / 8).min(OVERFLOW);
    let connections = (connections as u64).min(left - overflow);
    let size = |count| usize::try_from(count).unwrap_or(usize::MAX);
    Ok(ConnectionLimits { connections: size(connections), overflow: size(overflow) })
}

fn kept(cores: usize, listeners: usize) -> u64 {
    KEPT + A_CORE * cores as u64 + listeners as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_the_files_of_the_store() {
        for (limit, cores) in [(256, 1), (256, 2), (1024, 4), (20_000, 64), (1 << 20, 1)] {
            let kept = kept(cores, cores);
            let ConnectionLimits { connections, overflow } = below(limit, 16_000, kept).expect("there is room");
            assert!((connections + overflow) as u64 + kept <= limit, "{limit}");
            assert!(connections >= 64 && overflow > 0, "{limit}: {connections} {overflow}");
        }
        assert_eq!(
            below(20_000, 16_000, kept(2, 2)).expect("there is room").connections,
            16_000,
            "all that were asked for"
        );
        assert_eq!(below(1 << 20, 3, kept(2, 2)).expect("there is room").connections, 3);
        assert_eq!(below(1024, 16_000, kept(2, 2)).expect("there is room").connections, 770, "as in OPERATIONS");
    }

    #[test]
    fn each_listener_is_a_descriptor_that_no_connection_has() {
        let fits = |listeners| {
            let ConnectionLimits { connections, overflow } = below(1024, 16_000, kept(4, listeners)).expect("room");
            connections + overflow
        };
        assert_eq!(fits(4) - fits(40), 36);
    }

    #[test]
    fn the_limit_that_the_documents_name_is_enough_for_any_number_of_connections() {
        for connections in (1..4000).chain([16_000, 100_000]) {
            for cores in [1, 64] {
                // docs/SCALING.md, "Descriptors and ports".
                let limit = (connections + 384 + 8 * cores) as u64;
                let fits = below(limit, connections, kept(cores, cores)).expect("there is room");
                assert_eq!(fits.connections, connections, "{cores}");
            }
        }
    }

    #[test]
    fn the_limit_that_an_error_asks_for_lets_a_hub_start() {
        let refused = below(0, 100, kept(3, 5)).expect_err("no room");
        assert!(below(refused.needed, 100, kept(3, 5)).is_ok() && below(refused.needed - 1, 100, kept(3, 5)).is_err());
    }

    #[test]
    fn a_limit_that_leaves_no_room_is_an_error_that_says_what_to_raise() {
        let error = below(128, 100, kept(1, 1)).expect_err("no room").to_string();
        assert!(error.contains("128") && error.contains("ulimit -n"), "{error}");
    }

    #[test]
    fn the_soft_limit_is_raised_as_far_as_the_hard_one_allows() {
        let hard = getrlimit(Resource::Nofile).maximum.and_then(|hard| usize::try_from(hard).ok());
        assert_eq!((for_hub(1, 1, 1).expect("there is room").connections, make_room(1)), (1, None));
        if let Some(hard) = hard {
            assert!(for_hub(hard, 1, 1).expect("there is room").connections < hard);
            assert!(make_room(hard).expect("more than the hard limit") < hard);
        }
    }
}
