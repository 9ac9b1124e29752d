//! What to do about a hub's error response.

pub(super) use gapless_client::HubProblem;

/// What to do on the side of the command line.
pub(super) fn hint_of(problem: &HubProblem) -> &'static str {
    problem.status().map_or("", hint)
}

/// What to do after a refusal with `status` that is about the token; else empty.
pub(super) fn hint(status: u16) -> &'static str {
    match status {
        401 => "; give a token with --token-file or GAPLESS_TOKEN; `gapless token --explain -` shows what it permits",
        403 => "; `gapless token --explain -` shows what a token permits",
        _ => "",
    }
}
