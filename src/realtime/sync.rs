//! What the hand-offs between threads ([`super::seqlock`], [`super::ring`]) are built of.
//!
//! They name nothing else, so that `loom/` can put models of these in their place and try every
//! order in which two threads may meet.

pub(super) use std::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence},
};

use ringbuf::traits::Split;
pub(super) use ringbuf::traits::{Consumer, Observer, Producer};

/// The writing end of a bounded queue.
pub(super) type Producing<T> = ringbuf::HeapProd<T>;

/// The reading end of it.
pub(super) type Consuming<T> = ringbuf::HeapCons<T>;

/// A queue for `capacity` items from one thread to another.
pub(super) fn queue<T>(capacity: usize) -> (Producing<T>, Consuming<T>) {
    ringbuf::HeapRb::new(capacity).split()
}
