//! DMX over the network: what sACN and Art-Net have in common. A [`Stage`] says what the lights
//! show; frames go out as often as something moves by a step, and are repeated while nothing does.

use std::{
    fmt,
    time::{Duration, Instant},
};

use super::{
    Hello, Sink, SinkError, Status, Update,
    look::{CHANNELS, Look, Stage},
};
use crate::decision::State;

/// Shortest time between frames: 40 a second, below the 44 that DMX512 can carry.
pub const FRAME_PERIOD: Duration = Duration::from_millis(25);

/// Where something moves slowly, frames are no rarer than its steps, or than this.
const SLOW_PERIOD: Duration = Duration::from_millis(100);

/// Frames are repeated after this long while nothing moves. Receivers give a source up after 2.5 s
/// (E1.31-2018, 6.7.1), and both protocols ask for 0.8 to 1 s.
pub const REPEAT_PERIOD: Duration = Duration::from_millis(750);

/// What moves no longer is sent so often before frames become rare, as a network may lose one
/// (E1.31-2018, 6.6.2).
const LAST_FRAMES: usize = 3;

/// All channels of a universe.
pub type Frame = [u8; CHANNELS as usize];

/// A way to carry frames to a receiver.
pub trait Wire: Send + fmt::Debug {
    /// What to call it in messages.
    fn name(&self) -> String;

    /// Looks the receiver up.
    ///
    /// # Errors
    /// As [`Sink::connect`].
    fn connect(&mut self) -> Result<(), SinkError>;

    /// Sends one frame; says whether the system reported that nobody listens.
    ///
    /// # Errors
    /// As [`Sink::update`].
    fn send(&mut self, universe: u16, frame: &Frame) -> Result<bool, SinkError>;

    /// Tells the receiver that nothing more comes for a universe, where the protocol has words for
    /// it.
    ///
    /// # Errors
    /// As [`Sink::update`].
    fn terminate(&mut self, universe: u16, frame: &Frame) -> Result<(), SinkError>;

    /// Tells who is interested what universes there are. Called before every frame; a wire has its
    /// own clock for it.
    ///
    /// # Errors
    /// As [`Sink::update`].
    fn announce(&mut self, _universes: &[u16], _now: Instant) -> Result<(), SinkError> {
        Ok(())
    }
}

/// One receiver of DMX.
#[derive(Debug)]
pub struct DmxSink<W: Wire> {
    wire: W,
    feed: &'static str,
    look: Look,
    stage: Option<Stage>,
    universes: Vec<u16>,
    /// When frames were sent last.
    sent_at: Option<Instant>,
    /// Frames since nothing moves any more.
    still: usize,
    /// The receiver was told that nothing more comes.
    released: bool,
    unheard: bool,
    /// The receiver can be sent to, as far as is known.
    linked: bool,
    /// Nothing more is to be said.
    over: bool,
}

impl<W: Wire> DmxSink<W> {
    pub(super) fn over(wire: W, feed: &'static str, look: Look) -> Result<Self, SinkError> {
        let universes = look.universes();
        if universes.is_empty() {
            return Err(SinkError::Setting {
                feed,
                what: "look",
                value: "given".to_owned(),
                why: "it sets no channel, so there is nothing to send".to_owned(),
            });
        }
        Ok(Self {
            wire,
            feed,
            look,
            stage: None,
            universes,
            sent_at: None,
            still: 0,
            released: false,
            unheard: false,
            linked: false,
            over: false,
        })
    }

    /// How long what the receiver has not seen arrive takes for a step; `None`: nothing moves.
    fn step(&self) -> Option<Duration> {
        self.stage.as_ref()?.step(self.sent_at)
    }

    fn send(&mut self, now: Instant) -> Result<(), SinkError> {
        let Some(stage) = &self.stage else {
            return Ok(());
        };
        self.wire.announce(&self.universes, now)?;
        let mut refused = false;
        self.linked = false;
        for &universe in &self.universes {
            refused |= self.wire.send(universe, &stage.frame(universe, now))?;
        }
        self.linked = true;
        self.unheard = refused;
        self.sent_at = Some(now);
        self.still = if self.step().is_some() {
            0
        } else {
            self.still.saturating_add(1)
        };
        Ok(())
    }

    fn terminate(&mut self, now: Instant) -> Result<(), SinkError> {
        if let Some(stage) = &self.stage {
            for &universe in &self.universes {
                self.wire.terminate(universe, &stage.frame(universe, now))?;
            }
        }
        self.released = true;
        Ok(())
    }

    /// The last scene, and the end of the stream.
    fn farewell(&mut self) {
        let now = Instant::now();
        // A desk that has its channels back keeps them.
        if self.over || self.released || self.sent_at.is_none() {
            return;
        }
        self.over = true;
        if let Some(stage) = &mut self.stage {
            stage.end(now);
        }
        for _ in 0..LAST_FRAMES {
            // Nobody is left to be told.
            let _ = self.send(now);
        }
        let _ = self.terminate(now);
    }

