//! The thread beside an instance: loads the model, starts and ends streams, keeps the history and
//! feeds OSC.
//!
//! It owns everything that is heavy or may wait, so that neither the audio thread nor the host's
//! own thread does. It sleeps until a readout or a command comes, and is joined when the instance
//! is dropped, so that no code of the plugin runs after the host has unloaded it.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use crossbeam_channel::{Receiver, Sender, never, select, unbounded};
use crossbeam_utils::atomic::AtomicCell;
use genrescope::{
    decision::Readout,
    genre::Labels,
    network::{BuiltIn, Model},
    pipeline::PipelineConfig,
    realtime::{AudioInput, Controls, Counters, Listener, ReadoutCell, RealtimeConfig},
    units::SampleRate,
};
use nice_plug_egui::RepaintNotifier;
use parking_lot::{Condvar, Mutex};

use crate::{
    editor::Geometry,
    history::{self, History},
    osc::OscFeed,
    params::{GenrescopeParams, ModelChoice},
    song::SongClock,
};

/// How soon an OSC feed is ended that the host has bypassed, stopped or reset. Only while it is on.
const FEED_CHECK: Duration = Duration::from_millis(100);

/// Without a block for so many checks (two seconds), nothing is heard any more, and a feed says so.
const CHECKS_WITHOUT_AUDIO: u32 = 20;

/// Without a feed there is nothing to look after.
const IDLE: Duration = Duration::from_secs(3600);

/// Largest model file that is read, in bytes: the shipped one is well below 10 MB.
const MAX_MODEL_BYTES: u64 = genrescope::network::bundle::MAX_FILE_BYTES as u64;

/// What a stream must cope with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamSpec {
    /// The host's rate.
    pub(crate) rate: SampleRate,
    /// Sample frames that must fit into the ring at any time.
    pub(crate) max_block: usize,
}

/// The audio thread's half of a stream.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) input: AudioInput,
    pub(crate) readout: Arc<ReadoutCell>,
    pub(crate) controls: Arc<Controls>,
    /// Which call of [`DeskHandle::listen`] it answers.
    pub(crate) ticket: u64,
    /// Counts the streams of an instance, from 1.
    number: u64,
    /// Links streams that wait in [`Shared::retired`].
    next: Option<Box<Stream>>,
}

/// What the editor reads. Locked by the desk and the editor only, never by the audio thread.
#[derive(Debug, Default)]
pub(crate) struct Board {
    /// The model that listens.
    pub(crate) model: Option<ModelFacts>,
    /// Why nothing listens.
    pub(crate) trouble: Option<String>,
    /// Handles of the running stream.
    pub(crate) stream: Option<StreamFacts>,
    /// The last hour. The editor has the same as long as nothing is added.
    pub(crate) history: Arc<History>,
    /// Where the history was saved, or why it was not.
    pub(crate) saved: Option<Result<String, String>>,
    /// What went wrong with OSC.
    pub(crate) osc_trouble: Option<String>,
    /// Commands that were carried out.
    done: u64,
}

/// What the editor says of a model.
#[derive(Clone, Debug)]
pub(crate) struct ModelFacts {
    pub(crate) name: String,
    pub(crate) labels: Labels,
    /// Length of a whole frame, in seconds.
    pub(crate) frame_s: f64,
}

/// Handles that read a stream from any thread.
#[derive(Clone, Debug)]
pub(crate) struct StreamFacts {
    pub(crate) readout: Arc<ReadoutCell>,
    pub(crate) controls: Arc<Controls>,
    pub(crate) counters: Arc<Counters>,
}

