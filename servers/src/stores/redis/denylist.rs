//! A list of what was revoked that all servers over one Redis share, each with its own copy.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use redis::{
    AsyncConnectionConfig, Client, FromRedisValue as _, ProtocolVersion, PushInfo, PushKind, cmd,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::denied::{COUNT, PREFIX, Scripts, entry, parse};
use super::facts::STORE;
use super::link::{self, Link};
use super::own::OwnRedis;
use super::scripts::GRACE_MS;
use super::value::millis;
use crate::clock::{Clock, Timestamp};
use crate::contract::StoreProcess;
use crate::error::{ServeError, StoreError};
use crate::stores::bounded::within;
use crate::stores::denylist::{Denials, Denied, DeniedId, Denylist};
use crate::stores::patience::Patience;
use crate::stores::{Boxed, StoreStats, Upkeep};
use crate::users::UserId;

/// Time between two heartbeats.
pub const BEAT: Duration = Duration::from_millis(100);
/// Least time for which the copy is relied on after a heartbeat was sent, whatever a request waits:
/// four beats, so that one or two may be late.
const FRESH_TIME_MIN: Duration = Duration::from_millis(400);
/// How long the first list may take.
const LOAD_TIME_MAX: Duration = Duration::from_secs(20);
/// Keys that one step of loading looks at, about.
const LOAD_STEP: u32 = 1_000;

/// What requests and the listener share.
struct Shared {
    list: Denylist,
    scripts: Scripts,
    clock: Clock,
    patience: Patience,
    /// Channels know no databases, so the database is in the name.
    channel: String,
    /// The channel of the heartbeats, which only this server listens to.
    beats: String,
    /// Heartbeats count from here, in microseconds.
    started: Instant,
    /// One more than when the last heartbeat that was heard was sent; 0 before the first.
    heard: AtomicU64,
    lag_us: AtomicU64,
    /// The highest number that this server has seen.
    highest: AtomicU64,
    operations: AtomicU64,
}

/// The list.
///
/// A request asks the copy and makes no round trip. What is denied is written to Redis and
/// published in one script, and a logout is answered after that; every server listens. That it
/// still hears is proved by a heartbeat: each server publishes one to itself every [`BEAT`] with
/// the moment at which it was sent. Redis tells a listener everything in order, so a listener that
/// has heard a heartbeat has heard every entry from before it was sent. Without one that was sent
/// within the time that a request waits ([`Patience`]), or within 400 ms where that is longer, the
/// copy may have missed something, and the list refuses to answer: closed, and not open.
///
/// After every connection the listener subscribes first and then loads the whole list, so nothing
/// falls between the two. What it knew and Redis does not (a Redis that was restarted has lost it)
/// it publishes again: a token that was denied stays denied as long as one server that knows it
/// lives.
///
/// The listener is a thread of its own: a server that is busy must not take itself for deaf.
pub struct SharedDenylist {
    shared: Arc<Shared>,
    link: Link,
    listener: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    own: Option<OwnRedis>,
}

impl SharedDenylist {
    /// The list in the Redis of this URL, or in one of its own, loaded.
    ///
    /// # Errors
    /// Where the URL is invalid, the program is missing, or Redis does not answer.
    pub async fn open(
        url: Option<&str>,
        clock: Clock,
        patience: Patience,
    ) -> Result<Self, ServeError> {
        let own = match url {
            Some(_) => None,
            None => Some(OwnRedis::start(1).await?),
        };
        let client = link::client(url.or(own.as_ref().map(OwnRedis::url)).unwrap_or_default())?;
        let database = client.get_connection_info().redis_settings().db();
        let mut name = [0; 8];
        getrandom::fill(&mut name).map_err(ServeError::Entropy)?;
        let shared = Arc::new(Shared {
            list: Denylist::default(),
            scripts: Scripts::new(),
            clock,
            patience,
            channel: format!("authbench:denied:{database}"),
            beats: format!("authbench:beat:{:016x}", u64::from_be_bytes(name)),
            started: Instant::now(),
            heard: AtomicU64::new(0),
            lag_us: AtomicU64::new(0),
            highest: AtomicU64::new(0),
            operations: AtomicU64::new(0),
        });
        let link = Link::new(client.clone(), patience);
        // A wrong password is found out here, with its reason.
        link.ask::<()>("be reached", &cmd("PING")).await?;
        let listener = Some(listen(Arc::clone(&shared), client)?);
        let list = Self { shared, link, listener, own };
        let begun = Instant::now();
        while !list.shared.is_fresh() {
            if begun.elapsed() > LOAD_TIME_MAX {
                return Err(list.shared.unheard().into());
            }
            sleep(Duration::from_millis(2)).await;
        }
        Ok(list)
    }

    /// How long Redis keeps an entry: until it may be forgotten, and a while more.
    fn time_to_live(until: Timestamp, now: Timestamp) -> u64 {
        millis(until).saturating_sub(millis(now)) + GRACE_MS
    }

