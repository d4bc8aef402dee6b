//! A command that is run when the genre changes.
//!
//! No shell reads it: its words are the program and its arguments, and what was heard stands in its
//! environment. One runs at a time, no more often than once a second; one that does not end is
//! killed. When several changes come meanwhile, it is run for the newest. At the end it is run once
//! more without a genre, where there was one.

use std::{
    io,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use super::{Hello, Sink, SinkError, Status, Update, jsonl::update_line};
use crate::decision::{Reason, State};

/// Time between two runs, at least.
const REST: Duration = Duration::from_secs(1);

/// A command that takes longer is killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a running command is looked at.
const TICK: Duration = Duration::from_millis(100);

/// How long the last run waits for the one before.
const FAREWELL: Duration = Duration::from_millis(200);

/// A command, run when the genre changes.
#[derive(Debug)]
pub struct ExecSink {
    words: Vec<String>,
    /// The newest that was heard.
    newest: Option<Update>,
    /// The genre that the command was run for last; without it, there is nothing to take back.
    told: Option<String>,
    running: Option<(Child, Instant)>,
    started: Option<Instant>,
}

impl ExecSink {
    /// Runs `command`, of which the first word is the program; words are parted by spaces and may
    /// be quoted.
    ///
    /// # Errors
    /// [`SinkError::Setting`] when it has no word, or a quote has no end.
    pub fn new(command: &str) -> Result<Self, SinkError> {
        Ok(Self {
            words: words(command)?,
            newest: None,
            told: None,
            running: None,
            started: None,
        })
    }

    fn failed(&self, source: io::Error) -> SinkError {
        SinkError::Write {
            target: format!("to {}: it did not run", self.name()),
            source,
        }
    }

    /// Looks whether the command has ended, and ends it when it takes too long.
    fn look(&mut self, now: Instant) -> Result<(), SinkError> {
        let Some((child, since)) = &mut self.running else {
            return Ok(());
        };
        let late = now.saturating_duration_since(*since) >= PATIENCE;
        let ended = child.try_wait();
        if matches!(ended, Ok(None)) && late {
            end(child);
            self.running = None;
            let why = format!(
                "it did not end within {} s, and was killed",
                PATIENCE.as_secs()
            );
            return Err(self.failed(io::Error::other(why)));
        }
        match ended {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                self.running = None;
                if status.success() {
                    return Ok(());
                }
                Err(self.failed(io::Error::other(shown(status))))
            }
            Err(error) => {
                self.running = None;
                Err(self.failed(error))
            }
        }
    }

    /// Runs the command if there is something new, and it may.
    fn run(&mut self, now: Instant) -> Result<(), SinkError> {
        let Some(update) = &self.newest else {
            return Ok(());
        };
        let genre = update.genre().map(str::to_owned);
        let rests = self
            .started
            .is_some_and(|at| now.saturating_duration_since(at) < REST);
        if self.running.is_some() || rests || self.told == genre {
            return Ok(());
        }
        let command = self.command(update, update.readout.state.as_str());
        self.start(command, genre, now)
    }

    fn command(&self, update: &Update, state: &str) -> Command {
        let mut command = Command::new(&self.words[0]);
        let readout = &update.readout;
        command
            .args(&self.words[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .env("GENRESCOPE_GENRE", update.genre().unwrap_or_default())
            .env("GENRESCOPE_STATE", state)
            .env(
                "GENRESCOPE_REASON",
                readout.reason.map_or("", Reason::as_str),
            )
            .env(
                "GENRESCOPE_CONFIDENCE",
                format!("{:.3}", readout.confidence),
            )
            .env("GENRESCOPE_SOURCE", &*update.source)
            .env("GENRESCOPE_READOUT", update_line(update));
        for secret in ["GENRESCOPE_HTTP_TOKEN", "GENRESCOPE_MQTT_PASSWORD"] {
            command.env_remove(secret);
        }
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt as _;
            // So that what it has started can be ended with it, and Ctrl+C is not for it.
            command.process_group(0);
        }
        command
    }

    fn start(
        &mut self,
        mut command: Command,
        genre: Option<String>,
        now: Instant,
    ) -> Result<(), SinkError> {
        self.told = genre;
        self.started = Some(now);
        match command.spawn() {
            Ok(child) => {
                self.running = Some((child, now));
                Ok(())
            }
            Err(error) => Err(self.failed(error)),
        }
    }
}

/// The words of a command.
fn words(command: &str) -> Result<Vec<String>, SinkError> {
    let wrong = |why: &str| SinkError::Setting {
        feed: "exec",
        what: "command",
        value: command.to_owned(),
        why: why.to_owned(),
    };
    let words = shlex::split(command).ok_or_else(|| wrong("a quote or a backslash has no end"))?;
    if words.first().is_none_or(String::is_empty) {
        return Err(wrong("there is no program in it"));
    }
    if words.iter().any(|word| word.contains('\0')) {
        return Err(wrong("it holds a zero byte"));
    }
    Ok(words)
}

/// Checks a command as it is given on the command line or in the configuration.
///
/// # Errors
/// [`SinkError::Setting`] when it has no word, or a quote has no end.
pub fn check_command(command: &str) -> Result<(), SinkError> {
    words(command).map(drop)
}

/// Ends a command and all that it has started.
fn end(child: &mut Child) {
    #[cfg(unix)]
    if let Some(group) = rustix::process::Pid::from_raw(child.id().cast_signed()) {
        // It may have ended by itself.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

fn shown(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("it ended with exit code {code}"),
        None => "it was ended by a signal".into(),
    }
}

impl Sink for ExecSink {
    fn name(&self) -> String {
        format!("exec '{}'", self.words[0])
    }

    fn hello(&mut self, _: &Hello) -> Result<(), SinkError> {
        Ok(())
    }

    fn update(&mut self, update: &Update, now: Instant) -> Result<(), SinkError> {
        self.newest = Some(update.clone());
        self.run(now)
    }

    fn status(&mut self, status: &Status) -> Result<(), SinkError> {
        // A lost source may never bring a readout that says so.
        if status.state == State::Lost
            && let Some(newest) = &mut self.newest
        {
            newest.readout.set_state(State::Lost);
            newest.held = false;
        }
        Ok(())
    }

    fn tick_period(&self) -> Option<Duration> {
        let newest = self.newest.as_ref();
        let waits = newest.is_some_and(|update| self.told.as_deref() != update.genre());
        (waits || self.running.is_some()).then_some(TICK)
    }

    fn tick(&mut self, now: Instant) -> Result<(), SinkError> {
        self.look(now)?;
        self.run(now)
    }

    fn close(&mut self) {
        let start = Instant::now();
        while let Some((child, _)) = &mut self.running
            && matches!(child.try_wait(), Ok(None))
        {
            if start.elapsed() >= FAREWELL {
                end(child);
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.running = None;
        if let (Some(_), Some(mut update)) = (&self.told, self.newest.take()) {
            update.readout.set_state(State::Lost);
            let command = self.command(&update, "ended");
            // It outlives us.
            let _ = self.start(command, None, Instant::now());
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::sink::tests as fixtures;

    /// A command that writes down what it is told.
    fn noting(dir: &std::path::Path, more: &str) -> ExecSink {
        let script = "echo \"$1 $GENRESCOPE_GENRE $GENRESCOPE_STATE\" >> log; ";
        let script = script.replace("log", &dir.join("log").display().to_string());
        ExecSink::new(&format!("sh -c '{script}{more}' sh 'one; word'")).unwrap()
    }

    fn settle(sink: &mut ExecSink) -> Result<(), SinkError> {
        let start = Instant::now();
        while sink.running.is_some() {
            assert!(start.elapsed() < Duration::from_secs(60), "it does not end");
            sink.look(Instant::now())?;
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    #[test]
    fn it_runs_on_change_and_once_more_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let mut sink = noting(dir.path(), "");
        // A clock of our own: each readout comes 2 s after the one before.
        let start = Instant::now();
        let told = [None, Some(9), Some(9), None, None, Some(0), Some(0)];
        for (seq, genre) in (1..).zip(told) {
            let now = start + Duration::from_secs(2 * seq);
            sink.update(&fixtures::update(seq, genre), now).unwrap();
            settle(&mut sink).unwrap();
        }
        sink.close();
        settle(&mut sink).unwrap();
        let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
        let expected =
            "one; word rock live\none; word  unsure\none; word blues live\none; word  ended\n";
        assert_eq!(log, expected);
    }

    #[test]
    fn a_storm_of_changes_runs_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let mut sink = noting(dir.path(), "");
        let start = Instant::now();
        for seq in 1..=1_000 {
            let update = fixtures::update(seq, Some((seq % 2) as usize));
            sink.update(&update, start).unwrap();
        }
        settle(&mut sink).unwrap();
        sink.tick(start + REST).unwrap();
        settle(&mut sink).unwrap();
        let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
        assert_eq!(log.lines().count(), 2, "{log}");
        assert!(log.ends_with("blues live\n"), "{log}");
    }

    #[test]
    fn what_hangs_is_killed_with_all_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let mut sink = noting(
            dir.path(),
            "sleep 3600 & echo $! > pid; wait"
                .replace("pid", &dir.path().join("pid").display().to_string())
                .as_str(),
        );
        let start = Instant::now();
        sink.update(&fixtures::update(1, Some(9)), start).unwrap();
        let pid = dir.path().join("pid");
        while std::fs::read_to_string(&pid).map_or(true, |text| !text.ends_with('\n')) {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "it does not start"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(sink.tick(start + PATIENCE / 2).is_ok());
        let error = sink.tick(start + PATIENCE).unwrap_err().to_string();
        assert!(error.contains("was killed"), "{error}");
        let pid = std::fs::read_to_string(pid).unwrap();
        let alive = || {
            let text = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
            text.is_ok_and(|text| !text.contains(") Z "))
        };
        while cfg!(target_os = "linux") && alive() {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "what it started goes on"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn what_cannot_run_is_said_with_its_name() {
        let mut sink = ExecSink::new("/no/such/program").unwrap();
        let update = fixtures::update(1, Some(9));
        let error = sink
            .update(&update, Instant::now())
            .unwrap_err()
            .to_string();
        assert!(error.contains("/no/such/program"), "{error}");
        let mut sink = ExecSink::new("false").unwrap();
        sink.update(&update, Instant::now()).unwrap();
        let error = settle(&mut sink).unwrap_err().to_string();
        assert!(error.contains("exit code 1"), "{error}");
        for bad in ["", "  ", "sh -c 'x"] {
            assert!(ExecSink::new(bad).is_err(), "{bad}");
        }
    }
}