/// What the audio thread, the desk and the editor share.
pub(crate) struct Shared {
    pub(crate) params: Arc<GenrescopeParams>,
    /// A stream on its way to the audio thread.
    incoming: AtomicCell<Option<Box<Stream>>>,
    /// Streams on their way back, to be freed elsewhere.
    retired: AtomicCell<Option<Box<Stream>>>,
    /// Blocks that were processed: tells the editor whether the host sends audio.
    blocks: AtomicU64,
    /// How often what is on was to be ended.
    ends: AtomicU64,
    /// Samples of the stream before that: what was heard of them lights nothing up any more.
    since: AtomicU64,
    /// Streams up to this number are over.
    over: AtomicU64,
    /// Nothing lights up, whatever is heard.
    dark: AtomicBool,
    /// Tickets that were given out.
    tickets: AtomicU64,
    pub(crate) board: Mutex<Board>,
    settled: Condvar,
    pub(crate) repaint: RepaintNotifier,
    pub(crate) geometry: Arc<Geometry>,
    pub(crate) song: SongClock,
    /// MIDI messages that the host took.
    midi: AtomicU64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("params", &self.params)
            .field("blocks", &self.blocks)
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(params: Arc<GenrescopeParams>) -> Arc<Self> {
        Arc::new(Self {
            params,
            incoming: AtomicCell::new(None),
            retired: AtomicCell::new(None),
            blocks: AtomicU64::new(0),
            ends: AtomicU64::new(0),
            since: AtomicU64::new(0),
            over: AtomicU64::new(0),
            dark: AtomicBool::new(false),
            tickets: AtomicU64::new(0),
            board: Mutex::default(),
            settled: Condvar::new(),
            repaint: RepaintNotifier::new(),
            geometry: Arc::default(),
            song: SongClock::default(),
            midi: AtomicU64::new(0),
        })
    }

    /// MIDI messages so far.
    pub(crate) fn midi_messages(&self) -> u64 {
        self.midi.load(Ordering::Relaxed)
    }

    /// Blocks so far.
    pub(crate) fn beats(&self) -> u64 {
        self.blocks.load(Ordering::Relaxed)
    }
}

/// What the audio thread asks and says.
#[deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros
)]
impl Shared {
    /// A stream that has arrived for the audio thread.
    ///
    /// # Real-time
    /// Safe on the audio thread: one atomic exchange.
    #[expect(clippy::disallowed_types, reason = "it is handed over whole")]
    pub(crate) fn take_stream(&self) -> Option<Box<Stream>> {
        self.incoming.swap(None)
    }

    /// Hands a stream back, to be freed by the desk.
    ///
    /// # Real-time
    /// Safe on the audio thread: two atomic exchanges. The audio thread alone puts streams here, so
    /// the second exchange finds nothing and nothing is freed.
    #[expect(clippy::disallowed_types, reason = "it is handed over whole")]
    pub(crate) fn retire(&self, mut stream: Box<Stream>) {
        stream.next = self.retired.swap(None);
        let before = self.retired.swap(Some(stream));
        debug_assert!(before.is_none(), "two audio threads at once");
    }

    /// Counts a block.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub(crate) fn beat(&self) {
        self.blocks.fetch_add(1, Ordering::Relaxed);
    }

    /// What feeds have lit goes out, `since` samples into the stream.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub(crate) fn end_feeds(&self, since: u64) {
        self.set_since(since);
        self.ends.fetch_add(1, Ordering::Release);
    }

    /// What was heard of the first `since` samples of the stream lights nothing up.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub(crate) fn set_since(&self, since: u64) {
        self.since.store(since, Ordering::Relaxed);
    }

    /// Nothing more comes from `stream`.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub(crate) fn is_over(&self, stream: &Stream) -> bool {
        stream.number <= self.over.load(Ordering::Relaxed)
    }

    /// Until further notice, nothing lights up.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub(crate) fn set_dark(&self, dark: bool) {
        self.dark.store(dark, Ordering::Relaxed);
    }

    /// The host took a MIDI message.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub(crate) fn sent_midi(&self) {
        self.midi.fetch_add(1, Ordering::Relaxed);
    }
}

enum Command {
    /// Listen to a new stream, which gets this ticket.
    Listen(StreamSpec, u64),
    /// The choice of model or of outputs has changed.
    SettingsChanged,
    /// The history is to be saved.
    SaveHistory,
    /// The instance is dropped.
    Quit,
}

