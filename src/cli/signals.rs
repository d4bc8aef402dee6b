//! Ctrl-C, and the system's request to end.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use anyhow::Context as _;

/// Whether someone asked the program to end, and how.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
}

/// What a second request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It changes nothing: a terminal must be given back first.
    Waits,
    /// It ends the program at once.
    Ends,
}

/// After a request to end, the program has this long to do so by itself.
#[cfg(unix)]
const GRACE: std::time::Duration = std::time::Duration::from_secs(5);

/// Ends the program some seconds after a request, should whoever must see the request be stuck: in
/// a write to a terminal that is stopped, or to a pipe that nobody reads.
#[cfg(unix)]
fn end_whatever_happens(signals: &[i32], newest: Arc<AtomicUsize>) -> std::io::Result<()> {
    use signal_hook::low_level::{emulate_default_handler, pipe};
    use std::{io::Read as _, os::unix::net::UnixStream};
    let (mut asked, ask) = UnixStream::pair()?;
    for &signal in signals {
        pipe::register(signal, ask.try_clone()?)?;
    }
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            // It waits without a clock, so it costs nothing.
            if asked.read_exact(&mut [0]).is_err() {
                return;
            }
            std::thread::sleep(GRACE);
            // What the terminal was; writing to it might wait for ever.
            let _ = crossterm::terminal::disable_raw_mode();
            let signal = newest.load(Ordering::Relaxed) as i32;
            let _ = emulate_default_handler(signal);
        })?;
    Ok(())
}

impl Stop {
    /// Is asked from now on whenever a signal to end comes.
    ///
    /// # Errors
    /// When the system allows no handler.
    pub fn on_signal(again: Again) -> anyhow::Result<Self> {
        let stop = Self::default();
        stop.register(again)
            .context("cannot listen for the signals to end")?;
        Ok(stop)
    }

    #[cfg(unix)]
    fn register(&self, again: Again) -> std::io::Result<()> {
        use signal_hook::{
            consts::{SIGHUP, SIGINT, SIGTERM},
            flag,
        };
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            if again == Again::Ends {
                // Looks at the flag before this signal sets it.
                flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&self.asked))?;
            }
            flag::register_usize(signal, Arc::clone(&self.signal), signal as usize)?;
            flag::register(signal, Arc::clone(&self.asked))?;
        }
        if again == Again::Waits {
            end_whatever_happens(&[SIGINT, SIGTERM, SIGHUP], Arc::clone(&self.signal))?;
        }
        Ok(())
    }

    #[cfg(not(unix))]
    fn register(&self, again: Again) -> Result<(), ctrlc::Error> {
        let stop = self.clone();
        ctrlc::set_handler(move || {
            stop.signal.store(2, Ordering::Relaxed);
            if stop.asked.swap(true, Ordering::Relaxed) && again == Again::Ends {
                std::process::exit(130);
            }
        })
    }

    /// The flag alone.
    pub fn flag(&self) -> &Arc<AtomicBool> {
        &self.asked
    }

    /// Has someone asked?
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// 130 after Ctrl-C, 143 after SIGTERM: as shells say it of programs that a signal ended.
    pub fn exit_code(&self) -> ExitCode {
        let signal = self.signal.load(Ordering::Relaxed);
        ExitCode::from(u8::try_from(128 + signal).unwrap_or(130))
    }
}
