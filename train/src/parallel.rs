//! Work spread over threads, with results that do not depend on how many there are.

use rayon::{ThreadPool, ThreadPoolBuilder, prelude::*};

/// How many threads to use when nothing was said: one for each core.
pub fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// So many threads: what rayon spreads over threads within its `install` uses these.
///
/// # Panics
/// When the system gives no threads.
pub fn pool(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new()
        .num_threads(threads.max(1))
        .build()
        .expect("the system gives threads")
}

/// `work(0), work(1), ... work(n - 1)`, in that order, whoever computed them.
///
/// # Panics
/// When `work` does.
pub fn map<T: Send>(n: usize, threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    pool(threads.min(n)).install(|| (0..n).into_par_iter().map(&work).collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn order_is_kept() {
        for threads in [1, 2, 7] {
            assert_eq!(
                super::map(100, threads, |i| i * i),
                (0..100).map(|i| i * i).collect::<Vec<_>>()
            );
        }
        assert!(super::map(0, 2, |i| i).is_empty());
    }
}