/// The owner's handle of the thread. Dropping it ends and joins the thread.
#[derive(Debug)]
pub(crate) struct Desk {
    commands: DeskHandle,
    thread: Option<JoinHandle<()>>,
}

/// Sends commands from any thread but the audio thread.
#[derive(Clone)]
pub(crate) struct DeskHandle {
    commands: Sender<Command>,
    sent: Arc<AtomicU64>,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for DeskHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeskHandle").finish_non_exhaustive()
    }
}

impl DeskHandle {
    fn send(&self, command: Command) {
        // Counted first: the desk may be done before this returns.
        self.sent.fetch_add(1, Ordering::SeqCst);
        // Without a thread (none was to be had) there is no answer to wait for.
        if self.commands.send(command).is_err() {
            self.sent.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Replaces the stream; the audio thread gets it from [`Shared::take_stream`] when it is ready.
    /// Returns its ticket: hosts activate twice in a row, and then the stream of the first time
    /// still comes, too late.
    pub(crate) fn listen(&self, spec: StreamSpec) -> u64 {
        let ticket = self.shared.tickets.fetch_add(1, Ordering::SeqCst) + 1;
        // What still waits for the audio thread belongs to the stream that is replaced.
        drop(self.shared.incoming.swap(None));
        self.send(Command::Listen(spec, ticket));
        ticket
    }

    /// Model or OSC settings have changed.
    pub(crate) fn settings_changed(&self) {
        self.send(Command::SettingsChanged);
    }

    /// Writes the history into a file, and tells the editor where it is.
    pub(crate) fn save_history(&self) {
        self.send(Command::SaveHistory);
    }

    /// Waits until everything that was sent is done: for offline rendering, never for a live host.
    pub(crate) fn wait_until_settled(&self, timeout: Duration) -> bool {
        let sent = self.sent.load(Ordering::SeqCst);
        let mut board = self.shared.board.lock();
        !self
            .shared
            .settled
            .wait_while_for(&mut board, |board| board.done < sent, timeout)
            .timed_out()
    }
}

impl Desk {
    /// Starts the thread, which begins to load the model.
    pub(crate) fn start(shared: &Arc<Shared>) -> Self {
        let (commands, received) = unbounded();
        let worker = Worker::new(shared);
        let thread = std::thread::Builder::new()
            .name("genrescope desk".to_owned())
            .spawn(move || worker.run(&received));
        if let Err(error) = &thread {
            shared.board.lock().trouble =
                Some(format!("The system gave no thread to listen on: {error}"));
        }
        Self {
            commands: DeskHandle {
                commands,
                sent: Arc::default(),
                shared: Arc::clone(shared),
            },
            thread: thread.ok(),
        }
    }

    /// A handle for the editor.
    pub(crate) fn handle(&self) -> &DeskHandle {
        &self.commands
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.commands.send(Command::Quit);
        if let Some(thread) = self.thread.take() {
            // A panic in there was caught and shown; there is nothing to add to it here.
            let _ = thread.join();
        }
    }
}

struct Worker {
    shared: Arc<Shared>,
    /// The loaded model and the choice that it answers.
    model: Option<(ModelChoice, Arc<Model>)>,
    spec: Option<StreamSpec>,
    ticket: u64,
    /// Streams that were started so far.
    streams: u64,
    listener: Option<Listener>,
    updates: Receiver<Readout>,
    osc: OscFeed,
    /// [`Shared::ends`] that the feed knows of.
    ends: u64,
    /// [`Shared::beats`] at the last check.
    beats: u64,
    /// Checks since the last block.
    idle_checks: u32,
}

impl Worker {
    fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            model: None,
            spec: None,
            ticket: 0,
            streams: 0,
            listener: None,
            updates: never(),
            osc: OscFeed::new(),
            ends: 0,
            beats: 0,
            idle_checks: 0,
        }
    }

