//! Commands of the trainer that the documentation names exist.

use clap::CommandFactory as _;

#[path = "../../../tests/support/docs.rs"]
mod docs;

#[test]
fn commands_on_pages_exist() {
    let complaints = docs::complaints(&super::Cli::command(), 40);
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}
