//! The models.

use loom::thread;

use crate::{
    ring::{RingReader, Step, ring},
    seqlock::seqlock,
};

/// Every order of events with at most `preemptions` changes of thread that nothing calls for: more
/// find nothing new and take hours.
fn model(preemptions: usize, run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(run);
}

/// What is read of a cell is one value, whole, and none that is older than the one before.
#[test]
fn a_cell_is_read_whole_and_never_goes_back() {
    model(3, || {
        let (mut writer, reader) = seqlock::<2>(&[1, 1]);
        // The second of them goes where the first value lay.
        let writing = thread::spawn(move || {
            for value in 2..=3 {
                writer.store(&[value, value]);
            }
        });
        let mut last = 1;
        for _ in 0..2 {
            if let Some([first, second]) = reader.try_load() {
                assert_eq!(first, second, "torn");
                assert!(first >= last, "{first} after {last}");
                last = first;
            }
        }
        writing.join().unwrap();
        assert_eq!(reader.load(), Some([3, 3]));
    });
}

/// Two readers do not hinder each other.
#[test]
fn a_cell_may_have_many_readers() {
    model(2, || {
        let (mut writer, reader) = seqlock::<2>(&[1, 1]);
        let other = reader.clone();
        let reading = thread::spawn(move || other.try_load());
        writer.store(&[2, 2]);
        for found in [reader.try_load(), reading.join().unwrap()] {
            assert!([Some([1, 1]), Some([2, 2])].contains(&found), "{found:?}");
        }
    });
}

/// What a reader has taken of a stream: a sample each, `None` for one that was lost.
struct Heard {
    reader: RingReader,
    stream: Vec<Option<f32>>,
    /// What was pushed.
    pushed: &'static [f32],
}

impl Heard {
    fn new(reader: RingReader, pushed: &'static [f32]) -> Self {
        Self {
            reader,
            stream: Vec::new(),
            pushed,
        }
    }

    /// Takes a step, if there is one. What was heard stands where it was pushed.
    fn step(&mut self) -> bool {
        let Some(step) = self.reader.step(8) else {
            return false;
        };
        match step {
            Step::Zeros(length) => self.stream.extend(vec![Some(0.0); length]),
            Step::Samples(length) => {
                let samples = self.reader.samples(length);
                assert_eq!(samples.len(), length);
                self.stream
                    .extend(samples.iter().map(|&sample| Some(sample)));
            }
            Step::Missing(length) => self.stream.extend(vec![None; length as usize]),
        }
        self.reader.take(step);
        for (place, (heard, pushed)) in self.stream.iter().zip(self.pushed).enumerate() {
            let right = heard.is_none_or(|heard| heard == *pushed);
            assert!(right, "{heard:?} at {place} of {:?}", self.pushed);
        }
        true
    }

    fn drain(&mut self) {
        while self.step() {}
    }
}

/// Zeros that are counted stand where they were pushed, whatever of them is seen first.
#[test]
fn counted_zeros_keep_their_place() {
    model(3, || {
        let pushed = &[1.0, 0.0, 2.0, 0.0, 0.0];
        let (mut writer, reader) = ring(4);
        let writing = thread::spawn(move || {
            writer.write(&[1.0]);
            writer.write_zeros(1);
            writer.write(&[2.0]);
            writer.write_zeros(1);
            writer.write_zeros(1);
            writer
        });
        let mut heard = Heard::new(reader, pushed);
        for _ in 0..3 {
            heard.step();
        }
        let writer = writing.join().unwrap();
        heard.drain();
        assert!(heard.stream.iter().all(Option::is_some));
        assert_eq!(heard.stream.len(), pushed.len());
        assert_eq!(writer.unheard(), 0);
    });
}

/// What does not fit is missed where it was pushed, and what comes after it, zeros too, stands
/// behind.
#[test]
fn a_loss_keeps_its_place() {
    model(3, || {
        let pushed = &[1.0, 2.0, 3.0, 0.0, 5.0];
        let (mut writer, reader) = ring(2);
        let writing = thread::spawn(move || {
            let lost = writer.write(&[1.0, 2.0])
                + writer.write(&[3.0])
                + writer.write_zeros(1)
                + writer.write(&[5.0]);
            writer.finish();
            lost
        });
        let mut heard = Heard::new(reader, pushed);
        for _ in 0..2 {
            heard.step();
        }
        let lost = writing.join().unwrap();
        heard.drain();
        assert_eq!(heard.stream.len(), pushed.len());
        let missing = heard.stream.iter().filter(|heard| heard.is_none()).count();
        assert_eq!(missing as u64, lost);
    });
}

/// Whoever sees that a stream has ended, and looks then, finds all of it.
#[test]
fn nothing_comes_after_the_end() {
    model(3, || {
        let pushed = &[1.0, 0.0];
        let (mut writer, reader) = ring(4);
        let writing = thread::spawn(move || {
            writer.write(&[1.0]);
            writer.write_zeros(1);
            writer.finish();
        });
        let mut heard = Heard::new(reader, pushed);
        let finished = heard.reader.is_finished();
        heard.drain();
        if finished {
            assert_eq!(heard.stream.len(), pushed.len());
        }
        writing.join().unwrap();
    });
}
