//! What was revoked before its time, as a Bloom filter: less memory than a list, and now and then a
//! good token that is refused.

use std::sync::atomic::{AtomicU64, Ordering};

use fastbloom::AtomicBloomFilter;
use parking_lot::RwLock;

use super::denylist::{Denials, Denied, DeniedId, Denylist};
use super::{Boxed, StoreError, StoreStats, Upkeep};
use crate::clock::Timestamp;
use crate::users::UserId;

/// Revoked tokens that a filter is made for: those of one lifetime of a token.
pub const TOKENS: usize = 1_000_000;
/// Of so many good tokens one is refused where a filter holds [`TOKENS`] revoked ones.
pub const ONE_IN: u32 = 10_000;

/// A filter, and what has to be known to put it away.
struct Generation {
    tokens: AtomicBloomFilter,
    count: AtomicU64,
    /// The latest end of what is in it, milliseconds.
    until: AtomicU64,
}

impl Generation {
    fn new() -> Self {
        let tokens = AtomicBloomFilter::with_false_pos(1.0 / f64::from(ONE_IN));
        Self {
            tokens: tokens.expected_items(TOKENS),
            count: AtomicU64::new(0),
            until: AtomicU64::new(0),
        }
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    fn has(&self, id: DeniedId) -> bool {
        self.count() > 0 && self.tokens.contains(&id)
    }
}

/// The filters, and the list of logouts everywhere.
///
/// A filter never forgets what it was given and cannot be asked to, so there are two, one behind
/// the other. What is denied goes into the first; when everything in the second is over, the first
/// takes its place and a new one is begun. A denied token is therefore refused for as long as it
/// would be valid, and perhaps a while longer. Each is made for [`TOKENS`] tokens: with so many in
/// one it refuses one good token in [`ONE_IN`], with more it refuses more, and a user who meets
/// that has to log in again. Logouts everywhere are few and exact: they are in a list.
pub struct DenyFilter {
    /// Behind a lock only because they change places: what is denied is added under its shared
    /// side.
    generations: RwLock<[Generation; 2]>,
    everywhere: Denylist,
    operations: AtomicU64,
    swept: AtomicU64,
}

impl Default for DenyFilter {
    fn default() -> Self {
        Self {
            generations: RwLock::new([Generation::new(), Generation::new()]),
            everywhere: Denylist::default(),
            operations: AtomicU64::new(0),
            swept: AtomicU64::new(0),
        }
    }
}

impl DenyFilter {
    fn count(&self) {
        self.operations.fetch_add(1, Ordering::Relaxed);
    }

    /// Puts away the second filter where all in it is over, and begins a new one where there is
    /// anything in the first.
    fn turn(&self, now: Timestamp) -> u64 {
        let mut generations = self.generations.write();
        let [first, second] = &*generations;
        if first.count() == 0 || second.until.load(Ordering::Relaxed) > now.millis() {
            return 0;
        }
        let gone = second.count();
        generations[1] = Generation::new();
        generations.swap(0, 1);
        gone
    }
}

impl Denials for DenyFilter {
    async fn issue(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.everywhere.issue(now).await
    }

    fn refuses(&self, user: UserId, id: DeniedId) -> Result<bool, StoreError> {
        self.count();
        let generations = self.generations.read();
        let denied = generations.iter().any(|generation| generation.has(id));
        Ok(denied || self.everywhere.has(user, id))
    }

    async fn deny(
        &self,
        id: DeniedId,
        until: Timestamp,
        _now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.count();
        let generations = self.generations.read();
        let [first, second] = &*generations;
        let known = first.tokens.insert(&id) || second.has(id);
        first.until.fetch_max(until.millis(), Ordering::Relaxed);
        first.count.fetch_add(1, Ordering::Relaxed);
        Ok(!known)
    }

    async fn deny_all(
        &self,
        user: UserId,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.count();
        self.everywhere.add(Denied::User(user, self.everywhere.next_number(now), until));
        Ok(())
    }

