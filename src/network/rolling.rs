//! What can be kept of one window for the next.
//!
//! Output column `o` of a block rests on the input columns `o * pool - 1 ..= (o + 1) * pool`, where
//! those beyond the window are zero. When the window moves by a whole number of steps, a column
//! whose inputs all are kept, and existed before and after, is kept; the rest is computed again.
//! What is kept is one run of columns in the middle of each block: the edges change because zero
//! padding moves along with the window.

use std::ops::Range;

use super::{
    Model,
    architecture::cycle,
    graph::Runner,
    kernel::{Input, Output, Quantisation},
    level,
};

/// The mel columns of a window, oldest first, in a ring.
#[derive(Debug)]
pub(super) struct Columns {
    ring: Ring<f32>,
    /// Mean power of each column, for models that bring windows to one loudness.
    powers: Option<(level::Level, Ring<f32>)>,
    /// Columns pushed since the last reset.
    total: u64,
}

/// The outputs of all blocks for one window.
#[derive(Debug)]
pub(super) struct Trunk {
    /// Level 0 is the normalised input with its padding, level `i` the output of block `i`.
    levels: Vec<BlockInput>,
    window: Option<Window>,
}

/// Which columns of a stream a window holds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Window {
    start: u64,
    len: usize,
    /// What brings it to its level: columns can be kept while it is the same.
    shift: f32,
}

/// The columns of a level, as the block above reads them.
#[derive(Debug)]
enum BlockInput {
    F32(Ring<f32>),
    U8(Ring<u8>, Quantisation),
}

/// Runs an expression for the ring of a level, whatever it holds.
macro_rules! with_ring {
    ($level:expr, $ring:ident => $body:expr) => {
        match $level {
            BlockInput::F32($ring) => $body,
            BlockInput::U8($ring, _) => $body,
        }
    };
}

/// Columns of equal length in a ring.
#[derive(Debug)]
struct Ring<T> {
    values: Vec<T>,
    column: usize,
    capacity: usize,
    first: usize,
    len: usize,
}

impl<T: Copy + Default> Ring<T> {
    fn new(column: usize, capacity: usize) -> Self {
        Self {
            values: vec![T::default(); column * capacity],
            column,
            capacity,
            first: 0,
            len: 0,
        }
    }

    fn place(&self, index: usize) -> Range<usize> {
        let place = (self.first + index) % self.capacity * self.column;
        place..place + self.column
    }

    fn get(&self, index: usize) -> &[T] {
        &self.values[self.place(index)]
    }

    fn get_mut(&mut self, index: usize) -> &mut [T] {
        let place = self.place(index);
        &mut self.values[place]
    }

    /// The place of a new last column; the first leaves if there is no room.
    fn append(&mut self) -> &mut [T] {
        if self.len == self.capacity {
            self.advance(1);
        } else {
            self.len += 1;
        }
        self.get_mut(self.len - 1)
    }

    /// Drops `columns` at the front.
    fn advance(&mut self, columns: usize) {
        self.first = (self.first + columns) % self.capacity;
    }

    /// Fills `buffer` with columns from `first` on; those that do not exist are left as they are.
    fn read(&self, first: isize, buffer: &mut [T]) {
        for (offset, buffer) in buffer.chunks_exact_mut(self.column).enumerate() {
            if let Ok(index) = usize::try_from(first + offset.cast_signed())
                && index < self.len
            {
                buffer.copy_from_slice(self.get(index));
            }
        }
    }
}

impl<T: Copy + Default> Ring<T> {
    /// Fills the places after the last column with all columns again and again.
    fn repeat(&mut self) {
        let existing = self.len;
        self.len = self.capacity;
        for index in existing..self.len {
            let (from, to) = (self.place(cycle(index, existing)), self.place(index));
            self.values.copy_within(from, to.start);
        }
    }

    fn write(&mut self, first: usize, values: &[T]) {
        for (offset, values) in values.chunks_exact(self.column).enumerate() {
            self.get_mut(first + offset).copy_from_slice(values);
        }
    }

    fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.len).flat_map(|column| self.get(column))
    }
}

impl BlockInput {
    fn len(&self) -> usize {
        with_ring!(self, ring => ring.len)
    }

    /// Drops `columns` at the front and holds `len` from there on.
    fn shift(&mut self, columns: usize, len: usize) {
        with_ring!(self, ring => {
            ring.advance(columns);
            ring.len = len;
        });
    }

    /// As [`Ring::read`]. A level and what reads it are of one type, as the model says.
    fn read(&self, first: isize, buffer: Output<'_>) {
        match (self, buffer) {
            (Self::F32(ring), Output::F32(buffer)) => ring.read(first, buffer),
            (Self::U8(ring, _), Output::U8(buffer)) => ring.read(first, buffer),
            _ => {}
        }
    }

