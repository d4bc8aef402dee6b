//! The queue of one feed: so many messages, and the newest that did not fit beside them, so that a
//! receiver that was stuck ends with what is true.
//!
//! Who waits sleeps: channels that spin before they sleep would cost more than most feeds do.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

#[derive(Debug)]
struct Inner<T> {
    messages: VecDeque<T>,
    newest: Option<T>,
    /// No more comes.
    closed: bool,
    /// Nobody takes anything any more.
    ended: bool,
}

#[derive(Debug)]
struct Queue<T> {
    inner: Mutex<Inner<T>>,
    capacity: usize,
    /// A message came, or the queue was closed.
    came: Condvar,
    /// A message was taken, or nobody takes any more.
    taken: Condvar,
}

impl<T> Queue<T> {
    fn inner(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Both ends of a queue.
pub(super) fn queue<T>(capacity: usize) -> (Giver<T>, Taker<T>) {
    let queue = Arc::new(Queue {
        inner: Mutex::new(Inner {
            messages: VecDeque::with_capacity(capacity),
            newest: None,
            closed: false,
            ended: false,
        }),
        capacity,
        came: Condvar::new(),
        taken: Condvar::new(),
    });
    (Giver(Arc::clone(&queue)), Taker(queue))
}

/// What became of a message that was given.
#[derive(Debug, PartialEq)]
pub(super) struct Given<T> {
    /// It is in the queue. Otherwise it waits beside it as the newest, or nobody takes anything any
    /// more.
    pub(super) queued: bool,
    /// This one is not delivered.
    pub(super) passed_over: Option<T>,
}

/// The end that messages are given to; when it is dropped, no more comes.
#[derive(Debug)]
pub(super) struct Giver<T>(Arc<Queue<T>>);

impl<T> Giver<T> {
    /// Never waits.
    pub(super) fn give(&self, message: T) -> Given<T> {
        self.add(self.0.inner(), message)
    }

    /// Waits up to `timeout` for room.
    pub(super) fn give_waiting(&self, message: T, timeout: Duration) -> Given<T> {
        let full = |inner: &mut Inner<T>| !inner.ended && inner.messages.len() >= self.0.capacity;
        let inner = self.0.inner();
        let waited = self.0.taken.wait_timeout_while(inner, timeout, full);
        let (inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
        self.add(inner, message)
    }

    fn add(&self, mut inner: MutexGuard<'_, Inner<T>>, message: T) -> Given<T> {
        let (queued, passed_over) = if inner.ended {
            (false, Some(message))
        } else if inner.messages.len() < self.0.capacity {
            inner.messages.push_back(message);
            // It is older.
            (true, inner.newest.take())
        } else {
            (false, inner.newest.replace(message))
        };
        drop(inner);
        self.0.came.notify_one();
        Given {
            queued,
            passed_over,
        }
    }
}

impl<T> Drop for Giver<T> {
    fn drop(&mut self) {
        self.0.inner().closed = true;
        self.0.came.notify_one();
    }
}

/// Why there is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nothing {
    /// None came in time.
    Yet,
    /// None comes any more.
    More,
}

/// The end that messages are taken from; when it is dropped, nobody takes any more.
#[derive(Debug)]
pub(super) struct Taker<T>(Arc<Queue<T>>);

impl<T> Taker<T> {
    /// The oldest message, waited for until `deadline`, or for as long as it takes.
    pub(super) fn take(&self, deadline: Option<Instant>) -> Result<T, Nothing> {
        let mut inner = self.0.inner();
        loop {
            if let Some(message) = inner.messages.pop_front() {
                drop(inner);
                self.0.taken.notify_one();
                return Ok(message);
            }
            if let Some(message) = inner.newest.take() {
                return Ok(message);
            }
            if inner.closed {
                return Err(Nothing::More);
            }
            inner = match deadline {
                None => {
                    let woken = self.0.came.wait(inner);
                    woken.unwrap_or_else(PoisonError::into_inner)
                }
                Some(at) => {
                    let left = at.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(Nothing::Yet);
                    }
                    let woken = self.0.came.wait_timeout(inner, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl<T> Drop for Taker<T> {
    fn drop(&mut self) {
        self.0.inner().ended = true;
        self.0.taken.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_in_order_and_the_newest_that_did_not_fit_comes_last() {
        let (giver, taker) = queue(2);
        let given: Vec<_> = (1..=5).map(|n| giver.give(n)).collect();
        let passed_over: Vec<_> = given.iter().filter_map(|given| given.passed_over).collect();
        assert_eq!(passed_over, [3, 4]);
        let queued: Vec<_> = given.iter().map(|given| given.queued).collect();
        assert_eq!(queued, [true, true, false, false, false]);
        drop(giver);
        let taken: Vec<_> = std::iter::from_fn(|| taker.take(None).ok()).collect();
        assert_eq!(taken, [1, 2, 5]);
        assert_eq!(taker.take(None), Err(Nothing::More));
    }

    #[test]
    fn what_fits_later_is_newer_than_what_waited() {
        let (giver, taker) = queue(1);
        giver.give(1);
        giver.give(2);
        assert_eq!(taker.take(None), Ok(1));
        let given = giver.give(3);
        assert_eq!((given.queued, given.passed_over), (true, Some(2)));
        assert_eq!(taker.take(None), Ok(3));
        assert_eq!(taker.take(Some(Instant::now())), Err(Nothing::Yet));
    }

    #[test]
    fn who_can_wait_loses_nothing_and_waits_for_nobody_who_has_ended() {
        const FOR_EVER: Duration = Duration::from_hours(1);
        let (giver, taker) = queue(1);
        let taking = std::thread::spawn(move || {
            (0..1_000).all(|n| taker.take(None) == Ok(n)) // and ends
        });
        for n in 0..1_000 {
            assert_eq!(giver.give_waiting(n, FOR_EVER).passed_over, None);
        }
        assert!(taking.join().unwrap());
        giver.give(0);
        let given = giver.give_waiting(1, FOR_EVER);
        assert_eq!((given.queued, given.passed_over), (false, Some(1)));
    }
}
