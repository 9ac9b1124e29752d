//! The limit on open files (`RLIMIT_NOFILE`): each connection takes a descriptor, and so does each file of the store.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Descriptors reserved for other uses than connections: the store's segments (up to 16 open at a time, with four files
/// each at most, and those being copied or verified), files read at a reload, and fetches of issuers' keys.
const RESERVED: u64 = 128;

/// Descriptors of a core besides connections and listeners: its event queue and wakers (three), and a reserve of four.
const PER_CORE: u64 = 7;

/// Connections accepted beyond the limit, only to be refused with a response: an eighth of those that fit, and at most
/// this many.
const OVERFLOW: u64 = 256;

/// A hub does not start with fewer connections than this.
const MIN_CONNECTIONS: u64 = 16;

/// The number of connections that fit below the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections served at most.
    pub connections: usize,
    /// Connections beyond those, accepted only to be refused with a response.
    pub overflow: usize,
}

/// The limit is too low for any connection.
#[derive(Debug, thiserror::Error)]
#[error(
    "the limit on open files is {limit}, and the hub needs {needed}; raise it (ulimit -n, or LimitNOFILE= of systemd)"
)]
pub struct LimitTooLow {
    limit: u64,
    needed: u64,
}

/// Raises the limit as far as needed and allowed for `connections` of a hub with `cores` cores and `listeners`
/// listening sockets in all. Returns how many connections fit.
///
/// # Errors
/// When fewer than 16 fit.
pub fn for_hub(connections: usize, cores: usize, listeners: usize) -> Result<ConnectionLimits, LimitTooLow> {
    let reserved = reserved(cores, listeners);
    let needed = reserved + connections as u64 + OVERFLOW;
    fit(raise(needed).unwrap_or(needed), connections, reserved)
}

/// Raises the limit as far as needed and allowed for `connections` of a client. Returns `None` when all of them fit,
/// else how many do.
#[must_use]
pub fn raise_limit(connections: usize) -> Option<usize> {
    let needed = RESERVED + connections as u64;
    let soft = raise(needed)?;
    (soft < needed).then(|| usize::try_from(soft.saturating_sub(RESERVED)).unwrap_or(usize::MAX))
}

/// Raises the soft limit to `needed`, or to the hard limit if that is lower, and returns the soft limit then; `None` is
/// no limit. The soft limit is often 1024 for the sake of programs that use `select(2)`.
fn raise(needed: u64) -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|soft| soft < needed) {
        limit.current = Some(limit.maximum.map_or(needed, |hard| hard.min(needed)));
        // On failure the limit, which is read back below, is unchanged.
        let _refused = setrlimit(Resource::Nofile, limit);
    }
    getrlimit(Resource::Nofile).current
}

/// The connections that fit below `limit` when `reserved` descriptors are in other use.
fn fit(limit: u64, connections: usize, reserved: u64) -> Result<ConnectionLimits, LimitTooLow> {
    let left = limit.saturating_sub(reserved);
    if left < MIN_CONNECTIONS {
        return Err(LimitTooLow { limit, needed: reserved + MIN_CONNECTIONS });
    }
    let overflow = (left / 8).min(OVERFLOW);
    let connections = (connections as u64).min(left - overflow);
    let size = |count| usize::try_from(count).unwrap_or(usize::MAX);
    Ok(ConnectionLimits { connections: size(connections), overflow: size(overflow) })
}

fn reserved(cores: usize, listeners: usize) -> u64 {
    RESERVED + PER_CORE * cores as u64 + listeners as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_the_files_of_the_store() {
        for (limit, cores) in [(256, 1), (256, 2), (1024, 4), (20_000, 64), (1 << 20, 1)] {
            let reserved = reserved(cores, cores);
            let ConnectionLimits { connections, overflow } = fit(limit, 16_000, reserved).expect("there is room");
            assert!((connections + overflow) as u64 + reserved <= limit, "{limit}");
            assert!(connections >= 64 && overflow > 0, "{limit}: {connections} {overflow}");
        }
        assert_eq!(
            fit(20_000, 16_000, reserved(2, 2)).expect("there is room").connections,
            16_000,
            "all that were asked for"
        );
        assert_eq!(fit(1 << 20, 3, reserved(2, 2)).expect("there is room").connections, 3);
        assert_eq!(fit(1024, 16_000, reserved(2, 2)).expect("there is room").connections, 770, "as in OPERATIONS");
    }

    #[test]
    fn each_listener_takes_a_descriptor_from_the_connections() {
        let fits = |listeners| {
            let ConnectionLimits { connections, overflow } = fit(1024, 16_000, reserved(4, listeners)).expect("room");
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
                let fits = fit(limit, connections, reserved(cores, cores)).expect("there is room");
                assert_eq!(fits.connections, connections, "{cores}");
            }
        }
    }

    #[test]
    fn the_limit_that_an_error_asks_for_lets_a_hub_start() {
        let refused = fit(0, 100, reserved(3, 5)).expect_err("no room");
        assert!(
            fit(refused.needed, 100, reserved(3, 5)).is_ok() && fit(refused.needed - 1, 100, reserved(3, 5)).is_err()
        );
    }

    #[test]
    fn a_limit_that_leaves_no_room_is_an_error_that_says_what_to_raise() {
        let error = fit(128, 100, reserved(1, 1)).expect_err("no room").to_string();
        assert!(error.contains("128") && error.contains("ulimit -n"), "{error}");
    }

    #[test]
    fn the_soft_limit_is_raised_as_far_as_the_hard_one_allows() {
        let hard = getrlimit(Resource::Nofile).maximum.and_then(|hard| usize::try_from(hard).ok());
        assert_eq!((for_hub(1, 1, 1).expect("there is room").connections, raise_limit(1)), (1, None));
        if let Some(hard) = hard {
            assert!(for_hub(hard, 1, 1).expect("there is room").connections < hard);
            assert!(raise_limit(hard).expect("more than the hard limit") < hard);
        }
    }
}
