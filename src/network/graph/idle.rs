//! What runs of a plan leave behind, shared by all streams.

use std::{
    sync::{Mutex, PoisonError},
    thread,
};

/// States of plans that nobody runs at present. A stream runs its networks for milliseconds out of
/// seconds; it takes what another one left, so that what a run needs to remember nothing costs
/// memory per processor instead of per stream.
#[derive(Debug)]
pub(super) struct Idle<T> {
    states: Mutex<Vec<T>>,
    /// More than can run at the same time are not kept.
    most: usize,
}

impl<T> Default for Idle<T> {
    fn default() -> Self {
        let most = thread::available_parallelism().map_or(4, usize::from);
        Self {
            // Nothing grows later.
            states: Mutex::new(Vec::with_capacity(most)),
            most,
        }
    }
}

impl<T> Idle<T> {
    /// One that was left.
    pub(super) fn take(&self) -> Option<T> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.pop()
    }

    /// Leaves `state` to whoever runs next.
    pub(super) fn leave(&self, state: T) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        if states.len() < self.most {
            states.push(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_kept_as_can_run() {
        let idle = Idle::default();
        assert_eq!(idle.take(), None);
        for state in 0..2 * idle.most {
            idle.leave(state);
        }
        let kept = std::iter::from_fn(|| idle.take()).count();
        assert_eq!(kept, idle.most);
    }
}
