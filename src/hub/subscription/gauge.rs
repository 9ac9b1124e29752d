//! The gauge in which a subscription is counted: live, replaying or lagged.

use std::sync::Arc;

use crate::hub::{
    Hub,
    stats::{Gauge, Stats},
};

/// Counts a subscription in one gauge, until it is dropped.
pub(super) struct GaugeGuard {
    hub: Arc<Hub>,
    which: fn(&Stats) -> &Gauge,
}

impl GaugeGuard {
    pub(super) fn new(hub: &Arc<Hub>, which: fn(&Stats) -> &Gauge) -> Self {
        which(&hub.stats).add(1);
        Self { hub: Arc::clone(hub), which }
    }

    pub(super) fn change(&mut self, which: fn(&Stats) -> &Gauge) {
        (self.which)(&self.hub.stats).add(-1);
        self.which = which;
        which(&self.hub.stats).add(1);
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        (self.which)(&self.hub.stats).add(-1);
    }
}
