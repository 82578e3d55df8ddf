//! The load generator, campaigns, statistics and reports of authbench: a [`spec`] becomes a
//! [`plan`], its trials drive servers with the [`engine`] and leave [`record`]s, and [`stats`] and
//! [`report`] make pages of these. `ARCHITECTURE.md` says which module may import which.

pub mod attack;
pub mod campaign;
pub mod cli;
pub mod client;
pub mod engine;
pub mod error;
pub mod experiment;
pub mod files;
pub mod journey;
pub mod limits;
pub mod load;
pub mod plan;
pub mod proc;
pub mod random;
pub mod record;
pub mod report;
pub mod sanitise;
pub mod spec;
pub mod stats;
pub mod transport;
pub mod units;
