//! The limit on open files: every connection is one.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Files open besides connections: listeners, the log's segments (about 16, a few files each), pipes, room to look in.
const BESIDES: u64 = 512;

/// Raises the soft limit to the hard one, as far as `connections` need it, and answers with how many connections fit.
/// `None` when all of them do. The soft limit is often 1024 for the sake of programs that use `select(2)`.
#[must_use]
pub fn make_room(connections: usize) -> Option<usize> {
    let needed = BESIDES + connections as u64;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|soft| soft < needed) {
        limit.current = Some(limit.maximum.map_or(needed, |hard| hard.min(needed)));
        // A refusal leaves the limit that is read back below.
        let _refused = setrlimit(Resource::Nofile, limit);
    }
    let soft = getrlimit(Resource::Nofile).current?;
    (soft < needed).then(|| usize::try_from(soft.saturating_sub(BESIDES)).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_no_reason_to_warn_and_what_cannot_is_told() {
        assert_eq!(make_room(1), None);
        let hard = getrlimit(Resource::Nofile).maximum;
        if let Some(hard) = hard.and_then(|hard| usize::try_from(hard).ok()) {
            let fits = make_room(hard).expect("more than the hard limit");
            assert!(fits < hard && fits + usize::try_from(BESIDES).expect("small") <= hard);
        }
    }
}
