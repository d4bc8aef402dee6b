//! `genrescope listen`: a microphone, the system's sound or a file, heard live.

mod feeds;
mod player;
mod show;
mod trouble;

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError, never};

use self::{
    feeds::FeedArgs,
    player::{MAX_BLOCK, Opened, Played, Player, STALL, opener_failed},
    show::{Lines, OnScreen, Show, Silent},
    trouble::Troubles,
};
use super::{
    Context, complain,
    config::{HoldSetting, Listen, MeanKind, PresetKind},
    json_lines,
    lights::{self, LightsArgs},
    open_input,
    output_file::OutputFile,
    quiet::{PassOn, QuietStderr},
    shown_input,
    signals::{Again, Stop},
    text::{settings_text, too_short},
    tui::{Look, View},
};
use crate::{
    decision::{DecisionConfig, Preset, Readout, State},
    network::Model,
    pipeline::PipelineConfig,
    realtime::{Controls, Counters, Listener, RealtimeConfig},
    sink::{
        Feeds, Hello, SinkError, SinkRunner,
        hold::HoldGenre,
        jsonl::JsonlSink,
        map::Map,
        os2l::Os2lSink,
        osc::{OscConfig, OscSink},
    },
    song::SongClassifier,
    source::{
        capture::{Capture, CaptureEvent, Latency, Selection},
        file::{RawFormat, RawPcm},
    },
    units::{SampleRate, Seconds},
};

/// Readouts that may still wait when a source is told to be lost, and are not told any more.
const OUTDATED: u32 = 3;

/// A feed may hold up a file this long; a device it never holds up.
const FEED_PATIENCE: Duration = Duration::from_secs(10);

/// Arguments of `genrescope listen`.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(after_help = "Examples:\n  \
    genrescope listen                          the default microphone\n  \
    genrescope listen --device system          what this computer plays\n  \
    genrescope listen --json --osc 127.0.0.1   for programs and lights\n  \
    genrescope listen --input song.flac        a file, as if it were played\n  \
    ffmpeg -i URL -f wav - | genrescope listen --input -")]
pub struct ListenArgs {
    /// 'default', 'system' (what this computer plays), or the name or id of a source; a unique part
    /// is enough.
    #[arg(
        long,
        short,
        value_name = "NAME",
        conflicts_with = "input",
        help_heading = "Source"
    )]
    pub device: Option<String>,

    /// Play this audio file instead, or standard input ('-'), through the same live path.
    #[arg(long, short, value_name = "FILE", help_heading = "Source")]
    pub input: Option<PathBuf>,

    /// The input has no header but bare samples: FORMAT:RATE:CHANNELS, such as s16le:48000:2
    /// (s16le, s24le, s32le, f32le).
    #[arg(long, value_name = "SPEC", requires = "input", value_parser = parse_raw, help_heading = "Source")]
    pub raw: Option<RawPcm>,

    /// Play the input this many times as fast as it sounds.
    #[arg(long, value_name = "X", requires = "input", value_parser = parse_speed, help_heading = "Source")]
    pub speed: Option<f64>,

    /// Play the input as fast as the machine can; nothing is dropped.
    #[arg(
        long,
        requires = "input",
        conflicts_with = "speed",
        help_heading = "Source"
    )]
    pub fast: bool,

    /// How restless the answer may be: sets --averaging and --dwell, and how sure a first guess
    /// must be [default: balanced].
    #[arg(long, value_enum, value_name = "NAME", help_heading = "Answer")]
    pub preset: Option<PresetKind>,

    /// Time constant of the running average, 0 (every frame as it is) to 600 seconds.
    #[arg(long, value_name = "SECONDS", value_parser = parse_averaging, help_heading = "Answer")]
    pub averaging: Option<f64>,

    /// How long another genre must be the best before it is shown, 0 to 600 seconds.
    #[arg(long, value_name = "SECONDS", value_parser = parse_averaging, help_heading = "Answer")]
    pub dwell: Option<f64>,

    /// Score below which no genre is shown, 0 to 1; at 0, all music gets a genre [default: the
    /// model's own].
    #[arg(long, value_name = "SCORE", value_parser = parse_score, help_heading = "Answer")]
    pub unsure_below: Option<f32>,

    /// While no genre is named, feeds keep the last one for so many seconds, or until 'silence':
    /// lights do not go dark.
    #[arg(long, value_name = "SECONDS", value_parser = parse_hold, help_heading = "All feeds")]
    pub hold_genre: Option<HoldGenre>,

    /// How frame scores become one: their mean, or their geometric mean (one clear no weighs more)
    /// [default: arithmetic].
    #[arg(long, value_enum, value_name = "KIND", help_heading = "Answer")]
    pub mean: Option<MeanKind>,

    /// Print JSON Lines instead of the view (docs/messages.md).
    #[arg(long, help_heading = "JSON Lines")]
    pub json: bool,

    /// Also append JSON Lines to this file.
    #[arg(long, value_name = "FILE", help_heading = "JSON Lines")]
    pub json_file: Option<PathBuf>,

    /// Also send OSC to this receiver, HOST or HOST:PORT; may be given several times.
    #[arg(long, value_name = "HOST", help_heading = "OSC")]
    pub osc: Vec<String>,

    /// What to send by OSC: a preset (default, qlcplus, magicq, grandma3, resolume) or a map file.
    #[arg(long, value_name = "MAP", help_heading = "OSC")]
    pub osc_map: Option<String>,

    /// Allow OSC to multicast and broadcast addresses.
    #[arg(long, help_heading = "OSC")]
    pub osc_multicast: bool,

    /// Also send OS2L to this lighting program, HOST or HOST:PORT, or 'auto' to find one in the
    /// network; may be given several times.
    #[arg(long, value_name = "HOST", help_heading = "OS2L")]
    pub os2l: Vec<String>,

    /// The page, and feeds for homes and other programs.
    #[command(flatten)]
    pub more: FeedArgs,

    /// Print plain lines even on a terminal.
    #[arg(long, conflicts_with = "json")]
    pub plain: bool,

    /// Lights.
    #[command(flatten)]
    pub lights: LightsArgs,
}

