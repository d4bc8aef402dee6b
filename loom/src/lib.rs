//! Models of the hand-offs between threads (`src/realtime/seqlock.rs` and `src/realtime/ring.rs`):
//! the product's own files, with atomics that loom watches in the place of the machine's. It runs
//! them in every order in which two threads may meet, and with every value that a weak memory may
//! show.
//!
//! `scripts/loom.sh` runs them. Without `--cfg loom` this crate is empty.

#[cfg(all(loom, test))]
mod models;
#[cfg(all(loom, test))]
#[path = "../../src/realtime/ring.rs"]
#[allow(dead_code, reason = "models use the part that is shared")]
mod ring;
#[cfg(all(loom, test))]
#[path = "../../src/realtime/seqlock.rs"]
#[allow(dead_code, reason = "models use the part that is shared")]
mod seqlock;
#[cfg(all(loom, test))]
mod sync;
