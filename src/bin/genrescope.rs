//! The `genrescope` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    genrescope::cli::main()
}