fn parse_raw(text: &str) -> Result<RawPcm, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let [format, rate, channels] = parts[..] else {
        return Err("not of the form FORMAT:RATE:CHANNELS, such as s16le:48000:2".into());
    };
    let format = RawFormat::ALL
        .into_iter()
        .find(|known| known.name() == format)
        .ok_or_else(|| {
            let names = RawFormat::ALL.map(RawFormat::name).join(", ");
            format!("there is no format '{format}'; there are {names}")
        })?;
    let rate: u32 = rate
        .parse()
        .map_err(|_| format!("'{rate}' is no sample rate"))?;
    let rate = SampleRate::new(rate).map_err(|error| error.to_string())?;
    let n_channels = channels
        .parse()
        .ok()
        .filter(|n| (1..=RawPcm::MAX_CHANNELS).contains(n))
        .ok_or_else(|| {
            let most = RawPcm::MAX_CHANNELS;
            format!("'{channels}' is no number of channels (1 to {most})")
        })?;
    Ok(RawPcm {
        format,
        rate,
        n_channels,
    })
}

fn parse_number(text: &str, range: std::ops::RangeInclusive<f64>) -> Result<f64, String> {
    let value: f64 = text
        .parse()
        .map_err(|_| format!("'{text}' is not a number"))?;
    if range.contains(&value) {
        Ok(value)
    } else {
        let (low, high) = (range.start(), range.end());
        Err(format!("{value} is not in {low} to {high}"))
    }
}

fn parse_speed(text: &str) -> Result<f64, String> {
    parse_number(text, 0.01..=10_000.0)
}

fn parse_averaging(text: &str) -> Result<f64, String> {
    parse_number(text, 0.0..=600.0)
}

fn parse_score(text: &str) -> Result<f32, String> {
    parse_number(text, 0.0..=1.0).map(|score| score as f32)
}

fn parse_hold(text: &str) -> Result<HoldGenre, String> {
    let setting = match text.parse() {
        Ok(seconds) => HoldSetting::Seconds(seconds),
        Err(_) => HoldSetting::Word(text.to_owned()),
    };
    setting.rule()
}

/// How scores become a readout, as the options and then the configuration say.
fn pipeline_config(args: &ListenArgs, settings: &Listen) -> PipelineConfig {
    let preset = preset(args, settings);
    let mut decision = DecisionConfig::preset(preset);
    if let Some(dwell) = args.dwell.or(settings.dwell) {
        decision.dwell = Seconds(dwell);
    }
    decision.unsure_below = args.unsure_below.or(settings.unsure_below);
    PipelineConfig {
        decision,
        ..PipelineConfig::default()
    }
}

