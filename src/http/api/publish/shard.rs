//! What the publishes of one core share.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use http::request::Parts;

use super::{
    decode::{interner::TopicInterner, options::PublishOptions},
    receipt::{RECEIPT_BYTES, ReceiptWriter},
    state::PublishState,
};
use crate::{
    http::message::problem::Problem,
    hub::{Acknowledgment, publisher::Publisher},
};

/// What the publishes of one core share. It has no locks: a connection stays on its core.
pub struct PublishShard {
    /// Publishes the events. One task of the core must run it.
    pub publisher: Rc<Publisher>,
    interner: RefCell<TopicInterner>,
    receipts: RefCell<ReceiptWriter>,
}

impl PublishShard {
    /// The state of a core before its first publish.
    #[must_use]
    pub fn new(state: &PublishState) -> Self {
        Self {
            publisher: Rc::new(Publisher::new(Arc::clone(&state.hub), state.limits)),
            interner: RefCell::default(),
            receipts: RefCell::default(),
        }
    }

    /// Parses the options of a request.
    pub(super) fn options(&self, head: &Parts) -> Result<PublishOptions, Problem> {
        PublishOptions::new(head, &mut self.interner.borrow_mut())
    }

    /// A receipt as JSON.
    pub(super) fn receipt(&self, acknowledgment: &Acknowledgment) -> Vec<u8> {
        let mut json = Vec::with_capacity(RECEIPT_BYTES);
        self.receipts.borrow_mut().write(&mut json, acknowledgment);
        json
    }
}
