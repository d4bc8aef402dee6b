//! The newest mel columns of a stream: at most one frame of them.

/// A rolling window of mel columns, shape `[n_columns <= n_frames, n_mels]`, oldest first.
///
/// Columns lie in one contiguous buffer of twice the window's length, so that the window is always one slice
/// and moving it costs one copy of a column, not of the window.
#[derive(Clone, Debug)]
pub struct Window {
    columns: Vec<f32>,
    n_mels: usize,
    n_frames: usize,
    start: usize,
    len: usize,
}

impl Window {
    /// An empty window of at most `n_frames` columns of `n_mels` values.
    ///
    /// # Panics
    /// When either is 0; both are checked when a model is loaded.
    pub fn new(n_mels: usize, n_frames: usize) -> Self {
        assert!(
            n_mels > 0 && n_frames > 0,
            "a window of {n_frames} columns of {n_mels} bands"
        );
        Self {
            columns: vec![0.0; 2 * n_frames * n_mels],
            n_mels,
            n_frames,
            start: 0,
            len: 0,
        }
    }

    /// Appends a column of `n_mels` values; the oldest leaves once `n_frames` are held.
    ///
    /// # Panics
    /// When the column has another length.
    pub fn push(&mut self, column: &[f32]) {
        if self.len == self.n_frames {
            self.start += 1;
            self.len -= 1;
        }
        if (self.start + self.len) * self.n_mels == self.columns.len() {
            let held = self.start * self.n_mels..;
            self.columns.copy_within(held, 0);
            self.start = 0;
        }
        let end = (self.start + self.len) * self.n_mels;
        self.columns[end..end + self.n_mels].copy_from_slice(column);
        self.len += 1;
    }

    /// The columns held, shape `[len, n_mels]`.
    pub fn as_slice(&self) -> &[f32] {
        &self.columns[self.start * self.n_mels..(self.start + self.len) * self.n_mels]
    }

    /// The newest `n_columns` columns, or all if there are fewer.
    pub fn newest(&self, n_columns: usize) -> &[f32] {
        let skip = self.len - n_columns.min(self.len);
        &self.as_slice()[skip * self.n_mels..]
    }

    /// The columns held, one by one, oldest first.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.as_slice().chunks_exact(self.n_mels)
    }

    /// Most columns it holds.
    pub fn capacity(&self) -> usize {
        self.n_frames
    }

    /// Columns held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Is no column held?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Are `n_frames` columns held?
    pub fn is_full(&self) -> bool {
        self.len == self.n_frames
    }

    /// Forgets all columns but the newest `n_columns`.
    pub fn truncate_to_newest(&mut self, n_columns: usize) {
        let drop = self.len - n_columns.min(self.len);
        self.start += drop;
        self.len -= drop;
    }

    /// Forgets all columns.
    pub fn clear(&mut self) {
        self.start = 0;
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn holds_the_newest_columns_in_order(n_frames in 1_usize..9, cuts in prop::collection::vec(0_usize..20, 0..40)) {
            let mut window = Window::new(2, n_frames);
            let mut model: Vec<f32> = Vec::new();
            for (i, &cut) in cuts.iter().enumerate() {
                let value = i as f32;
                window.push(&[value, -value]);
                model.push(value);
                if model.len() > n_frames {
                    model.remove(0);
                }
                if cut == 0 {
                    window.truncate_to_newest(1);
                    model.drain(..model.len() - 1);
                }
                let held: Vec<f32> = window.as_slice().chunks(2).map(|c| c[0]).collect();
                prop_assert_eq!(&held, &model);
                prop_assert_eq!(window.is_full(), model.len() == n_frames);
                prop_assert_eq!(window.newest(2).len(), 2 * model.len().min(2));
            }
        }
    }
}
