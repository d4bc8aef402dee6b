//! Where genrescope's models come from.

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            genrescope_train::study::say(&format!("genrescope-train: {error:#}\n"));
            ExitCode::from(2)
        }
    }
}
