//! The tests of the command and of the engine from outside, a file per subject. They are one
//! program, which is linked once, and in which tests that wait do so together.

#![allow(clippy::unwrap_used, reason = "a failure anywhere in a test is a failed test")]

mod agents;
mod attack;
mod browser;
mod carts;
mod ci_page;
mod circles;
mod cli;
mod compare;
mod coverage;
mod curve;
mod deploy;
mod deployments;
mod docs;
mod drills;
mod effects;
mod equivalence;
mod faults;
mod field;
mod files;
mod fuzz;
mod hostile;
mod hostile_text;
mod kills;
mod knobs;
mod leftovers;
mod mixes;
mod odd_answers;
mod places;
mod population;
mod readers;
mod reference;
mod renewals;
mod resume;
mod run_flags;
mod schemas;
mod secrets;
mod serve;
mod shell;
mod simulation;
mod slices;
mod soak;
mod sockets;
mod target_files;
mod target_verb;
mod targets;
mod tidy;
mod ui;
#[path = "../zoo/mod.rs"]
mod zoo;
