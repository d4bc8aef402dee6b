//! `genrescope demo`: about a minute of music made in code, through the real live path, without
//! sound card or files.

mod next_steps;
mod show;

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use self::{
    next_steps::{next_steps, programs, sources},
    show::{DemoView, Json, Lines, Show},
};
use super::{
    Context, complain,
    output_file::{OutputFile, stdout},
    quiet::{PassOn, QuietStderr},
};
use crate::{
    decision::Readout,
    network::{BuiltIn, Model},
    pipeline::PipelineConfig,
    realtime::{AudioInput, Listener, RealtimeConfig},
    song::{Multiframe, SongClassifier, Verdict},
    source::{
        capture::Playback,
        synth::{Music, Style, render},
    },
    units::{SampleRate, Seconds},
};

/// Rate of the music, in Hz.
const RATE: u32 = 44_100;

/// Silence between pieces: long enough for the listener to notice that a song has ended.
const PAUSE: Seconds = Seconds(3.0);

/// Sample frames in a block, as a sound card would deliver them.
const BLOCK: usize = 1_024;

/// Arguments of `genrescope demo`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  genrescope demo\n  genrescope demo --styles jazz,metal --seconds 30\n  \
                        genrescope demo --play\n  genrescope demo --fast --json | jq .genre\n  \
                        genrescope demo --wav demo.wav"
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct DemoArgs {
    /// Pieces to play, in this order: blues, classical, country, disco, hiphop, jazz, metal, pop,
    /// reggae, rock.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = parse_style, default_value = "classical,hiphop,blues")]
    pub styles: Vec<Style>,

    /// Length of each piece in seconds, 4 to 120.
    #[arg(long, value_name = "SECONDS", default_value_t = 20.0, value_parser = parse_seconds)]
    pub seconds: f64,

    /// Another seed is another take of the same pieces.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub seed: u64,

    /// Play as fast as the machine can (the default when standard output is not a terminal).
    #[arg(long, overrides_with = "real_time")]
    pub fast: bool,

    /// Play at real speed even when standard output is not a terminal.
    #[arg(long, overrides_with = "fast")]
    pub real_time: bool,

    /// Play aloud, by the system's default output.
    #[arg(long, conflicts_with = "fast")]
    pub play: bool,

    /// Also write the music to this file (16-bit stereo).
    #[arg(long, value_name = "FILE")]
    pub wav: Option<PathBuf>,

    /// Overwrite the file of --wav if it exists.
    #[arg(long, requires = "wav")]
    pub force: bool,

    /// Print JSON Lines, as `listen --json` does (docs/messages.md).
    #[arg(long)]
    pub json: bool,
}

fn parse_style(name: &str) -> Result<Style, String> {
    Style::from_name(name.trim()).ok_or_else(|| {
        let names: Vec<&str> = Style::ALL.into_iter().map(Style::name).collect();
        format!(
            "there is no piece in that style; there are {}",
            names.join(", ")
        )
    })
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| format!("'{text}' is not a number"))?;
    if (4.0..=120.0).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("a piece has 4 to 120 seconds (an answer needs 3)".to_owned())
    }
}

