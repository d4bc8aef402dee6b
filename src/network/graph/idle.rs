//! What runs of a plan leave behind, shared by all streams.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

/// States of plans that nobody runs at present. A stream runs its networks for milliseconds out of
/// seconds; it takes what another one left, so that what a run needs, and forgets, costs memory per
/// processor instead of per stream. Who finds all processors busy waits for its turn.
#[derive(Debug)]
pub(super) struct Idle<T> {
    inner: Mutex<Inner<T>>,
    /// A turn is over.
    over: Condvar,
    /// Turns at the same time, at most.
    most: usize,
}

#[derive(Debug)]
struct Inner<T> {
    states: Vec<T>,
    running: usize,
}

/// The right to run one state.
#[derive(Debug)]
pub(super) struct Turn<'a, T> {
    idle: &'a Idle<T>,
}

impl<T> Default for Idle<T> {
    fn default() -> Self {
        let most = thread::available_parallelism().map_or(4, usize::from);
        // Nothing grows later.
        let (states, running) = (Vec::with_capacity(most), 0);
        Self {
            inner: Mutex::new(Inner { states, running }),
            over: Condvar::new(),
            most,
        }
    }
}

impl<T> Idle<T> {
    fn inner(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn; and a state that was left, where there is one.
    pub(super) fn take(&self) -> (Turn<'_, T>, Option<T>) {
        let busy = |inner: &mut Inner<T>| inner.running >= self.most;
        let mut inner = self
            .over
            .wait_while(self.inner(), busy)
            .unwrap_or_else(PoisonError::into_inner);
        inner.running += 1;
        (Turn { idle: self }, inner.states.pop())
    }
}

impl<T> Turn<'_, T> {
    /// Leaves `state` to whoever runs next. One that failed is not left.
    pub(super) fn leave(self, state: T) {
        self.idle.inner().states.push(state);
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        self.idle.inner().running -= 1;
        self.idle.over.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn no_more_run_than_there_are_processors_and_what_they_leave_is_used_again() {
        let idle = Idle::default();
        let (running, made) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..4 * idle.most {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let (turn, left) = idle.take();
                        let state = left.unwrap_or_else(|| made.fetch_add(1, Ordering::Relaxed));
                        let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                        assert!(now <= idle.most);
                        thread::yield_now();
                        running.fetch_sub(1, Ordering::SeqCst);
                        turn.leave(state);
                    }
                });
            }
        });
        let inner = idle.inner();
        assert_eq!(inner.running, 0);
        assert!(inner.states.len() <= idle.most);
        assert_eq!(inner.states.len(), made.into_inner(), "none is lost");
    }

    #[test]
    fn a_state_that_failed_is_gone_and_its_turn_is_over() {
        let idle = Idle::default();
        for _ in 0..2 * idle.most {
            let (turn, left) = idle.take();
            assert_eq!(left, None::<usize>);
            drop(turn);
        }
    }
}