    /// Replaces columns from `first` on.
    fn write(&mut self, first: usize, values: Input<'_>) {
        match (self, values) {
            (Self::F32(ring), Input::F32(values)) => ring.write(first, values),
            (Self::U8(ring, _), Input::U8(values)) => ring.write(first, values),
            _ => {}
        }
    }
}

/// As [`Trunk::gather`], of the values of one column.
fn gather<T: Copy>(
    column: &[T],
    sums: &mut [f32],
    maxima: &mut [f32],
    value: impl Fn(T) -> f32,
) -> usize {
    let rows = column.chunks_exact(sums.len());
    let n = rows.len();
    for row in rows {
        for ((&cell, sum), max) in row.iter().zip(&mut *sums).zip(&mut *maxima) {
            let cell = value(cell);
            *sum += cell;
            *max = max.max(cell);
        }
    }
    n
}

impl Columns {
    pub(super) fn new(model: &Model) -> Self {
        let frame = model.n_frames();
        let level = model.card().architecture.normalisation.level;
        Self {
            ring: Ring::new(model.front_end().n_mels, frame),
            powers: level.map(|level| (level, Ring::new(1, frame))),
            total: 0,
        }
    }

    pub(super) fn push(&mut self, column: &[f32], clean: impl Fn(f32) -> f32) {
        let place = self.ring.append();
        for (to, &from) in place.iter_mut().zip(column) {
            *to = clean(from);
        }
        if let Some((_, powers)) = &mut self.powers {
            powers.append()[0] = level::power(place);
        }
        self.total += 1;
    }

    pub(super) fn len(&self) -> usize {
        self.ring.len
    }

    /// Mel column `index`, 0 being the oldest.
    pub(super) fn get(&self, index: usize) -> &[f32] {
        self.ring.get(index)
    }

    pub(super) fn clear(&mut self) {
        self.ring.len = 0;
        if let Some((_, powers)) = &mut self.powers {
            powers.len = 0;
        }
        self.total = 0;
    }

    /// Forgets all but the newest columns: the window begins with them.
    pub(super) fn keep_newest(&mut self, columns: usize) {
        let kept = columns.min(self.ring.len);
        self.ring.advance(self.ring.len - kept);
        self.ring.len = kept;
        if let Some((_, powers)) = &mut self.powers {
            powers.advance(powers.len - kept);
            powers.len = kept;
        }
        self.total = kept as u64;
    }

    fn window(&self) -> Window {
        Window {
            start: self.total - self.ring.len as u64,
            len: self.ring.len,
            shift: self.powers.as_ref().map_or(0.0, |(level, powers)| {
                level.shift(level::mean(powers.iter().copied()))
            }),
        }
    }
}

impl Trunk {
    pub(super) fn new(model: &Model) -> Self {
        let architecture = &model.card().architecture;
        let mut columns = architecture.frame_columns + 2 * architecture.time_pad;
        let mut levels = vec![BlockInput::F32(Ring::new(
            model.front_end().n_mels,
            columns,
        ))];
        for index in 0..architecture.blocks.len() {
            columns /= model.graph.time_pool(index);
            let column = model.graph.column_len(index);
            levels.push(match model.graph.output(index) {
                None => BlockInput::F32(Ring::new(column, columns)),
                Some(quantisation) => BlockInput::U8(Ring::new(column, columns), quantisation),
            });
        }
        Self {
            levels,
            window: None,
        }
    }

    pub(super) fn clear(&mut self) {
        self.window = None;
    }

    /// Brings all levels to the window of `columns`, from scratch unless the last window was of the
    /// same stream and this one lies a whole number of steps further.
    pub(super) fn update(
        &mut self,
        model: &Model,
        runner: &mut Runner,
        columns: &Columns,
    ) -> Option<()> {
        let architecture = &model.card().architecture;
        let window = columns.window();
        let last = self.window.take();
        if last == Some(window) {
            self.window = last;
            return Some(());
        }
        let moved = last.and_then(|last| {
            let moved = usize::try_from(window.start.checked_sub(last.start)?).ok()?;
            let aligned = moved.is_multiple_of(architecture.step_columns());
            let tied = architecture.column_affine && moved > 0;
            let same = last.shift == window.shift;
            (aligned && !tied && same && moved < last.len).then_some((moved, last.len))
        });
        // The run of columns of the level below that need not be computed.
        let mut kept = self.normalise(model, columns, window.shift, moved);
        let mut moved = moved.map_or(0, |(moved, _)| moved);
        let rolling = architecture.rolling_blocks();
        for index in 0..rolling {
            let pool = model.graph.time_pool(index);
            let below_len = self.levels[index].len();
            moved /= pool;
            let start = if kept.start == 0 && moved == 0 {
                0
            } else {
                (kept.start + 1).div_ceil(pool)
            };
            let end = kept.end.saturating_sub(1) / pool;
            let len = below_len / pool;
            kept = if start < end && !kept.is_empty() {
                start..end
            } else {
                0..0
            };
            let level = &mut self.levels[index + 1];
            level.shift(if kept.is_empty() { 0 } else { moved }, len);
            self.compute(runner, index, 0..kept.start)?;
            self.compute(runner, index, kept.end..len)?;
        }
        self.compute_top(model, runner)?;
        self.window = Some(window);
        Some(())
    }

