//! An agent that loads: it says that it is there, is told its part, logs its users in, begins when
//! it is told, and brings its share home. It never begins twice, and no error of the engine ends a
//! load within the lease.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::bus::{Bus, Mail};
use super::clock::now_ns;
use super::message::{
    Down, FromAgent, FromCoordinator, Hello, Orders, SCHEMA, Stage, Up, error_of,
};
use super::parcel::{self, Parcel};
use crate::engine::{self, Among, Driver, Phase, Progress, Share, Watcher};
use crate::error::{Error, Interrupt, Result, SIGINT};
use crate::files;
use crate::journey::Script;
use crate::proc::{self, Identity};
use crate::record::LoginRecord;
use crate::sanitise::{REMARK, fit};

/// How often an agent says that it is there until it is welcome.
const HELLO_EVERY: Duration = Duration::from_millis(500);
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// How often it looks at the clock and for a signal.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A start is final so long before it, ns.
const FINAL_NS: u64 = 20_000_000;
/// How long it tries to bring its share home, and waits to be told that it is in the record.
const HOME_WITHIN: Duration = Duration::from_secs(60);

/// What an agent is started with.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// URL of the engine.
    pub engine: String,
    /// Name of the run.
    pub run: String,
    /// Which of the agents of the run it is, from 0.
    pub index: u32,
    /// Worker threads.
    pub workers: u32,
    /// Cores that they are pinned to, one each in turn; empty: not pinned.
    pub cores: Vec<usize>,
    /// Hosts and ports that it may load, and no others.
    pub allowed: Vec<String>,
    /// How long it waits to be welcome.
    pub join: Duration,
    /// The folder in which it keeps its share, if it does.
    pub keep: Option<PathBuf>,
}

/// Why an agent ends before its time, or when all is done.
#[derive(Clone, Debug)]
enum Ending {
    Settled,
    Stopped { exit: u8, text: String },
    LeaseOver,
    Signal,
}

/// What the thread that listens and the one that loads know in common.
struct State {
    welcome: Option<(Among, u64)>,
    orders: Option<(String, String)>,
    /// The round and the start that it is armed for.
    arm: Option<(u32, u64)>,
    /// Whether the start is final.
    started: bool,
    stage: Stage,
    counts: (u64, u64, u64),
    pulse: Option<(u64, u64)>,
    /// When the coordinator was heard last.
    heard_ns: u64,
    ending: Option<Ending>,
    /// Whether the thread that listens may end.
    done: bool,
}

struct Agent<'a> {
    options: &'a AgentOptions,
    bus: Bus,
    incarnation: String,
    /// A signal of the user.
    interrupt: &'a Interrupt,
    /// What ends the load, whether a signal or the coordinator wants it.
    halt: Interrupt,
    state: Mutex<State>,
    changed: Condvar,
}

/// Carries one share of one run.
///
/// # Errors
/// `Config` when the engine, the coordinator or the orders do not fit, `Target` when the server
/// fails, `Invalid` when it was stopped or lost its coordinator, `Interrupted` after a signal.
pub fn carry(options: &AgentOptions, interrupt: &Interrupt) -> Result<()> {
    let bus = Bus::connect(&options.engine, &options.run, "authbench agent")?;
    let state = State {
        welcome: None,
        orders: None,
        arm: None,
        started: false,
        stage: Stage::Joined,
        counts: (0, 0, 0),
        pulse: None,
        heard_ns: now_ns(),
        ending: None,
        done: false,
    };
    let agent = Agent {
        options,
        bus,
        incarnation: proc::incarnation(),
        interrupt,
        halt: Interrupt::default(),
        state: Mutex::new(state),
        changed: Condvar::new(),
    };
    let inbox = agent.bus.listen::<Down>(&format!("down.{}", options.index))?;
    thread::scope(|scope| {
        let agent = &agent;
        scope.spawn(move || agent.attend(&inbox));
        let carried = agent.carry();
        if let (Err(error), None) = (&carried, &agent.lock().ending) {
            agent.say(FromAgent::Fault {
                exit: error.exit_code(),
                text: fit(&error.to_string(), REMARK),
            });
        }
        agent.lock().done = true;
        agent.bus.flush();
        carried
    })
}