fn preset(args: &ListenArgs, settings: &Listen) -> Preset {
    args.preset
        .or(settings.preset)
        .map_or_else(Preset::default, Preset::from)
}

/// Listens until it is told to stop, or the input ends.
///
/// # Errors
/// When the source, the model or a feed cannot be opened, or standard output is closed.
pub fn run(args: ListenArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let settings = &context.config.listen;
    let json = (args.json || settings.json) && !args.plain;
    let model = context.load_model()?;
    let stop = Stop::on_signal(Again::Waits)?;
    let on_screen = io::stdout().is_terminal() && io::stdin().is_terminal() && !json && !args.plain;
    // From here on, sound libraries are asked for things.
    let quiet = QuietStderr::new(if on_screen {
        PassOn::AtTheEnd
    } else {
        PassOn::AtOnce
    });

    let mut stream = if let Some(path) = &args.input {
        let Some(opened) = open_or_wait(path, args.raw, &stop)? else {
            return Ok(stop.exit_code());
        };
        Stream::file(&model, path, opened, &args, settings, stop.flag())?
    } else {
        let device = args.device.as_deref().unwrap_or(&settings.device);
        Stream::device(
            &model,
            Selection::parse(device),
            pipeline_config(&args, settings),
            // Only the view and strips show a level that moves.
            if on_screen || args.lights.moves(context) {
                Latency::Low
            } else {
                Latency::Any
            },
        )?
    };
    let averaging = args
        .averaging
        .or(settings.averaging)
        .map_or_else(|| preset(&args, settings).averaging(), Seconds);
    stream.controls.set_averaging(averaging);
    if let Some(mean) = args.mean.or(settings.mean) {
        stream.controls.set_mean(mean.into());
    }

    let hello = Hello::new(
        model.labels().clone(),
        stream.source.as_str(),
        model.card().name.as_str(),
    );
    let mut feeds = Feeds::new(hello);
    add_feeds(&mut feeds, &args, context, json)?;
    let (controls, counters) = (&stream.controls, &stream.counters);
    let remarks = args.more.add_to(&mut feeds, context, controls, counters)?;
    lights::add_feeds(
        &mut feeds,
        &args.lights,
        context,
        (&model, &stream.counters),
    )?;
    // The first of them, see there.
    let stdout = json.then_some(0);
    let kept = settings.hold_genre.as_ref().map(HoldSetting::rule);
    // The configuration was checked when it was read.
    let kept = args.hold_genre.or(kept.and_then(Result::ok));
    anyhow::ensure!(
        args.hold_genre.is_none() || !feeds.runners().is_empty(),
        "--hold-genre needs a feed that keeps the genre, such as --json, --osc HOST, --sacn HOST or --http"
    );
    feeds.set_hold(kept);

    let mut show: Box<dyn Show> = if json {
        Box::new(Silent)
    } else if on_screen {
        let live = matches!(stream.kind, Kind::Device(_));
        let look = Look::of(context);
        let (labels, name) = (model.labels().clone(), model.card().name.clone());
        let view = View::new(labels, &stream.source, &name, look, live);
        Box::new(OnScreen::open(view, &stream)?)
    } else {
        Box::new(Lines::new(model.labels().clone()))
    };
    for remark in remarks {
        show.say(&remark);
    }
    let result = attend(&mut stream, &mut feeds, stdout, show.as_mut(), stop.flag());
    // The terminal is given back before anything more is said.
    drop(show);
    drop(quiet);
    let feeds = feeds.finish();
    let Attended { heard, left } = result?;
    if left {
        // What is played need not be heard to its end.
        stop.flag().store(true, Ordering::Relaxed);
    }
    let begun = stream.has_begun();
    if let Some(error) = stdout.and_then(|index| feeds.get(index)?.1.last_error.as_ref()) {
        anyhow::bail!("{error}");
    }
    for (name, stats) in &feeds {
        let (missed, offered) = (stats.missed, stats.offered);
        // Who has ended wanted nothing more, or it was said why.
        if missed > 0 && !stats.ended {
            complain(format_args!(
                "{name}: {missed} of {offered} readouts were not delivered"
            ));
        }
    }
    if let Some(played) = stream.end(stop.asked())? {
        let name = args.input.as_deref().map(shown_input).unwrap_or_default();
        for remark in &played.remarks {
            complain(format_args!("{name}: {remark}"));
        }
        if !heard && !stop.asked() {
            let least = SongClassifier::shortest(&model);
            complain(format_args!("{name}: {}", too_short(played.length, least)));
        }
    }
    Ok(if begun {
        ExitCode::SUCCESS
    } else {
        stop.exit_code()
    })
}