/// Runs the demonstration.
///
/// # Errors
/// When the model cannot be loaded, the wav file cannot be written, or standard output is closed.
#[expect(
    clippy::needless_pass_by_value,
    reason = "every command takes its arguments so"
)]
pub fn run(args: DemoArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let model = context.load_model()?;
    let fast = args.fast || !(args.real_time || args.play || io::stdout().is_terminal());
    let programme = Programme::new(&args);
    if let Some(path) = &args.wav {
        programme.write_wav(path, args.force)?;
    }
    let config = RealtimeConfig {
        rate: programme.rate,
        max_block: BLOCK,
        pipeline: PipelineConfig::default(),
    };
    let mut aloud = args.play.then(|| aloud(programme.rate)).flatten();
    let (input, listener) = Listener::start(&model, config)?;
    let mut show: Box<dyn Show> = if args.json {
        Box::new(Json::new(&model))
    } else if !fast && io::stdout().is_terminal() && io::stdin().is_terminal() {
        Box::new(DemoView::open(&model, &listener, context)?)
    } else {
        Box::new(Lines::new(model.labels()))
    };
    show.start(&programme)?;
    let mut verdicts = play(
        Heard {
            input,
            listener: &listener,
            aloud: aloud.as_mut(),
        },
        &programme,
        fast,
        show.as_mut(),
    )?;
    if let Some(aloud) = aloud {
        aloud.finish();
    }
    if !args.json && context.model.is_none() {
        hear_wide(&programme, &mut verdicts)?;
    }
    show.end(&programme, &verdicts)?;
    if !args.json {
        let mut out = stdout();
        out.write_all(next_steps(&sources(), &programs()).as_bytes())?;
        out.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The output to play by. Without one the demonstration goes on, and says why it is silent.
fn aloud(rate: SampleRate) -> Option<Playback> {
    let opened = {
        let _quiet = QuietStderr::new(PassOn::AtTheEnd);
        Playback::open(rate)
    };
    opened
        .inspect_err(|error| complain(format_args!("{error}")))
        .ok()
}

/// What is played when.
#[derive(Debug)]
struct Programme {
    pieces: Vec<Piece>,
    rate: SampleRate,
}

#[derive(Debug)]
struct Piece {
    style: Style,
    music: Music,
    /// Where it starts in the stream.
    start: Seconds,
    /// Where its sound ends.
    end: Seconds,
}

impl Piece {
    /// What plays at `position` of the programme, in a line.
    fn caption(&self, position: Seconds) -> String {
        if position.0 > self.end.0 {
            return "a pause".into();
        }
        let (now, length) = (position.0 - self.start.0, self.end.0 - self.start.0);
        format!(
            "plays {} ({} of {}): {}",
            self.style.name(),
            Seconds(now.max(0.0)),
            Seconds(length),
            self.style.description()
        )
    }
}

impl Programme {
    fn new(args: &DemoArgs) -> Self {
        let rate = SampleRate::new(RATE).unwrap_or(SampleRate::MIN);
        let length = Seconds(args.seconds);
        // Composed side by side: whoever starts the demo waits for this.
        let rendered: Vec<Music> = thread::scope(|scope| {
            let players: Vec<_> = args
                .styles
                .iter()
                .map(|&style| scope.spawn(move || render(style, rate, length, args.seed)))
                .collect();
            players
                .into_iter()
                .map(|player| {
                    player
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        });
        let mut start = Seconds(0.0);
        let mut pieces = Vec::with_capacity(args.styles.len());
        for (&style, mut music) in args.styles.iter().zip(rendered) {
            music.fade(Seconds(0.005), Seconds(0.6));
            let end = Seconds(start.0 + length.0);
            pieces.push(Piece {
                style,
                music,
                start,
                end,
            });
            start = Seconds(end.0 + PAUSE.0);
        }
        Self { pieces, rate }
    }

    fn length(&self) -> Seconds {
        self.pieces.last().map_or(Seconds(0.0), |piece| piece.end)
    }

    /// The piece that sounds at `position`, or has just sounded.
    fn at(&self, position: Seconds) -> Option<usize> {
        self.pieces
            .iter()
            .rposition(|piece| piece.start.0 <= position.0)
    }

    fn write_wav(&self, path: &Path, force: bool) -> anyhow::Result<()> {
        let output = OutputFile::at(path)?;
        if !force {
            output.must_be_new("--force replaces it")?;
        }
        output.replace(|out| self.wav(out))
    }

    /// A RIFF file, 16-bit PCM (Multimedia Programming Interface 1.0, 1991).
    fn wav(&self, out: &mut dyn Write) -> io::Result<()> {
        let pause = self.rate.samples(PAUSE) as usize;
        let frames: usize = self
            .pieces
            .iter()
            .map(|p| p.music.left.len())
            .sum::<usize>()
            + pause * self.pieces.len().saturating_sub(1);
        // At most 10 styles given over and over by hand; 4 GiB would be six hours.
        let bytes = u32::try_from(frames * 4)
            .ok()
            .filter(|&bytes| bytes < u32::MAX - 36)
            .ok_or_else(|| io::Error::other("a wav file has at most 4 GiB"))?;
        let rate = self.rate.hz();
        out.write_all(b"RIFF")?;
        out.write_all(&(bytes + 36).to_le_bytes())?;
        out.write_all(b"WAVEfmt \x10\0\0\0\x01\0\x02\0")?;
        out.write_all(&rate.to_le_bytes())?;
        out.write_all(&(rate * 4).to_le_bytes())?;
        out.write_all(b"\x04\0\x10\0data")?;
        out.write_all(&bytes.to_le_bytes())?;
        for (index, piece) in self.pieces.iter().enumerate() {
            if index > 0 {
                out.write_all(&vec![0; pause * 4])?;
            }
            for sample in piece.music.interleaved() {
                out.write_all(&((sample * 32_767.0).round() as i16).to_le_bytes())?;
            }
        }
        Ok(())
    }
}

/// What was heard in a piece.
#[derive(Clone, Debug, Default)]
struct PieceVerdict {
    /// The last readout while it sounded.
    last: Option<Readout>,
    /// Seconds from its start to the first genre that was shown.
    first_after: Option<f64>,
    /// What the model of many kinds says of the piece.
    wide: Option<String>,
}

/// Asks the model of many kinds about the pieces that were played.
fn hear_wide(programme: &Programme, verdicts: &mut [PieceVerdict]) -> anyhow::Result<()> {
    let model = Model::built_in(BuiltIn::Wide);
    for (piece, verdict) in programme.pieces.iter().zip(verdicts) {
        if verdict.last.is_none() {
            continue;
        }
        let rule = Multiframe {
            skip: Seconds(0.0),
            ..Multiframe::default()
        };
        let mut song = SongClassifier::new(&model, programme.rate, rule)?;
        song.push(&piece.music.mono());
        let song = song.finish();
        let best = model.labels().ranked(&song.scores);
        verdict.wide = Some(match (song.verdict, best.first()) {
            (Verdict::Genre(index), _) => model.labels().path(index),
            // Its opinion is of interest here, even where it would rather not say.
            (Verdict::Unsure, Some(&(index, _))) => {
                format!("({}?)", model.labels().path(index))
            }
            (verdict, _) => format!("({})", verdict.as_str()),
        });
    }
    Ok(())
}

/// Where the music goes.
struct Heard<'a> {
    input: AudioInput,
    listener: &'a Listener,
    aloud: Option<&'a mut Playback>,
}

/// Plays the programme into the live path; block by block, as a sound card would.
fn play(
    mut heard: Heard<'_>,
    programme: &Programme,
    fast: bool,
    show: &mut dyn Show,
) -> anyhow::Result<Vec<PieceVerdict>> {
    let updates = heard.listener.updates();
    let mut verdicts = vec![PieceVerdict::default(); programme.pieces.len()];
    let mut clock = Pace {
        start: Instant::now(),
        frames: 0,
        rate: programme.rate,
        fast,
    };
    let silence = vec![0.0_f32; 2 * BLOCK];
    let pause_blocks = programme.rate.samples(PAUSE) as usize / BLOCK;
    for (index, piece) in programme.pieces.iter().enumerate() {
        show.piece(piece)?;
        let samples = piece.music.interleaved();
        let pause = if index + 1 < programme.pieces.len() {
            pause_blocks
        } else {
            0
        };
        let blocks = samples
            .chunks(2 * BLOCK)
            .chain(std::iter::repeat_n(silence.as_slice(), pause));
        for block in blocks {
            if let Some(aloud) = &mut heard.aloud {
                aloud.push(block);
            }
            clock.push(&mut heard.input, block)?;
            for readout in updates.try_iter() {
                note(programme, &mut verdicts, &readout);
                show.readout(programme, &readout)?;
            }
            if !show.tick(piece, clock.position())? {
                return Ok(verdicts);
            }
        }
    }
    Ok(verdicts)
}

fn note(programme: &Programme, verdicts: &mut [PieceVerdict], readout: &Readout) {
    let Some(index) = programme.at(readout.position) else {
        return;
    };
    let piece = &programme.pieces[index];
    if readout.position.0 <= piece.end.0 {
        let verdict = &mut verdicts[index];
        if readout.genre.is_some() {
            verdict
                .first_after
                .get_or_insert(readout.position.0 - piece.start.0);
        }
        verdict.last = Some(*readout);
    }
}

/// Real speed, or as fast as the listener can follow.
struct Pace {
    start: Instant,
    frames: u64,
    rate: SampleRate,
    fast: bool,
}

impl Pace {
    fn position(&self) -> Seconds {
        self.rate.duration(self.frames)
    }

    fn push(&mut self, input: &mut AudioInput, block: &[f32]) -> anyhow::Result<()> {
        input.push_interleaved(block, 2);
        self.frames += block.len() as u64 / 2;
        if self.fast {
            // Nothing may be dropped: the next block waits until this one was heard.
            anyhow::ensure!(
                input.wait_until_consumed(Duration::from_secs(30)),
                "the listening thread has stopped"
            );
        } else {
            let due = Duration::from_secs_f64(self.rate.duration(self.frames).0);
            thread::sleep(due.saturating_sub(self.start.elapsed()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command, FromArgMatches as _};

    use super::*;

    fn parse(args: &[&str]) -> Result<DemoArgs, clap::Error> {
        let command = DemoArgs::augment_args(Command::new("demo").no_binary_name(true));
        DemoArgs::from_arg_matches(&command.try_get_matches_from(args)?)
    }

    #[test]
    fn arguments_are_checked() {
        let args = parse(&[]).unwrap();
        assert!((3..=6).contains(&args.styles.len()));
        let args = parse(&["--styles", "jazz, metal", "--seconds", "5"]).unwrap();
        assert_eq!(args.styles, [Style::Jazz, Style::Metal]);
        for wrong in [
            ["--styles", "polka"],
            ["--seconds", "3"],
            ["--seconds", "121"],
            ["--seconds", "nan"],
        ] {
            assert!(parse(&wrong).is_err(), "{wrong:?}");
        }
        assert!(parse(&["--force"]).is_err(), "--force is for --wav");
    }

    #[test]
    fn the_wav_file_is_what_is_played_and_is_not_overwritten() {
        let args = parse(&["--styles", "jazz,reggae", "--seconds", "4"]).unwrap();
        let programme = Programme::new(&args);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("demo.wav");
        programme.write_wav(&path, false).unwrap();
        let mut reader = hound::WavReader::open(&path).unwrap();
        let spec = reader.spec();
        assert_eq!(
            (spec.channels, spec.sample_rate, spec.bits_per_sample),
            (2, RATE, 16)
        );
        assert_eq!(reader.duration(), (4 + 3 + 4) * RATE);
        let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
        let second = &samples[2 * 7 * RATE as usize..];
        let played = programme.pieces[1].music.interleaved();
        assert!(
            second
                .iter()
                .zip(&played)
                .all(|(&s, &p)| (f32::from(s) / 32_767.0 - p).abs() < 2e-5)
        );
        let error = programme.write_wav(&path, false).unwrap_err().to_string();
        assert!(error.contains("--force"), "{error}");
        programme.write_wav(&path, true).unwrap();
    }

    #[test]
    fn positions_belong_to_the_right_piece() {
        let args = parse(&["--styles", "jazz,reggae", "--seconds", "4"]).unwrap();
        let programme = Programme::new(&args);
        assert_eq!(programme.at(Seconds(0.0)), Some(0));
        assert_eq!(programme.at(Seconds(6.9)), Some(0), "the pause after it");
        assert_eq!(programme.at(Seconds(7.0)), Some(1));
        assert_eq!(programme.length(), Seconds(11.0));
    }
}
