//! The thread that keeps a source going: it sees that samples come, tells what happens, and gets
//! back what is lost.

use std::{
    sync::{Arc, atomic::Ordering},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use cpal::traits::HostTrait;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::{
    CaptureError, CaptureEvent, Latency, Selection,
    devices::{id_of, output_is_recorded_itself, plan, silent_while_idle},
    rate::RateWatch,
    stream::{Active, FIRST_SAMPLES, close},
};
use crate::{
    decision::FRAME,
    network::Model,
    pipeline::PipelineConfig,
    realtime::{Listener, RealtimeConfig},
    units::{SampleRate, Seconds},
};

/// No samples for this long, and the source counts as lost: a suspended or removed PulseAudio sink
/// delivers neither samples nor an error. Three times the longest period we ask for.
const WATCHDOG: Duration = Duration::from_millis(1500);

/// A sound system that has not answered after this long is stuck: PulseAudio does not answer who
/// opens a source that is suspended, until it no longer is.
const ANSWER: Duration = Duration::from_secs(3);

/// Waits between tries to get a source back: doubled from the first to the last.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// A reason that stays the same is told again after this long.
const REMIND: Duration = Duration::from_secs(60);

/// How often the supervisor looks.
const TICK: Duration = Duration::from_millis(200);

/// How often it asks which source is the default.
const DEFAULT_CHECK: Duration = Duration::from_secs(2);

/// Blocks of up to this many frames are expected; 6138 were seen with PulseAudio.
const MAX_BLOCK: usize = 16_384;

pub(super) struct Supervisor {
    pub(super) listener: Listener,
    selection: Selection,
    latency: Latency,
    pub(super) active: Active,
    orders: Receiver<Selection>,
    events: Sender<CaptureEvent>,
    /// Frames at the last look, and when there were more than before.
    frames: u64,
    last_sound: Instant,
    default_checked: Instant,
    rate_watch: RateWatch,
    /// Samples of the present stream have arrived.
    flowing: bool,
    /// From the loss of a source until samples arrive again.
    trouble: Option<Trouble>,
    /// The sound system that the source was found in. Only there it is looked for again: while a
    /// server restarts, another system may answer, whose default is not what was listened to.
    host_name: Option<String>,
    /// A try that the sound system has not answered yet. There is never more than one, however long
    /// that takes.
    stuck: Option<JoinHandle<()>>,
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if let Some(stream) = self.active.stream.take() {
            close(stream);
        }
    }
}

/// A source that is lost, and the tries to get it back.
struct Trouble {
    /// When its last samples came.
    lost_at: Instant,
    /// What was lost: id and rate.
    before: (String, SampleRate),
    /// Tries that failed.
    tries: u32,
    /// Wait before the next try.
    wait: Duration,
    /// The reason that was told last, and when.
    told: Option<(String, Instant)>,
}

impl Trouble {
    /// Another try failed. What to tell, if it is news.
    fn failed(&mut self, reason: String, now: Instant) -> Option<CaptureEvent> {
        self.tries += 1;
        if self.tries > 1 {
            self.wait = (self.wait * 2).min(BACK_OFF.1);
        }
        let known = self
            .told
            .as_ref()
            .is_some_and(|(told, at)| *told == reason && now - *at < REMIND);
        if known {
            return None;
        }
        self.told = Some((reason.clone(), now));
        let tries = self.tries;
        Some(CaptureEvent::StillLost { tries, reason })
    }
}

impl Supervisor {
    pub(super) fn open(
        model: &Arc<Model>,
        selection: Selection,
        pipeline: PipelineConfig,
        latency: Latency,
        orders: Receiver<Selection>,
        events: Sender<CaptureEvent>,
    ) -> Result<Self, CaptureError> {
        let plan = {
            let selection = selection.clone();
            ask(move || plan(&selection, None, latency))
                .map_err(|_| stuck("the sound system"))??
        };
        for message in &plan.notes {
            let message = message.clone();
            let _ = events.try_send(CaptureEvent::Note { message });
        }
        let config = RealtimeConfig {
            rate: plan.rate,
            max_block: MAX_BLOCK,
            pipeline,
        };
        let (input, listener) = Listener::start(model, config)?;
        let name = plan.source.to_string();
        let active = ask(move || plan.open(input)).map_err(|_| stuck(&name))??;
        listener.set_fill_silence(silent_while_idle(&active.source));
        listener.set_unhurried(latency == Latency::Any);
        let now = Instant::now();
        Ok(Self {
            host_name: Some(active.source.host.clone()),
            listener,
            selection,
            latency,
            active,
            orders,
            events,
            frames: 0,
            last_sound: now,
            default_checked: now,
            rate_watch: RateWatch::new(now),
            flowing: false,
            trouble: None,
            stuck: None,
        })
    }

