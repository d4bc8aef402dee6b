//! Where genrescope's models come from: data, training, evaluation, export.

pub mod audio;
pub mod augment;
pub mod conv;
pub mod datasets;
pub mod degrade;
pub mod evaluate;
pub mod export;
pub mod fit;
pub mod gru;
pub mod heads;
pub mod keras;
pub mod metrics;
pub mod net;
pub mod optim;
pub mod parallel;
pub mod pictures;
pub mod pytorch;
pub mod rng;
pub mod study;
pub mod svg;
pub mod teacher;
pub mod transfer;
pub mod trust;
