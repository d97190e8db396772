//! The messages of a batch: which of them are left, and what deletes the others.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::Received;

/// A message's id, and what deletes it.
pub(crate) type Message = (String, Option<String>);

/// The messages of a batch. Whatever is done with some of them takes them out as soon as it is: a batch that
/// is cut off then names nothing that would be done twice.
pub(crate) struct Messages(Mutex<State>);

struct State {
    /// The ids of those that the queue is to hand out again.
    left: BTreeSet<String>,
    /// What deletes those that have been done with since it was last asked for.
    receipts: Vec<String>,
}

impl Messages {
    /// Those of these jobs: all are left.
    pub(crate) fn of(received: &[Received]) -> Self {
        let ids = received.iter().map(|received| received.message_id.clone());
        Self(Mutex::new(State {
            left: ids.collect(),
            receipts: Vec::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked meanwhile has left a message that comes again.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out what is done with: these, but for those that have failed.
    pub(crate) fn take_out(&self, messages: Vec<Message>, failed: &[String]) {
        let mut state = self.state();
        for (id, receipt) in messages {
            if !failed.contains(&id) {
                state.left.remove(&id);
                state.receipts.extend(receipt);
            }
        }
    }

    /// What deletes those that have been taken out since this was last asked for.
    pub(crate) fn receipts(&self) -> Vec<String> {
        std::mem::take(&mut self.state().receipts)
    }

    /// The ids of those that the queue is to hand out again.
    pub(crate) fn left(&self) -> BTreeSet<String> {
        self.state().left.clone()
    }
}
