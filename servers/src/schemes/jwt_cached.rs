//! `jwt-cached`: HS256 tokens with a bounded cache of those that were found good.

use std::hash::BuildHasher;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use hashbrown::DefaultHashBuilder;
use parking_lot::Mutex;

use super::bearer::Tokens;
use super::claims::Verified;
use super::jwt::SignedTokens;
use super::jwt_hs256;
use super::scheme::{ArmInfo, Form, Rejection, SchemeOptions, Token};
use crate::cart::Cart;
use crate::error::ServeError;
use crate::users::User;

/// The arm `jwt-cached`.
pub const INFO: ArmInfo = ArmInfo {
    arm: "jwt-cached",
    scheme: "jwt-cached",
    store: None,
    summary: "HS256 tokens; the server remembers up to 65,536 that it has found good.",
    authenticates: true,
    stateful: false,
    revokes: false,
    revokes_refresh: false,
    refreshes: false,
    form: Form::Tuned,
    after_restart: "Tokens stay valid if the key does; the cache fills again.",
};

/// Most tokens that are remembered.
pub const TOKENS_MAX: usize = SETS * WAYS;
/// Most bytes of a token that is remembered.
pub const TOKEN_BYTES_MAX: usize = 1024;
/// Places of a set.
pub const WAYS: usize = 16;
const SETS: usize = 4096;

struct Entry {
    hash: u64,
    /// When it was last asked for, in the set's own count.
    used: u64,
    token: Box<[u8]>,
    says: Verified,
}

#[derive(Default)]
struct Set {
    count: u64,
    entries: Vec<Entry>,
}

/// The scheme.
///
/// A token that was verified once is compared and not verified again: all of its bytes, in constant
/// time, with one that was found good. So no other token can ever hit, whatever its hash; the hash
/// only chooses where to look. Begin and expiry are checked at every hit against the clock.
///
/// Memory per user comes back, and that is what this arm is for to show: at most [`TOKENS_MAX`]
/// tokens of at most [`TOKEN_BYTES_MAX`] bytes, longer ones being verified every time. The cache is
/// sets of [`WAYS`] places; in a full set the token that was not asked for the longest makes room.
pub struct CachedTokens {
    tokens: SignedTokens,
    hasher: DefaultHashBuilder,
    sets: Box<[Mutex<Set>]>,
}

/// Opens the arm, with a random key unless one is given.
///
/// # Errors
/// [`ServeError::ShortKey`], [`ServeError::Key`], [`ServeError::Entropy`].
pub async fn open(options: &SchemeOptions) -> Result<CachedTokens, ServeError> {
    Ok(CachedTokens {
        tokens: SignedTokens::open(INFO.arm, &jwt_hs256::KIND, options)?,
        hasher: DefaultHashBuilder::default(),
        sets: (0..SETS).map(|_| Mutex::default()).collect(),
    })
}

impl CachedTokens {
    /// How many tokens are remembered, for tests and figures.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.sets.iter().map(|set| set.lock().entries.len()).sum()
    }

    fn hash(&self, token: &[u8]) -> u64 {
        // The end of the signature is as good as random, and it cannot be chosen without the key.
        self.hasher.hash_one(&token[token.len().saturating_sub(32)..])
    }

    fn set(&self, hash: u64) -> &Mutex<Set> {
        &self.sets[usize::try_from(hash % SETS as u64).unwrap_or_default()]
    }

    fn find(&self, hash: u64, token: &[u8]) -> Option<Verified> {
        let mut set = self.set(hash).lock();
        set.count += 1;
        let now = set.count;
        let same = |entry: &&mut Entry| {
            entry.hash == hash && verify_slices_are_equal(&entry.token, token).is_ok()
        };
        let entry = set.entries.iter_mut().find(same)?;
        entry.used = now;
        Some(entry.says.clone())
    }

    fn remember(&self, hash: u64, token: &[u8], says: &Verified) {
        let mut set = self.set(hash).lock();
        // Two requests may have verified the same token at the same time.
        set.entries.retain(|entry| entry.hash != hash);
        if set.entries.len() >= WAYS {
            let oldest = (0..set.entries.len()).min_by_key(|&n| set.entries[n].used);
            set.entries.swap_remove(oldest.unwrap_or_default());
        }
        let used = set.count;
        set.entries.push(Entry { hash, used, token: token.into(), says: says.clone() });
    }

    fn forget(&self, hash: u64) {
        self.set(hash).lock().entries.retain(|entry| entry.hash != hash);
    }
}

impl Tokens for CachedTokens {
    fn sign(&self, user: User, cart: &Cart, expires: Option<u64>) -> Result<Token, Rejection> {
        self.tokens.sign(user, cart, expires)
    }

    fn verify(&self, token: &[u8]) -> Result<Verified, Rejection> {
        if token.len() > TOKEN_BYTES_MAX {
            return self.tokens.verify(token);
        }
        let hash = self.hash(token);
        if let Some(says) = self.find(hash, token) {
            let in_time = self.tokens.profile().check_time(says.begins, says.expires);
            return in_time.map(|()| says).map_err(|reason| {
                self.forget(hash);
                Rejection::Invalid(reason)
            });
        }
        let says = self.tokens.verify(token)?;
        self.remember(hash, token, &says);
        Ok(says)
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = self.tokens.notes();
        notes.push(format!(
            "Up to {TOKENS_MAX} verified tokens of at most {TOKEN_BYTES_MAX} bytes are remembered; \
             of each {WAYS} the one not used for the longest makes room."
        ));
        notes
    }
}
