//! What several servers of one arm share: the key that credentials are made with, and a store.
//!
//! A service is more than one process, and each is replaced now and then. Whether that logs anybody
//! out depends on what outlives a process: a key in a file, a store with a server or a file of its
//! own. Both are made here by opening the arm once, as a server would, and keeping it open. A store
//! in a server's memory cannot be shared, and nothing here pretends that it can.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::app::{self, OpenArm};
use crate::contract::StoreProcess;
use crate::error::ServeError;
use crate::schemes::{SchemeOptions, arms};
use crate::stores;
use crate::users::PasswordHash;

/// What the servers of an arm share. A store's server that was started for it ends when this is
/// dropped.
pub struct Shared {
    /// The key of a token scheme, as `--key-file` takes it; `None` where the arm has none.
    pub key: Option<Vec<u8>>,
    /// Where the store is; `None` where each server has its own.
    pub store_url: Option<String>,
    /// While it is open, its store's server lives.
    arm: OpenArm,
}

impl Shared {
    /// The server of the store, where there is one.
    #[must_use]
    pub const fn store(&self) -> Option<&StoreProcess> {
        self.arm.store.as_ref()
    }
}

/// Makes what the servers of this arm share; a store without a server is a file in `folder`.
///
/// # Errors
/// Where the arm is unknown, or its store cannot be opened.
pub async fn share(arm: &str, folder: &Path) -> Result<Shared, ServeError> {
    let place = arms()
        .iter()
        .find(|info| info.arm == arm)
        .and_then(|info| info.store)
        .and_then(stores::place);
    let file = place.filter(|place| place.program.is_none()).map(|place| {
        let path = folder.join(place.store);
        place.url.replace("PATH", &path.display().to_string())
    });
    let made_key = Arc::new(OnceLock::new());
    let options = SchemeOptions {
        store_url: file.clone(),
        made_key: Some(Arc::clone(&made_key)),
        ..SchemeOptions::default()
    };
    let arm = app::open(arm, &options, PasswordHash::default()).await?;
    let store_url = file.or_else(|| arm.store.as_ref().map(|store| store.url.clone()));
    Ok(Shared { key: made_key.get().cloned(), store_url, arm })
}
