//! The tests of the servers, a file per subject. They are one program, which is linked once and
//! whose tests share the stores that they start.

#![allow(clippy::unwrap_used, reason = "tests, and their helpers, which clippy does not exempt")]

mod common;

mod arms_apart;
mod cached_store;
mod conformance;
mod cross_site;
mod every_refresh_store;
mod every_store;
mod fuzz;
mod handler_work;
mod hostile_sockets;
mod issuer;
mod jwt_attacks;
mod knobs;
mod memory_store;
mod over_a_socket;
mod paseto;
mod populate;
mod postgres_faults;
mod postgres_store;
mod redis_denylist;
mod redis_refresh;
mod redis_store;
mod refresh;
mod remembering_tokens;
mod sealed;
mod shared_arms;
mod signed_tokens;
mod sqlite_store;
mod store_faults;
mod touch;
mod weak_keys;
