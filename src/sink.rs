//! Where readouts go: one file per feed, each behind a bounded queue.
