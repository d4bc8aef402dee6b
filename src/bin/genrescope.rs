//! The `genrescope` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    closed::refuse_writing();
    genrescope::cli::main()
}

/// Standard output that was closed by whoever started the program (`>&-`). What is written there is
/// lost, and a run that loses its answers must not end as if it had given them.
#[cfg(target_os = "linux")]
mod closed {
    use std::{
        os::unix::net::UnixDatagram,
        sync::atomic::{AtomicBool, Ordering},
    };

    use rustix::{
        io::fcntl_getfd,
        stdio::{dup2_stdout, stdout},
    };

    static CLOSED: AtomicBool = AtomicBool::new(false);

    /// Before `main` Rust puts `/dev/null` where standard output is closed, and from then on nobody
    /// can tell.
    #[used]
    #[expect(
        unsafe_code,
        reason = "the linker's table of what runs before Rust does: a C function without arguments that calls nothing of the standard library's \
                  that needs to be set up"
    )]
    #[unsafe(link_section = ".init_array")]
    static LOOK: extern "C" fn() = look;

    extern "C" fn look() {
        CLOSED.store(fcntl_getfd(stdout()).is_err(), Ordering::Relaxed);
    }

    /// Puts there what refuses every write: a socket that leads nowhere.
    pub(super) fn refuse_writing() {
        if CLOSED.load(Ordering::Relaxed)
            && let Ok(nowhere) = UnixDatagram::unbound()
        {
            // If it cannot be had, it is as with any other program.
            let _ = dup2_stdout(nowhere);
        }
    }
}