    fn count(&self) {
        self.shared.operations.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for SharedDenylist {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.listener.take() {
            drop(stop);
            drop(thread.join());
        }
    }
}

/// Starts the listener, which ends when its other end is dropped.
fn listen(
    shared: Arc<Shared>,
    client: Client,
) -> Result<(oneshot::Sender<()>, JoinHandle<()>), StoreError> {
    let refused = |error: std::io::Error| StoreError {
        store: STORE,
        operation: "be listened to",
        found: error.to_string(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(refused)?;
    let (stop, stopped) = oneshot::channel();
    let listen = move || {
        runtime.block_on(async {
            let link = Link::new(client.clone(), shared.patience);
            tokio::select! {
                () = shared.follow(&link, &client) => {}
                () = shared.beat(&link) => {}
                _ = stopped => {}
            }
        });
    };
    let thread = thread::Builder::new().name("denylist".into()).spawn(listen).map_err(refused)?;
    Ok((stop, thread))
}

impl Shared {
    fn elapsed_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// How long after a heartbeat was sent the copy may be relied on.
    fn fresh_time(&self) -> Duration {
        self.patience.call().max(FRESH_TIME_MIN)
    }

    fn is_fresh(&self) -> bool {
        let heard = self.heard.load(Ordering::Acquire);
        let limit = self.fresh_time().as_micros() as u64;
        heard > 0 && self.elapsed_us() < (heard - 1).saturating_add(limit)
    }

    fn unheard(&self) -> StoreError {
        let limit = self.fresh_time().as_millis();
        let found = format!("nothing was heard of it for {limit} ms");
        StoreError { store: STORE, operation: "say what was revoked", found }
    }

    async fn beat(&self, link: &Link) {
        loop {
            let mut publish = cmd("PUBLISH");
            publish.arg(&self.beats).arg(self.elapsed_us());
            // One that is not sent is not heard.
            drop(link.ask::<u64>("be heard", &publish).await);
            sleep(BEAT).await;
        }
    }

    async fn follow(&self, link: &Link, client: &Client) {
        loop {
            drop(self.follow_one(link, client).await);
            sleep(link::PAUSE).await;
        }
    }

    /// Listens on one connection for as long as something is heard on it.
    async fn follow_one(&self, link: &Link, client: &Client) -> Result<(), StoreError> {
        let refused = |error: redis::RedisError| StoreError {
            store: STORE,
            operation: "be listened to",
            found: error.to_string(),
        };
        let (telling, mut told) = mpsc::unbounded_channel();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.patience.connect()))
            .set_response_timeout(Some(self.patience.answer()))
            .set_push_sender(telling);
        let info = client.get_connection_info().clone();
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(settings)).map_err(refused)?;
        let mut connection =
            client.get_multiplexed_async_connection_with_config(&config).await.map_err(refused)?;
        for channel in [&self.channel, &self.beats] {
            connection.subscribe(channel).await.map_err(refused)?;
        }
        self.load(link).await?;
        while let Ok(Some(push)) = timeout(self.fresh_time(), told.recv()).await {
            if push.kind == PushKind::Disconnection {
                break;
            }
            self.hear(&push)?;
        }
        Ok(())
    }

    fn hear(&self, push: &PushInfo) -> Result<(), StoreError> {
        let [channel, message] = &push.data[..] else { return Ok(()) };
        let text = |value| String::from_redis_value_ref(value).unwrap_or_default();
        if push.kind != PushKind::Message {
            return Ok(());
        }
        let message = text(message);
        if text(channel) == self.channel {
            self.add(&message)?;
        } else if let Ok(sent) = message.parse::<u64>() {
            self.lag_us.store(self.elapsed_us().saturating_sub(sent), Ordering::Relaxed);
            self.heard.fetch_max(sent.saturating_add(1), Ordering::Release);
        }
        Ok(())
    }

    fn add(&self, entry: &str) -> Result<Denied, StoreError> {
        let denied = parse(entry).ok_or_else(|| StoreError {
            store: STORE,
            operation: "say what was revoked",
            found: format!("an unreadable entry of {} bytes", entry.len()),
        })?;
        if let Denied::User(_, number, _) = denied {
            self.highest.fetch_max(number, Ordering::Relaxed);
        }
        self.list.add(denied);
        Ok(denied)
    }