    /// The blocks above the repetition: few columns, computed anew.
    fn compute_top(&mut self, model: &Model, runner: &mut Runner) -> Option<()> {
        let architecture = &model.card().architecture;
        let Some(after) = architecture.cycle_after else {
            return Some(());
        };
        with_ring!(&mut self.levels[after], ring => ring.repeat());
        for index in after..architecture.blocks.len() {
            let capacity = with_ring!(&self.levels[index + 1], ring => ring.capacity);
            self.levels[index + 1].shift(0, capacity);
            self.compute(runner, index, 0..capacity)?;
        }
        Some(())
    }

    /// Fills level 0 and returns the run of columns that did not change.
    fn normalise(
        &mut self,
        model: &Model,
        columns: &Columns,
        shift: f32,
        moved: Option<(usize, usize)>,
    ) -> Range<usize> {
        let pad = model.card().architecture.time_pad;
        // No block lies below to write anything else.
        let BlockInput::F32(level) = &mut self.levels[0] else {
            return 0..0;
        };
        level.len = columns.len() + 2 * pad;
        let kept = match moved {
            None => 0..0,
            Some((0, last_len)) => 0..pad + last_len,
            Some((moved, last_len)) => pad..pad + last_len - moved,
        };
        level.advance(moved.map_or(0, |(moved, _)| moved));
        for index in (0..kept.start).chain(kept.end..level.len) {
            let heard = index
                .checked_sub(pad)
                .filter(|&heard| heard < columns.len());
            model.normalise(
                index,
                heard.map(|heard| columns.get(heard)),
                shift,
                level.get_mut(index),
            );
        }
        kept
    }

    /// Computes output columns `range` of block `index`.
    fn compute(&mut self, runner: &mut Runner, index: usize, range: Range<usize>) -> Option<()> {
        let (below, above) = self.levels.split_at_mut(index + 1);
        let (below, above) = (&below[index], &mut above[0]);
        runner
            .block(
                index,
                range,
                |first, buffer| below.read(first, buffer),
                |first, values| above.write(first, values),
            )
            .ok()
    }

    /// Adds output column `index` of the first `blocks` blocks, `[frequency, channel]`, to the sums
    /// and the maxima of each channel. Gives the number of frequencies.
    pub(super) fn gather(
        &self,
        blocks: usize,
        index: usize,
        sums: &mut [f32],
        maxima: &mut [f32],
    ) -> usize {
        match &self.levels[blocks] {
            BlockInput::F32(ring) => gather(ring.get(index), sums, maxima, |value| value),
            BlockInput::U8(ring, quantisation) => gather(ring.get(index), sums, maxima, |value| {
                quantisation.dequantise(value)
            }),
        }
    }

    /// Output columns of block `index` (from 0).
    pub(super) fn columns(&self, index: usize) -> usize {
        self.levels[index + 1].len()
    }

    /// All output columns of block `index` (from 0), in order, as floats.
    pub(super) fn output(&self, index: usize) -> Vec<f32> {
        let column = with_ring!(&self.levels[index + 1], ring => ring.column);
        let mut output = vec![0.0; column * self.columns(index)];
        self.read(index, &mut output);
        output
    }

    /// Fills `output` with all output columns of block `index` (from 0), in order, as floats.
    pub(super) fn read(&self, index: usize, output: &mut [f32]) {
        match &self.levels[index + 1] {
            BlockInput::F32(ring) => {
                for (output, &value) in output.iter_mut().zip(ring.iter()) {
                    *output = value;
                }
            }
            BlockInput::U8(ring, quantisation) => {
                for (output, &q) in output.iter_mut().zip(ring.iter()) {
                    *output = quantisation.dequantise(q);
                }
            }
        }
    }
}
