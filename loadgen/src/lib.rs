//! The load generator, campaigns, statistics and reports of authbench.
//!
//! A campaign goes one way: a human writes a [`spec`]; expanding it makes a [`plan`]; every trial
//! of the plan starts a server, drives it with the [`engine`] and leaves a [`record`]; [`stats`]
//! and [`report`] turn records into estimates and pages. `ARCHITECTURE.md` has the table of which
//! module may import which, and the test `tidy` holds it.
//!
//! The engine knows a server through the descriptor in `servers::contract` only. It must never
//! learn which scheme it drives: every arm has to run the same client instructions.

pub mod attack;
pub mod campaign;
pub mod cli;
pub mod client;
pub mod experiment;
pub mod plan;
pub mod proc;
pub mod record;
pub mod report;
pub mod sanitise;
pub mod spec;
pub mod units;

pub use engine;
pub use engine::{error, files, journey, limits, load, transport};
pub use stats;
pub use stats::random;