    /// Takes over what Redis has, and gives it what it has lost.
    async fn load(&self, link: &Link) -> Result<(), StoreError> {
        let mut known = HashSet::new();
        let mut cursor = 0;
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg("authbench:d:[tu]:*").arg("COUNT").arg(LOAD_STEP);
            let (next, keys): (u64, Vec<String>) = link.ask("be loaded", &scan).await?;
            if !keys.is_empty() {
                let mut get = cmd("MGET");
                get.arg(&keys);
                let values: Vec<Option<String>> = link.ask("be loaded", &get).await?;
                // What has no value any more has expired meanwhile.
                for (key, value) in keys.iter().zip(values) {
                    let Some(value) = value else { continue };
                    let name = key.strip_prefix(PREFIX).unwrap_or(key);
                    known.insert(self.add(&format!("{name} {value}"))?);
                }
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        let mut get = cmd("GET");
        get.arg(COUNT);
        let count: Option<u64> = link.ask("be loaded", &get).await?;
        let highest = self.highest.load(Ordering::Relaxed);
        if count.unwrap_or_default() < highest {
            self.issue(link).await?;
        }
        let now = self.clock.now();
        for denied in self.list.all().into_iter().filter(|denied| !known.contains(denied)) {
            self.deny_again(link, denied, now).await?;
        }
        Ok(())
    }

    async fn deny_again(
        &self,
        link: &Link,
        denied: Denied,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (Denied::Token(_, until) | Denied::User(_, _, until)) = denied;
        if until <= now {
            return Ok(());
        }
        let (name, value) = entry(denied);
        let key = format!("{PREFIX}{name}");
        let live = SharedDenylist::time_to_live(until, now);
        let message = format!("{name} {value}");
        let mut script = match denied {
            Denied::Token(..) => self.scripts.deny.key(key),
            Denied::User(_, number, _) => {
                let mut script = self.scripts.deny_again.key(key);
                script.arg(number);
                script
            }
        };
        script.arg(value).arg(live).arg(&self.channel).arg(message);
        link.run("be told what was revoked", &script).await
    }

    async fn issue(&self, link: &Link) -> Result<u64, StoreError> {
        let mut script = self.scripts.issue.key(COUNT);
        script.arg(self.highest.load(Ordering::Relaxed));
        let number = link.run("number a token", &script).await?;
        self.highest.fetch_max(number, Ordering::Relaxed);
        Ok(number)
    }
}

impl Denials for SharedDenylist {
    async fn issue(&self, _now: Timestamp) -> Result<u64, StoreError> {
        self.count();
        let issue = self.shared.issue(&self.link);
        within(STORE, self.shared.patience.call(), "number a token", issue).await
    }

    fn refuses(&self, user: UserId, id: DeniedId) -> Result<bool, StoreError> {
        if !self.shared.is_fresh() {
            return Err(self.shared.unheard());
        }
        Ok(self.shared.list.has(user, id))
    }

    async fn deny(
        &self,
        id: DeniedId,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.count();
        let denied = Denied::Token(id, until);
        let (name, value) = entry(denied);
        let mut script = self.shared.scripts.deny.key(format!("{PREFIX}{name}"));
        let message = format!("{name} {value}");
        script.arg(value).arg(Self::time_to_live(until, now));
        script.arg(&self.shared.channel).arg(message);
        let deny = self.link.run("deny a token", &script);
        let new = within(STORE, self.shared.patience.call(), "deny a token", deny).await?;
        // Here at once, and not when it is heard.
        self.shared.list.add(denied);
        Ok(new)
    }

    async fn deny_all(
        &self,
        user: UserId,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.count();
        let mut script = self.shared.scripts.deny_all.key(COUNT);
        script.key(format!("{PREFIX}u:{user}")).arg(self.shared.highest.load(Ordering::Relaxed));
        script.arg(millis(until)).arg(Self::time_to_live(until, now));
        script.arg(&self.shared.channel).arg(format!("u:{user}"));
        let deny = self.link.run("deny a user's tokens", &script);
        let number =
            within(STORE, self.shared.patience.call(), "deny a user's tokens", deny).await?;
        self.shared.highest.fetch_max(number, Ordering::Relaxed);
        self.shared.list.add(Denied::User(user, number, until));
        Ok(())
    }

    fn notes(&self) -> Vec<String> {
        let redis = match &self.own {
            Some(own) => format!(
                "The list is in Redis {} of this server's own, on this server's cores, and in this \
                 server's memory.",
                own.version()
            ),
            None => "The list is in the Redis of --store-url and in this server's memory.".into(),
        };
        let limit = self.shared.fresh_time().as_millis();
        vec![
            redis,
            format!(
                "A request makes no round trip and a login and a logout one; a logout at another \
                 server is known here within {limit} ms, or this one answers with a 503. How far \
                 behind it is stands in /stats."
            ),
        ]
    }

    fn process(&self) -> Option<StoreProcess> {
        self.own.as_ref().map(OwnRedis::process)
    }
}

impl Upkeep for SharedDenylist {
    /// Of this server's copy: Redis forgets by itself.
    fn sweep(&self, now: Timestamp) -> Boxed<'_, Result<u64, StoreError>> {
        let swept = self.shared.list.forget_expired(now);
        Box::pin(async move { Ok(swept) })
    }

    fn stats(&self) -> Boxed<'_, Result<StoreStats, StoreError>> {
        let operations = self.shared.operations.load(Ordering::Relaxed);
        let stats = StoreStats { operations, ..self.shared.list.figures() };
        Box::pin(async move {
            // The list answers while Redis does not, and so do its figures.
            let used_bytes = self.link.used_bytes().await.ok().flatten();
            Ok(StoreStats { used_bytes, ..stats })
        })
    }

    fn lag(&self) -> Option<Duration> {
        Some(Duration::from_micros(self.shared.lag_us.load(Ordering::Relaxed)))
    }
}
