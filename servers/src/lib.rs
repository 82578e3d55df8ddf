//! The matching servers of authbench: one app shell, many authentication schemes.
//!
//! Every arm (`none`, `session@memory`, `jwt-hs256`, ...) is the same router, the same handlers,
//! the same users, limits and headers; only a [`schemes::Scheme`], and for a stateful one its
//! [`stores::SessionStore`], differ. They are dispatched statically, so that no arm pays for the
//! presence of another. Imports go only leftwards:
//!
//! `contract -> error, clock, json, users, cart -> stores -> schemes -> app -> serve`
//!
//! Nothing here reads flags, signals or stdin: [`serve::serve`] is a function of listeners and of
//! a reason to stop, and whoever calls it is the command.

pub mod app;
pub mod cart;
pub mod clock;
pub mod error;
mod json;
pub mod schemes;
pub mod serve;
pub mod stores;
pub mod users;

pub use app::Work;
pub use contract;
pub use error::ServeError;
pub use schemes::{ArmInfo, arms};
pub use serve::{ServeOptions, Shared, bind, serve, share};
pub use users::PasswordHash;