    fn run(mut self, commands: &Receiver<Command>) {
        // Begins before the host asks for anything, so that the model is there when it does.
        self.guarded(Self::load_model);
        loop {
            select! {
                recv(commands) -> command => match command {
                    Ok(Command::Listen(spec, ticket)) => {
                        self.spec = Some(spec);
                        self.ticket = ticket;
                        // Of several calls in a row, only the last counts.
                        if ticket == self.shared.tickets.load(Ordering::SeqCst) {
                            self.guarded(Self::restart);
                        }
                        self.done();
                    }
                    Ok(Command::SettingsChanged) => {
                        self.guarded(Self::apply_settings);
                        self.done();
                    }
                    Ok(Command::SaveHistory) => {
                        self.guarded(Self::save_history);
                        self.done();
                    }
                    Ok(Command::Quit) | Err(_) => break,
                },
                recv(self.updates) -> readout => match readout {
                    Ok(readout) => self.guarded(|worker| worker.on_readout(&readout)),
                    // The worker of the stream is gone.
                    Err(_) => self.updates = never(),
                },
                // Nothing may be heard any more, so no readout comes that would end the feed.
                default(if self.osc.is_open() { FEED_CHECK } else { IDLE }) => self.check_feed(),
            }
        }
        // Ends and joins the stream's own worker, whatever it is doing.
        self.listener = None;
        drop(self.shared.incoming.swap(None));
        drop(self.shared.retired.swap(None));
    }

