//! How the users of a target keep cookies.

use serde::{Deserialize, Serialize};

/// What users do with the cookies that answers set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cookies {
    /// Whether each user keeps all of them, as a browser does, and sends those that go to a path;
    /// true by default. Otherwise they keep those alone that the login names.
    #[serde(default = "yes")]
    pub keep: bool,
    /// Whether answers during a closed or open load change them too; false by default. Those of
    /// logins and of what users do before a load always do.
    #[serde(default)]
    pub renew: bool,
}

const fn yes() -> bool {
    true
}

impl Default for Cookies {
    fn default() -> Self {
        Self { keep: true, renew: false }
    }
}
