//! What the engine's thread is told, and who takes jobs from the queue.

use parking_lot::{Condvar, Mutex};

use super::feed::Write;

/// What the engine's thread is to do.
pub(super) enum RoleCommand {
    /// Apply a write of another hub.
    Apply(Write),
    /// Lead: this hub's leader record is at this position, and is the stream's newest.
    Lead { term: u64 },
    /// End.
    Close,
}

/// Who takes jobs from the queue: a hub that follows forwards them, a hub that leads executes them.
#[derive(Default)]
pub(super) struct RoleGate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    leads: bool,
    closed: bool,
    /// Whoever forwards waits.
    parked: bool,
}

impl RoleGate {
    /// Waits while this hub leads. `false` when the engine is closed.
    pub(super) fn wait_to_follow(&self) -> bool {
        let mut state = self.state.lock();
        state.parked = true;
        self.changed.notify_all();
        while state.leads && !state.closed {
            self.changed.wait(&mut state);
        }
        state.parked = false;
        !state.closed
    }

    /// From now on this hub leads, or follows. Before it leads, it waits until nobody takes jobs any more.
    pub(super) fn set_leads(&self, leads: bool) {
        let mut state = self.state.lock();
        state.leads = leads;
        self.changed.notify_all();
        while leads && !state.parked && !state.closed {
            self.changed.wait(&mut state);
        }
    }

    /// Takes no jobs from now on.
    pub(super) fn park(&self) {
        self.state.lock().parked = true;
        self.changed.notify_all();
    }

    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }
}