    /// A panic in here must not take the host down with it.
    fn guarded(&mut self, work: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            self.fail(
                "Something went wrong inside genrescope. Choose the model again to start over."
                    .to_owned(),
            );
        }
    }

    /// Ends the stream, and with it what it has lit: notes on the audio thread, lamps by OSC here.
    fn leave_stream(&mut self) {
        self.listener = None;
        self.updates = never();
        self.osc.stop();
        self.shared.over.store(self.streams, Ordering::Relaxed);
    }

    fn fail(&mut self, trouble: String) {
        self.leave_stream();
        let mut board = self.shared.board.lock();
        board.trouble = Some(trouble);
        board.stream = None;
        drop(board);
        self.shared.repaint.request_repaint();
    }

    fn done(&self) {
        self.shared.board.lock().done += 1;
        self.shared.settled.notify_all();
        self.shared.repaint.request_repaint();
    }

    fn load_model(&mut self) {
        let choice = self.shared.params.settings.read().model.clone();
        if self
            .model
            .as_ref()
            .is_some_and(|(loaded, _)| *loaded == choice)
        {
            return;
        }
        match load(&choice) {
            Ok((model, name)) => {
                let mut board = self.shared.board.lock();
                board.model = Some(ModelFacts {
                    name,
                    labels: model.labels().clone(),
                    frame_s: model.n_frames().saturating_sub(1) as f64 * model.column().0,
                });
                board.trouble = None;
                Arc::make_mut(&mut board.history).clear();
                drop(board);
                self.model = Some((choice, model));
                self.shared.repaint.request_repaint();
            }
            Err(trouble) => {
                self.model = None;
                self.shared.board.lock().model = None;
                self.fail(trouble);
            }
        }
    }

    fn restart(&mut self) {
        // First, so that at no time two streams work for one instance.
        self.leave_stream();
        drop(self.shared.retired.swap(None));
        self.load_model();
        let (Some((_, model)), Some(spec)) = (&self.model, self.spec) else {
            return;
        };
        let config = RealtimeConfig {
            rate: spec.rate,
            max_block: spec.max_block,
            pipeline: PipelineConfig::default(),
        };
        match Listener::start(model, config) {
            Ok((input, listener)) => {
                let facts = StreamFacts {
                    readout: listener.readout(),
                    controls: listener.controls(),
                    counters: listener.counters(),
                };
                self.updates = listener.updates();
                self.listener = Some(listener);
                self.streams += 1;
                let stream = Box::new(Stream {
                    input,
                    readout: Arc::clone(&facts.readout),
                    controls: Arc::clone(&facts.controls),
                    ticket: self.ticket,
                    number: self.streams,
                    next: None,
                });
                let mut board = self.shared.board.lock();
                board.stream = Some(facts);
                board.trouble = None;
                // A rendering's history is still there after it.
                Arc::make_mut(&mut board.history).begin_stream();
                drop(board);
                drop(self.shared.incoming.swap(Some(stream)));
            }
            Err(error) => self.fail(format!("Cannot listen: {error}.")),
        }
    }

    fn apply_settings(&mut self) {
        let choice = self.shared.params.settings.read().model.clone();
        let listening = self.listener.is_some();
        if self
            .model
            .as_ref()
            .is_none_or(|(loaded, _)| *loaded != choice)
            || !listening
        {
            self.restart();
        }
        self.shared.board.lock().osc_trouble = None;
        let readout = self.listener.as_ref().and_then(|l| l.readout().load());
        if let Some(readout) = readout.filter(|readout| readout.seq > 0) {
            self.feed_osc(&readout);
        }
    }

    fn on_readout(&mut self, readout: &Readout) {
        let song = self.shared.song.at(readout.position.0);
        Arc::make_mut(&mut self.shared.board.lock().history).push(readout, song);
        self.feed_osc(readout);
        self.shared.repaint.request_repaint();
        drop(self.shared.retired.swap(None));
    }

    fn save_history(&mut self) {
        let board = self.shared.board.lock();
        let history = Arc::clone(&board.history);
        let labels = board.model.as_ref().map(|facts| facts.labels.clone());
        // The editor does not wait for a disk.
        drop(board);
        let labels: Vec<String> = labels
            .iter()
            .flat_map(Labels::iter)
            .map(str::to_owned)
            .collect();
        let saved = history::file::save(&history::csv::table(&history, &labels));
        self.shared.board.lock().saved = Some(saved.map(|path| path.display().to_string()));
    }

    /// Ends the feed where the host has ended what it tells of.
    fn check_feed(&mut self) {
        let shared = &self.shared;
        let beats = shared.beats();
        if beats == self.beats {
            self.idle_checks = self.idle_checks.saturating_add(1);
        } else {
            (self.beats, self.idle_checks) = (beats, 0);
        }
        let ends = shared.ends.load(Ordering::Acquire);
        let ended = ends != self.ends;
        self.ends = ends;
        if ended
            || self.idle_checks >= CHECKS_WITHOUT_AUDIO
            || shared.params.bypass.value()
            || shared.dark.load(Ordering::Relaxed)
        {
            self.osc.stop();
        }
    }

    fn feed_osc(&mut self, readout: &Readout) {
        self.check_feed();
        self.idle_checks = 0;
        let params = &self.shared.params;
        if !params.osc.value() || params.bypass.value() || self.shared.dark.load(Ordering::Relaxed)
        {
            self.osc.stop();
            return;
        }
        // It was heard before what has ended since.
        let since = self.shared.since.load(Ordering::Relaxed) as f64;
        let heard = |rate: SampleRate| readout.position.0 * f64::from(rate.hz());
        if readout.genre.is_some() && self.spec.is_some_and(|spec| heard(spec.rate) <= since) {
            return;
        }
        let target = params.settings.read().osc_target.clone();
        let Some(model) = self.shared.board.lock().model.clone() else {
            return;
        };
        // Without the lock: ending a feed may take a moment, and the editor must not wait for it.
        let trouble = self
            .osc
            .send(&target, &model.name, &model.labels, readout)
            .err();
        let mut board = self.shared.board.lock();
        if board.osc_trouble != trouble {
            board.osc_trouble = trouble;
        }
    }
}