    fn notes(&self) -> Vec<String> {
        vec![format!(
            "The list is two Bloom filters of this server's own, each made for {TOKENS} revoked \
             tokens, of which it then refuses one good token in {ONE_IN}, and more with more; no \
             other server knows them."
        )]
    }
}

impl Upkeep for DenyFilter {
    fn sweep(&self, now: Timestamp) -> Boxed<'_, Result<u64, StoreError>> {
        let swept = self.turn(now) + self.everywhere.forget_expired(now);
        self.swept.fetch_add(swept, Ordering::Relaxed);
        Box::pin(async move { Ok(swept) })
    }

    fn stats(&self) -> Boxed<'_, Result<StoreStats, StoreError>> {
        let tokens: u64 = self.generations.read().iter().map(Generation::count).sum();
        let stats = StoreStats {
            sessions: tokens + self.everywhere.figures().sessions,
            operations: self.operations.load(Ordering::Relaxed),
            swept: self.swept.load(Ordering::Relaxed),
            ..StoreStats::default()
        };
        Box::pin(async move { Ok(stats) })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn user() -> UserId {
        UserId::new(7).unwrap()
    }

    /// Ids as they are issued: a number, and bits that look random and are not.
    fn id(n: u64) -> DeniedId {
        let bits = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (u128::from(2_000_000_000_000_000 + n) << 64) | u128::from(bits)
    }

    #[tokio::test]
    async fn what_was_denied_is_refused_until_it_would_have_expired_however_often_it_is_swept() {
        let (filter, life) = (DenyFilter::default(), Duration::from_secs(900));
        let start = Timestamp::from_seconds(2_000_000_000);
        for n in 0..60 {
            let now = start.plus(Duration::from_secs(60 * n));
            assert!(filter.deny(id(n), now.plus(life), now).await.unwrap());
            assert!(!filter.deny(id(n), now.plus(life), now).await.unwrap());
            Upkeep::sweep(&filter, now).await.unwrap();
            for earlier in n.saturating_sub(14)..=n {
                assert!(filter.refuses(user(), id(earlier)).unwrap(), "{earlier} at {n}");
            }
        }
        assert!(!filter.refuses(user(), id(0)).unwrap(), "an hour later it has been put away");
        let stats = Upkeep::stats(&filter).await.unwrap();
        // Each was denied twice, and those of two lifetimes at most are kept.
        assert!((30..=64).contains(&stats.sessions), "{stats:?}");
        assert_eq!(stats.sessions + stats.swept, 120);
    }

    /// With a hundred times the tokens that it is made for it refuses good ones, which a list never
    /// does; with a tenth, hardly any.
    #[tokio::test]
    async fn good_tokens_are_refused_as_rarely_as_it_says() {
        let filter = DenyFilter::default();
        let now = Timestamp::from_seconds(2_000_000_000);
        let until = now.plus(Duration::from_secs(900));
        for n in 0..100_000 {
            filter.deny(id(n), until, now).await.unwrap();
        }
        let asked = 100_000;
        let refused = (1_000_000..1_000_000 + asked)
            .filter(|n| filter.refuses(user(), id(*n)).unwrap())
            .count() as u64;
        assert!(refused * u64::from(ONE_IN) <= asked, "{refused} of {asked}");
    }

    #[tokio::test]
    async fn a_logout_everywhere_is_exact() {
        let filter = DenyFilter::default();
        let now = Timestamp::from_seconds(2_000_000_000);
        let number = filter.issue(now).await.unwrap();
        let id = |number: u64| (u128::from(number) << 64) | 5;
        filter.deny_all(user(), now.plus(Duration::from_secs(900)), now).await.unwrap();
        assert!(filter.refuses(user(), id(number)).unwrap());
        let next = filter.issue(now).await.unwrap();
        assert!(!filter.refuses(user(), id(next)).unwrap());
        assert!(!filter.refuses(UserId::new(8).unwrap(), id(number)).unwrap());
    }
}