    pub(super) fn run(mut self) {
        loop {
            let trouble = match self.orders.recv_timeout(TICK) {
                Ok(selection) => {
                    self.choose(selection);
                    Some(None)
                }
                Err(RecvTimeoutError::Timeout) => self.look().map(Some),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if let Some(reason) = trouble
                && !self.come_back(reason)
            {
                return;
            }
        }
    }

    /// Is all well? If not, why not.
    fn look(&mut self) -> Option<String> {
        let now = Instant::now();
        let signals = Arc::clone(&self.active.signals);
        let messages = signals.messages();
        if signals.fatal.load(Ordering::Acquire) {
            let first = messages.into_iter().next();
            return Some(first.unwrap_or_else(|| "the stream failed".into()));
        }
        for message in messages {
            self.tell(CaptureEvent::Note { message });
        }
        let frames = signals.frames.load(Ordering::Relaxed);
        if frames > self.frames {
            self.frames = frames;
            self.last_sound = now;
            if !self.flowing {
                self.flowing = true;
                self.began(now);
            }
            let claimed = self.active.rate.hz();
            if let Some(measured) = self.rate_watch.look(now, frames, claimed) {
                self.tell(CaptureEvent::WrongRate { claimed, measured });
            }
        } else if !silent_while_idle(&self.active.source) {
            let silent_for = now - self.last_sound;
            if self.flowing && silent_for > WATCHDOG {
                return Some(format!("no samples for {:.1} s", silent_for.as_secs_f64()));
            }
            if !self.flowing && silent_for > FIRST_SAMPLES {
                return Some("it can be opened but gives no samples; it may be suspended".into());
            }
        }
        if now - self.default_checked > DEFAULT_CHECK {
            self.default_checked = now;
            if let Some(other) = self.default_moved() {
                return Some(format!("the default is now {other}"));
            }
        }
        None
    }

    /// Samples of the present stream arrive.
    fn began(&mut self, now: Instant) {
        let active = &self.active;
        let trouble = self.trouble.take();
        let gap = trouble.as_ref().map(|trouble| {
            let heard = active.rate.duration(self.frames).0;
            Seconds(((now - trouble.lost_at).as_secs_f64() - heard).max(0.0))
        });
        let event = match (trouble, gap) {
            (Some(Trouble { before, .. }), Some(gap))
                if before.0 == active.source.id && before.1 == active.rate =>
            {
                CaptureEvent::Resumed {
                    source: active.source.clone(),
                    gap,
                    window_kept: gap.0 < FRAME.0,
                }
            }
            _ => CaptureEvent::Started {
                source: active.source.clone(),
                rate: active.rate,
                n_channels: active.n_channels,
                format: active.format.clone(),
            },
        };
        // Before the first readout of it.
        self.tell(event);
        if let Some(gap) = gap {
            self.listener.set_back(gap);
        }
    }

    fn default_moved(&self) -> Option<String> {
        if matches!(self.selection, Selection::Named(_)) {
            return None;
        }
        let host = &self.active.host;
        let input = id_of(host.default_input_device());
        let output = id_of(host.default_output_device());
        let present = &self.active.source.id;
        let wanted = match self.selection {
            Selection::SystemAudio if output_is_recorded_itself(host.id()) => output?,
            Selection::SystemAudio => format!("{}.monitor", output?),
            _ => input?,
        };
        (wanted != *present).then_some(wanted)
    }

    /// The user has chosen another source, in whatever sound system it may be.
    fn choose(&mut self, selection: Selection) {
        self.selection = selection;
        self.host_name = None;
        self.stuck = None;
        if let Some(trouble) = &mut self.trouble {
            trouble.wait = BACK_OFF.0;
            trouble.told = None;
        }
    }

    /// Closes the stream and opens it, or another, until samples can flow again. Without a reason,
    /// the user has chosen another. `false` when nobody wants it any more.
    fn come_back(&mut self, reason: Option<String>) -> bool {
        let now = Instant::now();
        let source = self.active.source.clone();
        let is_new = self.trouble.is_none();
        let trouble = self.trouble.get_or_insert_with(|| Trouble {
            lost_at: self.last_sound,
            before: (source.id.clone(), self.active.rate),
            tries: 0,
            wait: BACK_OFF.0,
            told: None,
        });
        // A source that could be opened, and gave nothing or failed at once, is one more try that
        // failed.
        let mut must_wait = false;
        let event = match reason {
            Some(reason) if is_new => Some(CaptureEvent::Lost { source, reason }),
            Some(reason) => {
                must_wait = true;
                trouble.failed(reason, now)
            }
            None => None,
        };
        if let Some(event) = event {
            self.tell(event);
        }
        // After the event: whoever sees that the state is lost can be told why.
        self.listener.set_lost();
        if let Some(stream) = self.active.stream.take() {
            close(stream);
        }
        loop {
            if must_wait {
                let wait = self.trouble.as_ref().map_or(BACK_OFF.0, |t| t.wait);
                match self.orders.recv_timeout(wait) {
                    Ok(selection) => self.choose(selection),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return false,
                }
            }
            must_wait = true;
            // A new host every time: the old one may belong to a server that is no more.
            let Err(error) = self.reopen() else {
                return true;
            };
            let event = self
                .trouble
                .as_mut()
                .and_then(|trouble| trouble.failed(error.to_string(), Instant::now()));
            if let Some(event) = event {
                self.tell(event);
            }
        }
    }

    fn reopen(&mut self) -> Result<(), CaptureError> {
        // An answer that comes late is of no use; but it says that it is worth asking again.
        if self.stuck.as_ref().is_some_and(|try_| !try_.is_finished()) {
            return Err(stuck(&self.active.source.to_string()));
        }
        let (selection, host_name) = (self.selection.clone(), self.host_name.clone());
        let latency = self.latency;
        let plan = match ask(move || plan(&selection, host_name.as_deref(), latency)) {
            Ok(plan) => plan?,
            Err(unanswered) => {
                self.stuck = Some(unanswered);
                return Err(stuck("the sound system"));
            }
        };
        let input = self.listener.reattach_lost(plan.rate, MAX_BLOCK)?;
        let name = plan.source.to_string();
        let opened = ask(move || plan.open(input)).unwrap_or_else(|unanswered| {
            self.stuck = Some(unanswered);
            Err(stuck(&name))
        });
        self.active = opened?;
        self.host_name = Some(self.active.source.host.clone());
        let fill = silent_while_idle(&self.active.source);
        self.listener.set_fill_silence(fill);
        let now = Instant::now();
        self.frames = 0;
        self.flowing = false;
        self.last_sound = now;
        self.default_checked = now;
        self.rate_watch = RateWatch::new(now);
        if fill {
            // It may give nothing for hours, and is silent meanwhile.
            self.flowing = true;
            self.began(now);
        }
        Ok(())
    }

    fn tell(&self, event: CaptureEvent) {
        // Nobody is made to listen.
        let _ = self.events.try_send(event);
    }
}

fn stuck(what: &str) -> CaptureError {
    CaptureError::Stuck {
        what: what.to_owned(),
    }
}

/// Asks the sound system for something, on a thread of its own. If it does not answer in time, that
/// thread is returned; what it gets later is dropped.
fn ask<T: Send + 'static>(
    question: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinHandle<()>> {
    let (out, answer) = crossbeam_channel::bounded(1);
    let asking = thread::spawn(move || {
        let _ = out.send(question());
    });
    answer.recv_timeout(ANSWER).map_err(|_| asking)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_when_it_is_new_and_once_a_minute() {
        let start = Instant::now();
        let mut trouble = Trouble {
            lost_at: start,
            before: ("pulseaudio:mic".into(), SampleRate::MIN),
            tries: 0,
            wait: BACK_OFF.0,
            told: None,
        };
        let mut told = Vec::new();
        let mut now = start;
        for _ in 0..50 {
            let reason = if trouble.tries < 3 { "gone" } else { "4000 Hz" };
            told.extend(trouble.failed(reason.into(), now));
            now += trouble.wait;
        }
        let told: Vec<String> = told.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "not back yet: gone",
                "not back after 4 tries: 4000 Hz",
                "not back after 35 tries: 4000 Hz"
            ]
        );
        assert_eq!(trouble.wait, BACK_OFF.1);
    }

    #[test]
    fn a_question_without_an_answer_is_given_up() {
        assert_eq!(ask(|| 7).ok(), Some(7));
        let (release, wait) = crossbeam_channel::bounded::<()>(0);
        let unanswered = ask(move || wait.recv()).unwrap_err();
        assert!(!unanswered.is_finished());
        drop(release);
        unanswered.join().unwrap();
    }
}