/// The model and the name that the editor shows, or a sentence for the user.
fn load(choice: &ModelChoice) -> Result<(Arc<Model>, String), String> {
    match choice {
        ModelChoice::Builtin => Ok((Model::builtin(), "built-in".to_owned())),
        ModelChoice::Wide => Ok((Model::built_in(BuiltIn::Wide), "wide".to_owned())),
        ModelChoice::File(path) => {
            let name = path.file_stem().map_or_else(
                || path.display().to_string(),
                |stem| stem.to_string_lossy().into_owned(),
            );
            Ok((load_file(path)?, name))
        }
    }
}

type Loaded = HashMap<PathBuf, (SystemTime, Weak<Model>)>;

/// One copy of each model file in the process, as long as an instance uses it.
fn load_file(path: &Path) -> Result<Arc<Model>, String> {
    static FILES: OnceLock<Mutex<Loaded>> = OnceLock::new();
    let cannot = |why: String| format!("Cannot load the model '{}': {why}", path.display());
    let facts = std::fs::metadata(path).map_err(|error| cannot(error.to_string()))?;
    if !facts.is_file() {
        return Err(cannot("it is not a file.".to_owned()));
    }
    if facts.len() > MAX_MODEL_BYTES {
        return Err(cannot(format!(
            "{} MB is more than any model has (at most {} MB are read).",
            facts.len() >> 20,
            MAX_MODEL_BYTES >> 20
        )));
    }
    let modified = facts.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    // Held while loading, so that many instances of one project load one copy.
    let mut files = FILES.get_or_init(Mutex::default).lock();
    if let Some((stamp, model)) = files.get(path)
        && *stamp == modified
        && let Some(model) = model.upgrade()
    {
        return Ok(model);
    }
    let bytes = std::fs::read(path).map_err(|error| cannot(error.to_string()))?;
    let model = Model::from_bytes(&bytes).map_err(|error| cannot(format!("{error}.")))?;
    files.retain(|_, (_, model)| model.strong_count() > 0);
    files.insert(path.to_owned(), (modified, Arc::downgrade(&model)));
    Ok(model)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use genrescope::units::Seconds;
    use nice_plug::params::BoolParam;

    use super::*;

    #[test]
    fn a_missing_model_is_named() {
        let error = load(&ModelChoice::File("/no/such/model.safetensors".into())).unwrap_err();
        assert!(
            error.starts_with("Cannot load the model '/no/such/model.safetensors': "),
            "{error}"
        );
    }

    #[test]
    fn osc_lights_nothing_up_that_was_heard_before_an_end() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let params = GenrescopeParams {
            osc: BoolParam::new("OSC Out", true),
            ..GenrescopeParams::default()
        };
        params.settings.write().osc_target = receiver.local_addr().unwrap().to_string();
        let shared = Shared::new(Arc::new(params));
        shared.board.lock().model = Some(ModelFacts {
            name: "test".to_owned(),
            labels: Labels::new(["polka", "waltz"]).unwrap(),
            frame_s: 29.12,
        });
        let rate = SampleRate::new(48_000).unwrap();
        let spec = StreamSpec {
            rate,
            max_block: 512,
        };
        let mut worker = Worker::new(&shared);
        worker.spec = Some(spec);
        let heard = |seconds: f64| Readout {
            genre: Some(1),
            position: Seconds(seconds),
            ..Readout::warming(2)
        };
        worker.feed_osc(&heard(4.0));
        assert!(worker.osc.is_open());
        // The host stops after five seconds; the worker is a little late.
        shared.end_feeds(5 * 48_000);
        worker.feed_osc(&heard(4.9));
        assert!(!worker.osc.is_open());
        worker.feed_osc(&heard(5.1));
        assert!(worker.osc.is_open());
    }

    #[test]
    fn a_folder_is_not_a_model() {
        let error = load(&ModelChoice::File(std::env::temp_dir())).unwrap_err();
        assert!(error.ends_with("it is not a file."), "{error}");
    }

    #[test]
    fn the_hand_over_is_lock_free() {
        assert!(AtomicCell::<Option<Box<Stream>>>::is_lock_free());
    }
}
