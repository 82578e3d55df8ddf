//! What every drill works with: servers of one fleet, a client on the generator's cores, and
//! numbers of users who have done nothing yet.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::client::{Client, Endpoint, LoggedIn, Seen};
use crate::engine::Driver;
use crate::error::{Error, Interrupt, Result};
use crate::journey::Script;
use crate::plan::TrialPlan;
use crate::proc::{Fleet, Kept, Server, pin};
use crate::record::{Asked, Placement, ServerFacts};

/// A request that has no answer by then has none.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// Users who do something at the same time, where a drill does not say.
pub(super) const AT_A_TIME: usize = 16;
/// How often a signal is looked for while requests are made.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What every drill works with.
pub(super) struct Rig<'a> {
    pub(super) fleet: Fleet,
    client: Client,
    runtime: Runtime,
    pub(super) seed: u64,
    pub(super) placement: &'a Placement,
    interrupt: &'a Interrupt,
    /// What the first server said of itself.
    pub(super) facts: Option<ServerFacts>,
    /// The number of the next user who has done nothing yet.
    next_user: u64,
}

impl<'a> Rig<'a> {
    pub(super) fn new(
        trial: &TrialPlan,
        placement: &'a Placement,
        interrupt: &'a Interrupt,
    ) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::runtime("the client"))?;
        Ok(Self {
            fleet: Fleet::open(&trial.arm, &placement.server)?,
            client: Client::new(TIMEOUT)?,
            runtime,
            seed: trial.seed,
            placement,
            interrupt,
            facts: None,
            next_user: 0,
        })
    }

    /// Starts a server of the fleet.
    pub(super) fn start(&mut self, kept: Kept, further: &[String]) -> Result<(Server, Endpoint)> {
        self.interrupt.check()?;
        let server = self.fleet.start(kept, further)?;
        let endpoint = self.client.endpoint(&server.ready().target)?;
        let ready = server.ready();
        self.facts.get_or_insert_with(|| ServerFacts {
            pid: ready.pid,
            threads: ready.threads,
            notes: ready.notes.clone(),
            store: self.fleet.store_name().map(String::from),
            servers: (!ready.servers.is_empty()).then_some(ready.servers.len() as u32),
            proxy: ready.proxy.as_ref().map(|proxy| proxy.name.clone()),
        });
        Ok((server, endpoint))
    }

    /// Numbers of so many users who have done nothing yet.
    pub(super) fn new_users(&mut self, users: u32) -> std::ops::Range<u64> {
        let first = self.next_user;
        self.next_user += u64::from(users);
        first..self.next_user
    }

    /// Has this done on the generator's cores. A server must not be started from in there: it would
    /// be kept on those cores too.
    pub(super) fn drive<T: Send>(&self, work: impl Future<Output = T> + Send) -> Result<T> {
        self.interrupt.check()?;
        let (runtime, cores) = (&self.runtime, &self.placement.generator);
        let stopped = async {
            while self.interrupt.signal().is_none() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let done = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                pin(cores);
                runtime.block_on(async {
                    tokio::select! {
                        done = work => Some(done),
                        () = stopped => None,
                    }
                })
            });
            thread.join()
        });
        done.map_err(|_| Error::Bug("the client's thread panicked".into()))?
            .ok_or_else(|| self.interrupt.error())
    }

    /// The engine's driver of a server.
    pub(super) fn driver(&self, server: &Server) -> Result<Driver> {
        let script = Script::new(&server.ready().target, "browse")?;
        let driver = Driver::placed(script, self.placement, self.interrupt.clone())?;
        Ok(Driver { workers: 1, ..driver })
    }
}

/// CPU time that a server has used, ns.
pub(super) fn cpu_ns(server: &Server) -> u64 {
    server.cpu_and_wait_ns().0
}

pub(super) fn count(asked: &mut Asked, seen: Seen) {
    match seen {
        Seen::Right => asked.right += 1,
        Seen::Refused => asked.refused += 1,
        Seen::Failed => asked.failed += 1,
    }
}

/// Each of these users tries to refresh at their server; `None` where that cannot be done.
pub(super) fn refresh_all(
    rig: &Rig<'_>,
    users: Vec<(Endpoint, LoggedIn)>,
) -> Result<Option<Asked>> {
    if !users.iter().all(|(at, _)| at.refreshes()) {
        return Ok(None);
    }
    let refresh = |(at, user): (Endpoint, LoggedIn)| async move {
        at.renew(&user).await.map_or_else(|seen| seen, |_| Seen::Right)
    };
    let mut asked = Asked::default();
    rig.drive(gather(users, AT_A_TIME, refresh))?
        .into_iter()
        .for_each(|seen| count(&mut asked, seen));
    Ok(Some(asked))
}

/// Does this for every item, so many at a time, and gathers the results in no order.
pub(super) async fn gather<I, T, F>(
    items: impl IntoIterator<Item = I>,
    at_a_time: usize,
    work: impl Fn(I) -> F,
) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut items = items.into_iter();
    let mut under_way = tokio::task::JoinSet::new();
    let mut done = Vec::new();
    loop {
        while under_way.len() < at_a_time
            && let Some(item) = items.next()
        {
            under_way.spawn(work(item));
        }
        match under_way.join_next().await {
            Some(Ok(result)) => done.push(result),
            // It panicked, which has said why on stderr; it is missing in the counts.
            Some(Err(_)) => {}
            None => return done,
        }
    }
}

/// The error that a login of a drill ends it with.
pub(super) fn no_login(found: &str) -> Error {
    Error::Target(format!(
        "expected every user of a drill to be logged in, found that one was not: {found}"
    ))
}
