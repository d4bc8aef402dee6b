//! Where genrescope's models come from: data, training, evaluation, export.

pub mod keras;
pub mod pytorch;