impl Agent<'_> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, said: FromAgent) {
        let up = Up { incarnation: self.incarnation.clone(), said };
        self.bus.say(&format!("up.{}", self.options.index), &up);
    }

    /// Listens and beats until the load is home.
    fn attend(&self, inbox: &Receiver<Mail<Down>>) {
        let Identity { binary, host, machine } = proc::identity();
        let hello = FromAgent::Hello(Hello {
            binary,
            schema: SCHEMA,
            host,
            machine,
            workers: self.options.workers,
            allowed: self.options.allowed.clone(),
        });
        let (mut greeted, mut beaten) = (None::<Instant>, None::<Instant>);
        loop {
            match inbox.recv_timeout(LOOK_EVERY) {
                Ok(mail) if mail.message.incarnation == self.incarnation => self.take_in(mail),
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => thread::sleep(LOOK_EVERY),
            }
            let mut state = self.lock();
            if state.done {
                return;
            }
            if state.ending.is_none() && self.interrupt.signal().is_some() {
                self.end(&mut state, Ending::Signal);
            }
            match state.welcome {
                None if greeted.is_none_or(|at| at.elapsed() >= HELLO_EVERY) => {
                    greeted = Some(Instant::now());
                    self.say(hello.clone());
                }
                Some((_, lease_ns)) => {
                    if now_ns().saturating_sub(state.heard_ns) > lease_ns && state.ending.is_none()
                    {
                        self.end(&mut state, Ending::LeaseOver);
                    }
                    if beaten.is_none_or(|at| at.elapsed() >= BEAT_EVERY) {
                        beaten = Some(Instant::now());
                        self.beat(&state);
                    }
                }
                None => {}
            }
        }
    }

    fn beat(&self, state: &State) {
        let (planned, ended, ok) = state.counts;
        let (stage, pulse) = (state.stage, state.pulse);
        self.say(FromAgent::Beat { stage, planned, ended, ok, now_ns: now_ns(), pulse });
    }

    fn end(&self, state: &mut State, ending: Ending) {
        if !matches!(ending, Ending::Settled) {
            // Nothing else is published with the number.
            self.halt.flag().store(SIGINT, Ordering::Relaxed);
        }
        state.ending = Some(ending);
        self.changed.notify_all();
    }

    fn take_in(&self, Mail { heard_ns, message, .. }: Mail<Down>) {
        let mut state = self.lock();
        state.heard_ns = heard_ns;
        match message.said {
            FromCoordinator::Welcome { base, of, lease_ns } => {
                state.welcome.get_or_insert((Among { base, of }, lease_ns));
            }
            FromCoordinator::Clock { n, sent_ns } => {
                let answered_ns = now_ns();
                return self.say(FromAgent::Clock { n, sent_ns, heard_ns, answered_ns });
            }
            FromCoordinator::Prepare { hash, orders } => {
                state.orders.get_or_insert((hash, orders));
            }
            FromCoordinator::Arm { round, start_ns } => {
                let slack_ns = start_ns as i64 - now_ns() as i64;
                // One that has begun, or is told of a moment that has passed, begins nothing.
                let is_new = state.arm.is_none_or(|(armed, _)| armed < round);
                if state.stage != Stage::Ready || state.started || slack_ns <= 0 || !is_new {
                    return;
                }
                state.arm = Some((round, start_ns));
                self.say(FromAgent::Armed { round, slack_ns });
            }
            FromCoordinator::Cancel { round } => {
                if state.started {
                    let text = String::from("it had begun when the start was cancelled");
                    return self.say(FromAgent::Fault { exit: 3, text });
                }
                // A start of this round is void; a later one may come.
                state.arm = Some((round, u64::MAX));
            }
            FromCoordinator::Pulse { sent_ns } => state.pulse = Some((sent_ns, heard_ns)),
            FromCoordinator::Stop { exit, text } => {
                if state.ending.is_none() {
                    self.end(&mut state, Ending::Stopped { exit, text });
                }
            }
            FromCoordinator::Settled => self.end(&mut state, Ending::Settled),
        }
        self.changed.notify_all();
    }

    /// Waits until the state holds something, or the agent has to end.
    fn wait<T>(&self, within: Duration, found: impl Fn(&State) -> Option<T>) -> Result<Option<T>> {
        let deadline = Instant::now() + within;
        let mut state = self.lock();
        loop {
            if let Some(found) = found(&state) {
                return Ok(Some(found));
            }
            if let Some(ending) = &state.ending {
                return Err(self.why(ending));
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return Ok(None);
            };
            let left = left.min(LOOK_EVERY);
            state =
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The error of an end.
    fn why(&self, ending: &Ending) -> Error {
        match ending {
            Ending::Settled => Error::Invalid("the run was over before this agent began".into()),
            Ending::Stopped { exit, text } => {
                error_of(*exit, format!("the coordinator stopped the run: {}", fit(text, REMARK)))
            }
            Ending::LeaseOver => Error::Invalid(format!(
                "the coordinator of run `{}` was not heard within the lease; the load was stopped",
                self.options.run
            )),
            Ending::Signal => self.interrupt.error(),
        }
    }

    fn carry(&self) -> Result<()> {
        let (run, join) = (&self.options.run, self.options.join);
        let welcome = self.wait(join, |state| state.welcome)?;
        let (among, _) = welcome.ok_or_else(|| {
            Error::Config(format!(
                "no coordinator of run `{run}` answered within {} s: it is over, or was never \
                 started; nothing was sent",
                join.as_secs_f64()
            ))
        })?;
        let long = Duration::from_secs(24 * 3600);
        let orders = self.wait(long, |state| state.orders.clone())?;
        let (hash, orders) = orders.ok_or_else(|| Error::Bug("no orders within a day".into()))?;
        let orders = Orders::open(&orders, &hash)?;
        let driver = self.driver(&orders, among)?;
        self.lock().stage = Stage::Setup;
        let watcher = Tell { agent: self };
        let start = |logins: &LoginRecord| self.start(logins);
        let share = engine::share(&driver, &orders.plan, orders.seed, watcher, start);
        let share = share.map_err(|error| {
            // An end that was asked for is the reason, and not what it did to the engine.
            self.lock().ending.as_ref().map_or(error, |ending| self.why(ending))
        })?;
        self.lock().stage = Stage::Over;
        self.bring_home(&hash, share)
    }

    /// The driver of this agent's workers, of a target that it may load.
    fn driver(&self, orders: &Orders, among: Among) -> Result<Driver> {
        orders.check()?;
        let script = Script::renewing(&orders.target, &orders.plan.journey, None)?;
        let place = place_of(&script);
        if !allows(&self.options.allowed, &place) {
            return Err(Error::Config(format!(
                "it may load {} and was told to load {place}",
                listed(&self.options.allowed)
            )));
        }
        let (cores, workers) = (self.options.cores.clone(), self.options.workers);
        // Workers differ by one connection at most.
        let most = orders.plan.connections.div_ceil(among.of).saturating_mul(workers);
        proc::allow_connections(most)?;
        let own_cores = proc::usable_cores().len() > workers as usize;
        let driver = Driver::new(script, cores, workers, self.halt.clone())?;
        Ok(Driver {
            among: Some(among),
            pacing: orders.pacing.resolved(own_cores),
            limits: orders.limits,
            setup_within: Duration::from_nanos(orders.setup_ns),
            ..driver
        })
    }

    /// Says that all is ready, and waits until a start is final.
    fn start(&self, logins: &LoginRecord) -> Result<Instant> {
        self.lock().stage = Stage::Ready;
        self.say(FromAgent::Ready { logins: Box::new(logins.clone()) });
        loop {
            let armed = |state: &State| state.arm.filter(|(_, start_ns)| *start_ns != u64::MAX);
            let Some((round, start_ns)) = self.wait(Duration::from_secs(3600), armed)? else {
                return Err(Error::Invalid("no start was agreed on within an hour".into()));
            };
            let left = start_ns.saturating_sub(FINAL_NS).saturating_sub(now_ns());
            // Another round, or its end, is noticed while it waits.
            let other = |state: &State| (state.arm != Some((round, start_ns))).then_some(());
            if self.wait(Duration::from_nanos(left), other)?.is_some() {
                continue;
            }
            let mut state = self.lock();
            if state.arm != Some((round, start_ns)) {
                continue;
            }
            state.started = true;
            let left = Duration::from_nanos(start_ns.saturating_sub(now_ns()));
            let late = Duration::from_nanos(now_ns().saturating_sub(start_ns));
            return Ok(Instant::now() + left - late);
        }
    }

    /// Brings a share home: to the disk first, then to the engine, and waits until it is told that
    /// the share is in the record.
    fn bring_home(&self, hash: &str, share: Share) -> Result<()> {
        let (run, index) = (&self.options.run, self.options.index);
        let parcel = Parcel { run: run.clone(), index, orders: hash.into(), share };
        let text = parcel.text()?;
        let folder = self.options.keep.as_ref();
        let path = folder.map(|folder| folder.join(parcel::file_name(run, index)));
        path.as_ref().map_or(Ok(()), |path| files::write(path, text.as_bytes()))?;
        let kept = path.map_or_else(String::new, |path| format!("; it is in {}", path.display()));
        let deadline = Instant::now() + HOME_WITHIN;
        for (part, bytes) in parcel::parts(&text).into_iter().enumerate() {
            let name = format!("share.{index}.{part}");
            while let Err(why) = self.bus.keep(&name, bytes.clone()) {
                if Instant::now() > deadline || self.interrupt.signal().is_some() {
                    return Err(Error::Invalid(format!(
                        "the share could not be sent ({why}){kept}"
                    )));
                }
                thread::sleep(Duration::from_millis(250));
            }
        }
        self.say(FromAgent::Shared);
        let settled = |state: &State| match &state.ending {
            Some(Ending::Settled) => Some(Ok(())),
            Some(ending @ Ending::Stopped { .. }) => Some(Err(self.why(ending))),
            _ => None,
        };
        match self.wait(HOME_WITHIN, settled) {
            Ok(Some(settled)) => settled,
            Ok(None) => {
                Err(Error::Invalid(format!("nobody said that the share is in the record{kept}")))
            }
            Err(error) => Err(error),
        }
    }
}

/// The host and port of a target, as `--allow-target` names it.
pub(super) fn place_of(script: &Script) -> String {
    let (host, port) = script.host_and_port();
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

pub(super) fn allows(allowed: &[String], place: &str) -> bool {
    allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(place))
}

pub(super) fn listed(allowed: &[String]) -> String {
    if allowed.is_empty() { "nothing".into() } else { allowed.join(", ") }
}

/// Tells the other thread how the load is going.
struct Tell<'a> {
    agent: &'a Agent<'a>,
}

impl Watcher for Tell<'_> {
    fn enter(&mut self, phase: Phase) {
        let mut state = self.agent.lock();
        state.stage = match phase {
            Phase::Setup => Stage::Setup,
            Phase::Warmup => Stage::Warmup,
            Phase::Measure => Stage::Measure,
            Phase::Drain => Stage::Drain,
        };
    }

    fn wants_seconds(&self) -> bool {
        true
    }

    fn second(&mut self, progress: &Progress) {
        self.agent.lock().counts = (progress.planned, progress.ended, progress.ok);
    }
}
