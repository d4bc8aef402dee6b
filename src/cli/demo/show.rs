//! Where the demonstration is shown: in the listener's view, in lines, or as JSON.

use std::{
    io::{self, Write},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;

use super::{Piece, PieceVerdict, Programme};
use crate::{
    cli::{
        Context,
        output_file::stdout,
        signals::{Again, Stop},
        tui::{Action, LiveScreen, Look, View, state_words},
    },
    decision::{Readout, State},
    genre::{KIND_OF, Labels},
    network::Model,
    realtime::Listener,
    sink::{Feeds, Hello, SinkRunner, jsonl::JsonlSink},
    units::Seconds,
    words::Language,
};

/// The last picture stays this long, unless a key is pressed.
const LAST_PICTURE: Duration = Duration::from_secs(10);

/// Where the demonstration is shown.
pub(super) trait Show {
    fn start(&mut self, programme: &Programme) -> anyhow::Result<()>;
    fn piece(&mut self, piece: &Piece) -> anyhow::Result<()>;
    fn readout(&mut self, programme: &Programme, readout: &Readout) -> anyhow::Result<()>;
    fn end(&mut self, programme: &Programme, verdicts: &[PieceVerdict]) -> anyhow::Result<()>;
    /// Time passes, block by block; `false` when the user has seen enough.
    fn tick(&mut self, _piece: &Piece, _position: Seconds) -> anyhow::Result<bool> {
        Ok(true)
    }
}

/// The terminal view of `genrescope listen`, and afterwards the table of what was heard.
pub(super) struct DemoView {
    /// `None` once the terminal was given back.
    screen: Option<LiveScreen>,
    drawn: Instant,
    /// A signal says that it is over.
    stop: Stop,
    /// The user has seen enough.
    left: bool,
    lines: Lines,
}

impl DemoView {
    pub(super) fn open(
        model: &Arc<Model>,
        listener: &Listener,
        context: &Context,
    ) -> anyhow::Result<Self> {
        let (labels, name) = (model.labels(), model.card().name.as_str());
        let view = View::new(labels.clone(), "demo", name, Look::of(context), false);
        let stop = Stop::on_signal(Again::Waits)?;
        let screen = LiveScreen::open(view, listener.controls(), listener.counters())
            .context("cannot take the terminal over; --fast shows lines instead")?;
        Ok(Self {
            screen: Some(screen),
            drawn: Instant::now(),
            stop,
            left: false,
            lines: Lines::new(labels),
        })
    }

    /// Draws if it is time to; `false` when the user wants to leave.
    fn draw(&mut self) -> io::Result<bool> {
        let Some(screen) = &mut self.screen else {
            return Ok(false);
        };
        if self.stop.asked() || screen.key()? == Some(Action::Quit) {
            self.left = true;
            return Ok(false);
        }
        let elapsed = self.drawn.elapsed();
        if elapsed >= LiveScreen::FRAME {
            self.drawn = Instant::now();
            screen.draw(elapsed)?;
        }
        Ok(true)
    }
}

impl Show for DemoView {
    fn start(&mut self, _: &Programme) -> anyhow::Result<()> {
        Ok(())
    }

    fn piece(&mut self, _: &Piece) -> anyhow::Result<()> {
        Ok(())
    }

    fn readout(&mut self, _: &Programme, readout: &Readout) -> anyhow::Result<()> {
        if let Some(screen) = &mut self.screen {
            screen.view.update(readout);
        }
        Ok(())
    }

    fn tick(&mut self, piece: &Piece, position: Seconds) -> anyhow::Result<bool> {
        if let Some(screen) = &mut self.screen {
            screen.view.set_caption(piece.caption(position));
        }
        Ok(self.draw()?)
    }

    fn end(&mut self, programme: &Programme, verdicts: &[PieceVerdict]) -> anyhow::Result<()> {
        if !self.left
            && let Some(screen) = &mut self.screen
        {
            screen.view.end();
            screen.view.set_caption("q shows what was heard");
            let ended = Instant::now();
            while ended.elapsed() < LAST_PICTURE && self.draw()? {
                thread::sleep(LiveScreen::FRAME);
            }
        }
        // Gives the terminal back.
        self.screen = None;
        self.lines.end(programme, verdicts)
    }
}

/// JSON Lines on standard output.
pub(super) struct Json {
    feeds: Feeds,
    first: bool,
}

impl Json {
    pub(super) fn new(model: &Arc<Model>) -> Self {
        let name = model.card().name.as_str();
        Self {
            feeds: Feeds::new(Hello::new(model.labels().clone(), "demo", name)),
            first: true,
        }
    }
}

impl Show for Json {
    fn start(&mut self, _: &Programme) -> anyhow::Result<()> {
        Ok(())
    }
    fn piece(&mut self, piece: &Piece) -> anyhow::Result<()> {
        self.feeds
            .set_source(format!("demo:{}", piece.style.name()));
        if std::mem::take(&mut self.first) {
            let runner = SinkRunner::spawn(Box::new(JsonlSink::stdout()), self.feeds.hello())?;
            self.feeds.add(runner);
        }
        Ok(())
    }
    fn readout(&mut self, _: &Programme, readout: &Readout) -> anyhow::Result<()> {
        self.feeds.publish_waiting(readout, Duration::from_secs(5));
        if self
            .feeds
            .runners()
            .iter()
            .all(|runner| runner.stats().ended)
        {
            // The reader has ended, as `head` does.
            return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
        }
        Ok(())
    }
    fn end(&mut self, _: &Programme, _: &[PieceVerdict]) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Plain lines: what plays, what changes, and a table at the end.
pub(super) struct Lines {
    labels: Labels,
    newest: Option<(Option<usize>, State)>,
}

impl Lines {
    pub(super) fn new(labels: &Labels) -> Self {
        Self {
            labels: labels.clone(),
            newest: None,
        }
    }

    fn label(&self, index: usize) -> &str {
        self.labels.get(index).unwrap_or("?")
    }

    fn best(&self, readout: &Readout, n: usize) -> String {
        let ranked = self.labels.ranked(&readout.scores);
        let best: Vec<String> = ranked
            .iter()
            .take(n)
            .map(|&(index, score)| format!("{} {:.0} %", self.label(index), 100.0 * score))
            .collect();
        best.join(", ")
    }
}

impl Show for Lines {
    fn start(&mut self, programme: &Programme) -> anyhow::Result<()> {
        let mut out = stdout();
        writeln!(
            out,
            "{} pieces, {} of music, composed and synthesised by this program.\n",
            programme.pieces.len(),
            programme.length()
        )?;
        Ok(out.flush()?)
    }

    fn piece(&mut self, piece: &Piece) -> anyhow::Result<()> {
        let mut out = stdout();
        writeln!(
            out,
            "{:>5}  plays {}: {}",
            piece.start,
            piece.style.name(),
            piece.style.description()
        )?;
        self.newest = None;
        Ok(out.flush()?)
    }

    fn readout(&mut self, _: &Programme, readout: &Readout) -> anyhow::Result<()> {
        let now = (readout.genre, readout.state);
        if self.newest.replace(now) == Some(now) {
            return Ok(());
        }
        let mut out = stdout();
        match readout.genre {
            Some(index) => writeln!(
                out,
                "{:>5}    hears {:<10} {}: {}",
                readout.position,
                self.labels.path(index),
                readout.state.as_str(),
                self.best(readout, 3)
            )?,
            None if readout.state == State::Unsure => writeln!(
                out,
                "{:>5}    {}",
                readout.position,
                state_words(
                    readout,
                    &self.labels,
                    Duration::ZERO,
                    Language::English.words()
                )
            )?,
            None => {
                let words = match readout.state {
                    State::Warming => return Ok(()),
                    state => state.words(),
                };
                writeln!(out, "{:>5}    {words}", readout.position)?;
            }
        }
        Ok(out.flush()?)
    }

    fn end(&mut self, programme: &Programme, verdicts: &[PieceVerdict]) -> anyhow::Result<()> {
        let mut out = stdout();
        writeln!(
            out,
            "\n{:<11} {:<11} {:>10}  {:>12}{}",
            "intended",
            "heard",
            "confidence",
            "first after",
            if verdicts.iter().any(|verdict| verdict.wide.is_some()) {
                "   with --model wide"
            } else {
                ""
            }
        )?;
        let mut right = 0;
        let played = programme
            .pieces
            .iter()
            .zip(verdicts)
            .filter(|(_, verdict)| verdict.last.is_some());
        let mut n_played = 0;
        for (piece, verdict) in played {
            n_played += 1;
            let genre = verdict
                .last
                .and_then(|last| last.genre)
                .map(|index| self.labels.path(index));
            let heard = match (&verdict.last, &genre) {
                (Some(_), Some(genre)) => genre.clone(),
                (Some(last), None) => format!("({})", last.state.as_str()),
                (None, _) => "(nothing)".to_owned(),
            };
            let confidence = verdict.last.map_or(0.0, |last| last.confidence);
            let first = verdict
                .first_after
                .map_or("-".to_owned(), |seconds| format!("{seconds:.1} s"));
            // With a model of families, the family or the kind.
            let as_intended = genre
                .as_deref()
                .is_some_and(|path| path.split(KIND_OF).any(|name| name == piece.style.name()));
            right += usize::from(as_intended);
            writeln!(
                out,
                "{:<11} {:<11} {:>8.0} %  {:>12}{}{}",
                piece.style.name(),
                heard,
                100.0 * confidence,
                first,
                verdict
                    .wide
                    .as_ref()
                    .map_or(String::new(), |path| format!("   {path}")),
                if as_intended {
                    ""
                } else {
                    "   not as intended"
                }
            )?;
        }
        writeln!(
            out,
            "\n{right} of {n_played} heard as intended. These pieces are synthetic; the model learned from recordings of people."
        )?;
        Ok(out.flush()?)
    }
}