/// What the command line says, or else the configuration.
pub(super) fn given<'a>(args: &'a [String], settings: &'a [String]) -> &'a [String] {
    if args.is_empty() { settings } else { args }
}

fn add_feeds(
    feeds: &mut Feeds,
    args: &ListenArgs,
    context: &Context,
    json: bool,
) -> anyhow::Result<()> {
    let settings = &context.config.listen;
    if json {
        let runner = SinkRunner::spawn(Box::new(JsonlSink::stdout()), feeds.hello())?;
        feeds.add(runner);
    }
    if let Some(path) = args.json_file.as_ref().or(settings.json_file.as_ref()) {
        make_json_file_ready(path, args.input.as_deref())?;
        let runner = SinkRunner::spawn(Box::new(JsonlSink::append(path)?), feeds.hello())?;
        feeds.add(runner);
    }
    for target in given(&args.os2l, &settings.os2l) {
        let sink = Os2lSink::new(target)?;
        feeds.add(SinkRunner::spawn(Box::new(sink), feeds.hello())?);
    }
    let receivers = given(&args.osc, &settings.osc);
    if receivers.is_empty() {
        // A map in the configuration file waits for a receiver on the command line.
        let without = [
            ("--osc-map", args.osc_map.is_some()),
            ("--osc-multicast", args.osc_multicast),
        ];
        for (option, given) in without {
            anyhow::ensure!(
                !given,
                "{option} needs a receiver: --osc HOST, or listen.osc in the configuration file"
            );
        }
        return Ok(());
    }
    let map = context.config.load_named(
        ("listen.osc_map", settings.osc_map.as_ref()),
        args.osc_map.as_ref(),
        |name| load_map(name),
    )?;
    let map = map.unwrap_or_default();
    map.check(&feeds.hello().labels)?;
    for target in receivers {
        let mut config = OscConfig::new(target.as_str());
        config.map = map.clone();
        config.allow_multicast = args.osc_multicast;
        let sink = OscSink::new(config).map_err(|error| match error {
            SinkError::Multicast { .. } => {
                anyhow::anyhow!("{error}, or allow it with --osc-multicast")
            }
            other => other.into(),
        })?;
        let runner = SinkRunner::spawn(Box::new(sink), feeds.hello())?;
        feeds.add(runner);
    }
    Ok(())
}

pub(super) fn load_map(name: &str) -> anyhow::Result<Map> {
    let path = Path::new(name);
    if path.extension().is_some() || path.exists() {
        let text = settings_text("OSC map", path)?;
        return Ok(Map::from_toml(&text, name)?);
    }
    Ok(Map::preset(name)?)
}

/// Refuses files that something else wrote and the one that is listened to; half a line at the end
/// is taken away.
fn make_json_file_ready(path: &Path, input: Option<&Path>) -> anyhow::Result<()> {
    // Nothing is lost by writing to a pipe or a terminal.
    if is_stream(path) {
        return must_have_reader(path);
    }
    let output = OutputFile::at(path)?;
    output.must_not_be(input, "the file to listen to")?;
    if output.exists() && json_lines::make_ready(&output)? {
        complain(format_args!(
            "the last line of '{}' was cut off; it was taken away",
            path.display()
        ));
    }
    Ok(())
}

