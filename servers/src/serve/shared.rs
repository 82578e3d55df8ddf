//! What several servers of one arm share: the key that credentials are made with, and a store.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::app::{self, OpenArm};
use crate::contract::{Secrets, StoreProcess};
use crate::error::{ServeError, StoreError};
use crate::schemes::{SchemeOptions, arms};
use crate::stores::folder::Folder;
use crate::stores::{self, Boxed};
use crate::users::PasswordHash;

/// What the servers of an arm share. A store's server that was started for it ends when this is
/// dropped, and a file goes.
///
/// A service is more than one process, and each is replaced now and then. Whether that logs anybody
/// out depends on what outlives a process: a key, a store with a server or a file of its
/// own. Both are made here by opening the arm once, as a server would, and keeping it open. A store
/// in a server's memory cannot be shared, and nothing here pretends that it can.
pub struct Shared {
    /// The key of a token scheme and where the store is, as far as the arm has them.
    pub secrets: Secrets,
    /// While it is open, its store's server lives.
    arm: OpenArm,
    /// Goes after the arm has been closed.
    _folder: Option<Folder>,
}

impl Shared {
    /// The server of the store, where there is one.
    #[must_use]
    pub const fn store(&self) -> Option<&StoreProcess> {
        self.arm.store.as_ref()
    }
}

/// Makes what the servers of this arm share; a store without a server is a file in a temporary
/// folder. An issuer is started from this program ([`SchemeOptions::program`]).
///
/// # Errors
/// Where the arm is unknown, or its store cannot be opened.
pub fn share(arm: &str, program: Option<PathBuf>) -> Boxed<'_, Result<Shared, ServeError>> {
    share_given(arm, program, Secrets::default())
}

/// The same, where a key or a store is there already.
pub(crate) fn share_given(
    arm: &str,
    program: Option<PathBuf>,
    given: Secrets,
) -> Boxed<'_, Result<Shared, ServeError>> {
    Box::pin(async move {
        let place = arms()
            .iter()
            .find(|info| info.arm == arm)
            .and_then(|info| info.store)
            .and_then(stores::place)
            .filter(|place| place.is_file && given.store_url.is_none());
        let refused = |store, error: std::io::Error| StoreError {
            store,
            operation: "be given a temporary folder",
            found: error.to_string(),
        };
        let folder = place
            .map(|place| Folder::make().map_err(|error| refused(place.store, error)))
            .transpose()?;
        let file = place.zip(folder.as_ref()).map(|(place, folder)| {
            place.url.replace("PATH", &folder.home().join(place.store).display().to_string())
        });
        let made_key = Arc::new(OnceLock::new());
        let options = SchemeOptions {
            key: given.key.clone(),
            store_url: file.clone().or_else(|| given.store_url.clone()),
            made_key: Some(Arc::clone(&made_key)),
            program,
            ..SchemeOptions::default()
        };
        let arm = app::open(arm, &options, PasswordHash::default()).await?;
        let own = || Some(arm.store.as_ref()?.url.secret().to_owned());
        let secrets = Secrets {
            key: given.key.or_else(|| made_key.get().cloned()),
            store_url: given.store_url.or(file).or_else(own),
        };
        Ok(Shared { secrets, arm, _folder: folder })
    })
}