    /// What `change` makes of the stage, from now on.
    fn go(&mut self, change: impl FnOnce(&mut Stage)) {
        if let Some(stage) = &mut self.stage {
            change(stage);
            self.released &= stage.releases();
        }
    }
}

impl<W: Wire> Sink for DmxSink<W> {
    fn name(&self) -> String {
        self.wire.name()
    }

    fn connect(&mut self) -> Result<(), SinkError> {
        self.linked = false;
        self.wire.connect()?;
        self.linked = true;
        Ok(())
    }

    /// What is shown fades to what is shown while too little was heard.
    fn hello(&mut self, hello: &Hello) -> Result<(), SinkError> {
        let now = Instant::now();
        if self.stage.is_none() {
            let stage = Stage::new(self.feed, self.look.clone(), &hello.labels, now)?;
            self.stage = Some(stage);
        }
        self.go(|stage| stage.show_state(State::Warming, now));
        Ok(())
    }

    fn update(&mut self, update: &Update, now: Instant) -> Result<(), SinkError> {
        self.go(|stage| stage.show(update, now));
        Ok(())
    }

    fn status(&mut self, status: &Status) -> Result<(), SinkError> {
        // Every other state comes with a readout.
        if status.state == State::Lost {
            let now = Instant::now();
            self.go(|stage| stage.show_state(State::Lost, now));
        }
        Ok(())
    }

    fn tick_period(&self) -> Option<Duration> {
        Some(match self.step() {
            _ if self.released || !self.linked => REPEAT_PERIOD,
            None if (1..LAST_FRAMES).contains(&self.still) => FRAME_PERIOD,
            None => REPEAT_PERIOD,
            // Two steps at a time, unless that makes it too rare.
            Some(step) => (2 * step)
                .min(step.max(SLOW_PERIOD))
                .clamp(FRAME_PERIOD, REPEAT_PERIOD),
        })
    }

    fn tick(&mut self, now: Instant) -> Result<(), SinkError> {
        if self.released {
            return Ok(());
        }
        self.send(now)?;
        if self.step().is_none() && self.stage.as_ref().is_some_and(Stage::releases) {
            self.terminate(now)?;
        }
        Ok(())
    }

    fn unheard(&self) -> bool {
        self.unheard
    }

    fn close(&mut self) {
        self.farewell();
    }
}

