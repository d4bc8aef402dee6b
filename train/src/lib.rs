//! Where genrescope's models come from: data, training, evaluation, export.

pub mod audio;
pub mod augment;
mod block;
pub mod calibrate;
pub mod datasets;
pub mod degrade;
pub mod ears;

pub mod distil;
pub mod evaluate;
pub mod export;
pub mod fit;
pub mod heads;
pub mod hearing;
pub mod keras;
pub mod live;
pub mod material;
pub mod metrics;
pub mod mobilenet;
pub mod optim;
pub mod parallel;
pub mod pictures;
pub mod rng;
pub mod sounds;
pub mod study;
pub mod svg;
pub mod teacher;
pub mod trainable;
pub mod transfer;
pub mod trust;
pub mod wide;
pub mod yamnet;