fn is_stream(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        std::fs::metadata(path)
            .is_ok_and(|found| found.file_type().is_fifo() || found.file_type().is_char_device())
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// To open a pipe that nobody reads would wait for a reader, for ever if need be.
#[cfg(unix)]
fn must_have_reader(path: &Path) -> anyhow::Result<()> {
    use rustix::{
        fs::{Mode, OFlags, open},
        io::Errno,
    };
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    anyhow::ensure!(
        open(path, flags, Mode::empty()).map(drop) != Err(Errno::NXIO),
        "nobody reads the pipe '{}'; start what reads it first",
        path.display()
    );
    Ok(())
}

#[cfg(not(unix))]
fn must_have_reader(_: &Path) -> anyhow::Result<()> {
    Ok(())
}

/// Opens the input; `None` when the user asks to end first. A pipe that nobody writes to never
/// opens: after a while it is listened to as one that has stalled.
fn open_or_wait(path: &Path, raw: Option<RawPcm>, stop: &Stop) -> anyhow::Result<Option<Opened>> {
    let (opened, result) = crossbeam_channel::bounded(1);
    let path = path.to_owned();
    thread::Builder::new()
        .name("opener".into())
        .spawn(move || drop(opened.send(open_input(&path, raw))))
        .context("cannot start the thread that opens the input")?;
    let since = Instant::now();
    while !stop.asked() {
        match result.recv_timeout(Duration::from_millis(50)) {
            Ok(file) => return file.map(|file| Some(Opened::Now(Box::new(file)))),
            Err(RecvTimeoutError::Timeout) if since.elapsed() >= STALL => {
                return Ok(Some(Opened::Later(result)));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(opener_failed()),
        }
    }
    Ok(None)
}

/// What is listened to.
struct Stream {
    source: String,
    controls: Arc<Controls>,
    counters: Arc<Counters>,
    updates: Receiver<Readout>,
    kind: Kind,
}

enum Kind {
    Device(Capture),
    File(Player),
}

impl Stream {
    fn device(
        model: &Arc<Model>,
        selection: Selection,
        config: PipelineConfig,
        latency: Latency,
    ) -> anyhow::Result<Self> {
        let capture = Capture::start(model, selection, config, latency)?;
        Ok(Self {
            source: capture.source().id.clone(),
            controls: Arc::clone(capture.controls()),
            counters: Arc::clone(capture.counters()),
            updates: capture.updates().clone(),
            kind: Kind::Device(capture),
        })
    }

    fn file(
        model: &Arc<Model>,
        path: &Path,
        opened: Opened,
        args: &ListenArgs,
        settings: &Listen,
        stop: &Arc<AtomicBool>,
    ) -> anyhow::Result<Self> {
        let config = RealtimeConfig {
            rate: match &opened {
                Opened::Now(file) => file.rate(),
                // Until it is known.
                Opened::Later(_) => SampleRate::MIN,
            },
            max_block: MAX_BLOCK,
            pipeline: pipeline_config(args, settings),
        };
        let (input, listener) = Listener::start(model, config)?;
        let updates = listener.updates();
        let speed = match (args.fast, args.speed) {
            (true, _) => None,
            (false, speed) => Some(speed.unwrap_or(1.0)),
        };
        let (controls, counters) = (listener.controls(), listener.counters());
        let source = shown_input(path);
        let player = Player::start(
            opened,
            &source,
            input,
            (listener, updates.clone()),
            speed,
            stop,
        )
        .context("cannot start the playing threads")?;
        Ok(Self {
            source,
            controls,
            counters,
            updates,
            kind: Kind::File(player),
        })
    }

    fn events(&self) -> Receiver<CaptureEvent> {
        match &self.kind {
            Kind::Device(capture) => capture.events().clone(),
            Kind::File(player) => player.events(),
        }
    }

    /// It is no pipe that is still waited for.
    fn has_begun(&self) -> bool {
        match &self.kind {
            Kind::Device(_) => true,
            Kind::File(player) => player.has_begun(),
        }
    }

    /// What there is to say of the input, once all of it was heard.
    fn end(self, stopped: bool) -> anyhow::Result<Option<Played>> {
        match self.kind {
            Kind::Device(capture) => {
                drop(capture);
                Ok(None)
            }
            Kind::File(player) => player.end(stopped),
        }
    }
}

/// How listening ended.
struct Attended {
    /// There was a readout.
    heard: bool,
    /// The user left, or nobody listens any more; the stream may go on.
    left: bool,
}

/// Passes readouts and events on until the stream ends, the user leaves or nobody listens any more.
fn attend(
    stream: &mut Stream,
    feeds: &mut Feeds,
    stdout: Option<usize>,
    show: &mut dyn Show,
    stop: &AtomicBool,
) -> anyhow::Result<Attended> {
    let events = stream.events();
    let mut heard = false;
    let is_file = matches!(stream.kind, Kind::File(_));
    let mut updates = stream.updates.clone();
    let mut ticked = Instant::now();
    let mut troubles = Troubles::new(stdout);
    let mut outdated = 0;
    while !stop.load(Ordering::Relaxed) {
        let patience = show.pace().saturating_sub(ticked.elapsed());
        let update = updates.recv_timeout(patience);
        // Before the readout that it brought: why a source is lost, where the next one comes from.
        loop {
            match events.try_recv() {
                Ok(event) => {
                    match event {
                        CaptureEvent::Lost { .. } | CaptureEvent::Stalled { .. } => {
                            outdated = OUTDATED;
                        }
                        CaptureEvent::Started { .. }
                        | CaptureEvent::Resumed { .. }
                        | CaptureEvent::GoesOn { .. } => outdated = 0,
                        _ => {}
                    }
                    tell_feeds(feeds, &event);
                    show.event(&event);
                }
                Err(TryRecvError::Disconnected) if !is_file => {
                    anyhow::bail!("the capture thread has failed; this is a defect of genrescope")
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        match update {
            // From before the loss, which was told.
            Ok(readout) if outdated > 0 && readout.state != State::Lost => outdated -= 1,
            Ok(readout) => {
                heard = true;
                if is_file {
                    feeds.publish_waiting(&readout, FEED_PATIENCE);
                } else {
                    feeds.publish(&readout);
                }
                show.readout(&readout)?;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                if !is_file {
                    anyhow::bail!(
                        "the listening thread has failed; this is a defect of genrescope"
                    );
                }
                if !show.ended() {
                    return Ok(Attended { heard, left: false });
                }
                updates = never();
            }
        }
        for message in troubles.news(feeds.runners(), Instant::now()) {
            show.say(&message);
        }
        if ticked.elapsed() >= show.pace() {
            let elapsed = ticked.elapsed();
            ticked = Instant::now();
            if !show.tick(stream, elapsed)? {
                return Ok(Attended { heard, left: true });
            }
            // With its only reader gone, JSON on standard output has come to its end.
            if stdout.is_some_and(|index| feeds.runners()[index].stats().ended) {
                return Ok(Attended { heard, left: true });
            }
        }
    }
    Ok(Attended { heard, left: true })
}

fn tell_feeds(feeds: &mut Feeds, event: &CaptureEvent) {
    match event {
        CaptureEvent::Started { source, .. } if *feeds.hello().source != *source.id => {
            feeds.set_source(source.id.as_str());
        }
        CaptureEvent::Lost { .. }
        | CaptureEvent::StillLost { .. }
        | CaptureEvent::Stalled { .. } => {
            feeds.status(State::Lost, Some(&event.to_string()));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_formats_are_checked_in_words() {
        let raw = parse_raw("s24le:44100:6").unwrap();
        assert_eq!(
            (raw.format, raw.rate.hz(), raw.n_channels),
            (RawFormat::S24Le, 44_100, 6)
        );
        for (text, expected) in [
            (
                "s16le",
                "not of the form FORMAT:RATE:CHANNELS, such as s16le:48000:2",
            ),
            (
                "mp3:48000:2",
                "there is no format 'mp3'; there are s16le, s24le, s32le, f32le",
            ),
            (
                "s16le:4000:2",
                "a sample rate of 4000 Hz is not supported (8000 to 384000 Hz are)",
            ),
            (
                "s16le:1000000:2",
                "a sample rate of 1000000 Hz is not supported (8000 to 384000 Hz are)",
            ),
            ("s16le:x:2", "'x' is no sample rate"),
            ("f32le:48000:0", "'0' is no number of channels (1 to 64)"),
            ("f32le:48000:65", "'65' is no number of channels (1 to 64)"),
        ] {
            assert_eq!(parse_raw(text).unwrap_err(), expected);
        }
    }

    #[test]
    fn speeds_and_times_have_ranges() {
        assert_eq!(parse_speed("2.5"), Ok(2.5));
        assert_eq!(parse_speed("0").unwrap_err(), "0 is not in 0.01 to 10000");
        assert!(parse_speed("nan").is_err());
        assert_eq!(parse_averaging("-1").unwrap_err(), "-1 is not in 0 to 600");
        assert_eq!(parse_score("0.4"), Ok(0.4));
        assert_eq!(parse_score("1.1").unwrap_err(), "1.1 is not in 0 to 1");
        assert_eq!(parse_hold("30"), Ok(HoldGenre::For(Seconds(30.0))));
        assert_eq!(parse_hold("silence"), Ok(HoldGenre::UntilSilence));
        assert!(parse_hold("nan").unwrap_err().contains("silence"));
    }
}