/// A feed that fails leaves no lamp on.
impl<W: Wire> Drop for DmxSink<W> {
    fn drop(&mut self) {
        self.farewell();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::sink::{SinkRunner, look::Scene, tests as fixtures};

    /// Frames in order; `None` where the stream was ended.
    type Written = Arc<Mutex<Vec<Option<Frame>>>>;

    /// Notes what goes over it.
    #[derive(Debug, Default)]
    struct Paper {
        frames: Written,
        panics: bool,
    }

    impl Wire for Paper {
        fn name(&self) -> String {
            "paper".into()
        }
        fn connect(&mut self) -> Result<(), SinkError> {
            Ok(())
        }
        fn send(&mut self, _: u16, frame: &Frame) -> Result<bool, SinkError> {
            let n = {
                let mut frames = self.frames.lock().unwrap();
                frames.push(Some(*frame));
                frames.len()
            };
            assert!(!self.panics || n != 5, "a defect");
            Ok(false)
        }
        fn terminate(&mut self, _: u16, _: &Frame) -> Result<(), SinkError> {
            self.frames.lock().unwrap().push(None);
            Ok(())
        }
    }

    fn sink(look: impl FnOnce(&mut Look)) -> (DmxSink<Paper>, Written) {
        let mut plain = Look::plain(&fixtures::hello().labels, 1);
        look(&mut plain);
        let paper = Paper::default();
        let frames = Arc::clone(&paper.frames);
        let mut sink = DmxSink::over(paper, "paper", plain).unwrap();
        sink.connect().unwrap();
        (sink, frames)
    }

    #[test]
    fn frames_come_fast_while_something_moves_and_are_repeated_while_nothing_does() {
        let (mut sink, frames) = sink(|_| {});
        sink.hello(&fixtures::hello()).unwrap();
        let start = Instant::now();
        sink.update(&fixtures::update(1, Some(9)), start).unwrap();
        let mut now = start;
        let mut periods = Vec::new();
        while now < start + Duration::from_secs(4) {
            sink.tick(now).unwrap();
            periods.push(sink.tick_period().unwrap());
            now += sink.tick_period().unwrap();
        }
        let moving = periods.iter().filter(|p| **p == FRAME_PERIOD).count();
        assert_eq!(moving, 42, "one second of fade, and its end three times");
        assert!(periods[moving..].iter().all(|p| *p == REPEAT_PERIOD));
        let frames = frames.lock().unwrap();
        let lamp: Vec<u8> = frames.iter().flatten().map(|frame| frame[9]).collect();
        assert!(lamp.is_sorted(), "{lamp:?}");
        assert_eq!((lamp[0], lamp[20], lamp[40]), (0, 128, 255));
    }

    #[test]
    fn what_moves_slowly_takes_a_frame_a_step() {
        let (mut sink, frames) = sink(|look| look.fade = Duration::from_secs(50));
        sink.hello(&fixtures::hello()).unwrap();
        let start = Instant::now();
        sink.update(&fixtures::update(1, Some(9)), start).unwrap();
        let mut now = start;
        while now < start + Duration::from_secs(60) {
            sink.tick(now).unwrap();
            now += sink.tick_period().unwrap();
        }
        let frames = frames.lock().unwrap();
        let lamp: Vec<i16> = frames.iter().flatten().map(|f| f[9].into()).collect();
        assert!(
            lamp.windows(2)
                .all(|pair| (0..=1).contains(&(pair[1] - pair[0]))),
            "no step is left out"
        );
        assert_eq!(lamp.last(), Some(&255));
        assert!(lamp.len() < 255 + 3 + 25, "{} frames", lamp.len());
    }

    #[test]
    fn the_end_is_dark_and_terminated_once() {
        let (mut sink, frames) = sink(|_| {});
        sink.hello(&fixtures::hello()).unwrap();
        let now = Instant::now();
        sink.update(&fixtures::update(1, Some(9)), now).unwrap();
        sink.tick(now + Duration::from_secs(2)).unwrap();
        assert_eq!(frames.lock().unwrap()[0].unwrap()[9], 255);
        sink.close();
        drop(sink);
        let frames = frames.lock().unwrap();
        assert_eq!(
            frames[1..],
            [Some([0; 512]), Some([0; 512]), Some([0; 512]), None]
        );
    }

    #[test]
    fn a_state_can_give_the_channels_back_and_a_genre_takes_them_again() {
        let (mut sink, frames) = sink(|look| {
            let scene = Scene {
                release: true,
                ..Scene::default()
            };
            look.states.push((State::Silent, scene));
        });
        sink.hello(&fixtures::hello()).unwrap();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        sink.update(&fixtures::update(1, Some(9)), start).unwrap();
        sink.tick(at(2)).unwrap();
        let mut silent = fixtures::update(2, None);
        silent.readout.set_state(State::Silent);
        sink.update(&silent, at(3)).unwrap();
        for seconds in 3..20 {
            sink.tick(at(seconds)).unwrap();
            sink.update(&silent, at(seconds)).unwrap();
        }
        {
            let frames = frames.lock().unwrap();
            let n = frames.len();
            assert_eq!(
                frames[n - 2..],
                [Some([0; 512]), None],
                "dark, then released, once"
            );
        }
        sink.update(&fixtures::update(3, Some(9)), at(20)).unwrap();
        assert_eq!(sink.tick_period(), Some(FRAME_PERIOD));
        sink.tick(at(22)).unwrap();
        assert_eq!(frames.lock().unwrap().last().unwrap().unwrap()[9], 255);
        sink.update(&silent, at(23)).unwrap();
        sink.tick(at(25)).unwrap();
        let n = frames.lock().unwrap().len();
        drop(sink);
        assert_eq!(
            frames.lock().unwrap().len(),
            n,
            "the desk keeps what it has back"
        );
    }

    #[test]
    fn a_feed_that_fails_leaves_no_lamp_on() {
        let (mut sink, frames) = sink(|look| look.fade = Duration::ZERO);
        sink.wire.panics = true;
        let runner = SinkRunner::spawn(Box::new(sink), &fixtures::hello()).unwrap();
        runner.update(&fixtures::update(1, Some(9)));
        let start = Instant::now();
        while frames.lock().unwrap().last().is_none_or(Option::is_some) {
            assert!(start.elapsed() < Duration::from_secs(30));
            std::thread::sleep(Duration::from_millis(5));
        }
        let frames = frames.lock().unwrap();
        assert_eq!(frames[4].unwrap()[9], 255, "it was on");
        assert_eq!(
            frames[5..],
            [Some([0; 512]), Some([0; 512]), Some([0; 512]), None]
        );
    }

    #[test]
    fn a_day_is_no_longer_than_a_minute() {
        let (mut sink, frames) = sink(|_| {});
        sink.hello(&fixtures::hello()).unwrap();
        let start = Instant::now();
        let mut count = 0;
        for step in 0..24 * 60 * 60_u64 {
            let now = start + Duration::from_secs(step);
            let genre = (step / 300 % 11).checked_sub(1).map(|genre| genre as usize);
            sink.update(&fixtures::update(step, genre), now).unwrap();
            sink.tick(now).unwrap();
            count += frames.lock().unwrap().drain(..).count();
        }
        assert_eq!(count, 24 * 60 * 60);
        assert_eq!(
            sink.stage.as_ref().unwrap().n_channels(),
            20,
            "nothing was kept"
        );
    }
}
