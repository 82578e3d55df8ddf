//! The load generator, campaigns, statistics and reports of authbench: a [`spec`] becomes a
//! [`plan`], its trials drive servers with the [`engine`] and leave [`record`]s, and [`stats`] and
//! [`report`] make pages of these. `ARCHITECTURE.md` says which module may import which.

pub mod agents;
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
pub mod soak;
pub mod spec;
pub mod ui;
pub mod units;

pub use engine;
pub use engine::{error, files, journey, limits, load, transport};
pub use stats;
pub use stats::random;
