//! Work spread over threads, with results that do not depend on how many there are.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

/// How many threads to use when nothing was said: one for each core.
pub fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// `work(0), work(1), ... work(n - 1)`, in that order, whoever computed them.
///
/// # Panics
/// When `work` does.
pub fn map<T: Send>(n: usize, threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new((0..n).map(|_| None).collect::<Vec<Option<T>>>());
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, n.max(1)) {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= n {
                        break;
                    }
                    let result = work(i);
                    if let Ok(mut results) = results.lock() {
                        results[i] = Some(result);
                    }
                }
            });
        }
    });
    let results = results
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    results
        .into_iter()
        .map(|result| result.expect("every piece of work was done"))
        .collect()
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
