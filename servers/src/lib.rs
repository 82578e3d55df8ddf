//! The servers of authbench: one app shell and many arms, which differ in their [`schemes::Scheme`]
//! and, where stateful, in its [`stores::SessionStore`]. Imports go only leftwards: `contract ->
//! error, clock, json, allocator, users, cart -> stores -> schemes -> app -> serve -> deployment`.

mod allocator;
pub mod app;
pub mod cart;
pub mod clock;
pub mod deployment;
pub mod error;
mod json;
pub mod schemes;
pub mod serve;
pub mod stores;
pub mod users;

pub use app::Work;
pub use contract;
pub use deployment::{Balance, Deployment, Proxy, deploy};
pub use error::ServeError;
pub use schemes::{ArmInfo, arms};
pub use serve::{ServeOptions, Shared, Speech, bind, serve, share};
pub use users::PasswordHash;
