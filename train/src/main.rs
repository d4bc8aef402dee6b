//! Where genrescope's models come from.
fn main() {}
