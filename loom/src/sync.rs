//! As `src/realtime/sync.rs`, with atomics that loom watches.
#![allow(
    unsafe_code,
    reason = "ringbuf asks for it where a queue's indices are not its own"
)]

use std::{mem::MaybeUninit, num::NonZeroUsize, sync::Arc};

use loom::sync::atomic::AtomicUsize;
pub(super) use loom::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence},
};
pub(super) use ringbuf::traits::{Consumer, Observer, Producer};
use ringbuf::{
    CachingCons, CachingProd, HeapRb,
    traits::{Raw, RingBuffer},
};

pub(super) type Producing<T> = CachingProd<Arc<Modelled<T>>>;
pub(super) type Consuming<T> = CachingCons<Arc<Modelled<T>>>;

pub(super) fn queue<T>(capacity: usize) -> (Producing<T>, Consuming<T>) {
    let queue = Arc::new(Modelled {
        storage: HeapRb::new(capacity),
        read: AtomicUsize::new(0),
        write: AtomicUsize::new(0),
    });
    (
        CachingProd::new(Arc::clone(&queue)),
        CachingCons::new(queue),
    )
}

/// ringbuf's queue, whose indices loom watches. Its ends are ringbuf's own.
pub(super) struct Modelled<T> {
    storage: HeapRb<T>,
    read: AtomicUsize,
    write: AtomicUsize,
}

impl<T> Observer for Modelled<T> {
    type Item = T;

    fn capacity(&self) -> NonZeroUsize {
        self.storage.capacity()
    }
    fn read_index(&self) -> usize {
        self.read.load(Ordering::Acquire)
    }
    fn write_index(&self) -> usize {
        self.write.load(Ordering::Acquire)
    }
    fn read_is_held(&self) -> bool {
        self.storage.read_is_held()
    }
    fn write_is_held(&self) -> bool {
        self.storage.write_is_held()
    }
}

// SAFETY: storage and ownership are those of ringbuf's own queue, which is touched in no other way;
// the indices are published as it publishes them. Items are left as they are at the end: they are
// `Copy`.
unsafe impl<T> Raw for Modelled<T> {
    unsafe fn unsafe_slices(
        &self,
        start: usize,
        end: usize,
    ) -> (&[MaybeUninit<T>], &[MaybeUninit<T>]) {
        // SAFETY: the caller promises what is asked here.
        unsafe { self.storage.unsafe_slices(start, end) }
    }
    unsafe fn unsafe_slices_mut(
        &self,
        start: usize,
        end: usize,
    ) -> (&mut [MaybeUninit<T>], &mut [MaybeUninit<T>]) {
        // SAFETY: as above.
        unsafe { self.storage.unsafe_slices_mut(start, end) }
    }
    unsafe fn set_read_index(&self, value: usize) {
        self.read.store(value, Ordering::Release);
    }
    unsafe fn set_write_index(&self, value: usize) {
        self.write.store(value, Ordering::Release);
    }
    unsafe fn hold_read(&self, flag: bool) -> bool {
        // SAFETY: as above.
        unsafe { self.storage.hold_read(flag) }
    }
    unsafe fn hold_write(&self, flag: bool) -> bool {
        // SAFETY: as above.
        unsafe { self.storage.hold_write(flag) }
    }
}

impl<T> RingBuffer for Modelled<T> {}
