//! The coordinator of a run over agents: it waits for them, measures their clocks, gives them their
//! orders, starts them together, watches them and gathers their shares. Every failure of an agent
//! ends in a record or in a sentence that says that nothing was sent.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, SystemTime};

use super::agent::{allows, listed, place_of};
use super::bus::{Bus, Mail};
use super::clock::{Bound, Reading, now_ns};
use super::gather::{self, Facts, Gathered};
use super::launch::Launched;
use super::message::{
    Down, FromAgent, FromCoordinator, Hello, Orders, SCHEMA, Stage, Up, error_of,
};
use crate::engine::{Among, Share};
use crate::error::{Error, Interrupt, Result, Signal};
use crate::journey::Script;
use crate::plan::sha256_hex;
use crate::proc;
use crate::record::LoadRecord;
use crate::sanitise::{NAME, REMARK, fit};

/// Round trips by which a clock is measured.
const PROBES: u32 = 64;
const PROBE_WITHIN_NS: u64 = 300_000_000;
const PULSE_EVERY_NS: u64 = 1_000_000_000;
/// An agent that is not heard for so long is out of contact.
const SILENT_NS: u64 = 3_000_000_000;
/// A coordinator that did not look for so long was stopped itself.
const ABSENT_NS: u64 = 1_000_000_000;
/// A start is so far ahead at least, and every agent has agreed to it so long before it.
const START_AHEAD_NS: u64 = 500_000_000;
const AGREED_BEFORE_NS: u64 = 50_000_000;
/// Starts that are tried.
const STARTS: u32 = 3;
/// How long a share may take to come.
const SHARES_WITHIN_NS: u64 = 60_000_000_000;
/// How long is waited for a message at most before a signal is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A run over agents.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its name.
    pub name: String,
    /// How many agents it has.
    pub agents: u32,
    /// How long they have to come.
    pub join: Duration,
    /// How long contact may be lost before the load is stopped.
    pub lease: Duration,
}

/// What a run over agents has left.
#[derive(Debug)]
pub struct Outcome {
    /// The record, of as many shares as came.
    pub load: LoadRecord,
    /// Why it ended before its time, or is not whole.
    pub ended: Option<Error>,
    /// When Measure began.
    pub began: SystemTime,
}

/// One agent, as the coordinator knows it.
struct Member {
    index: u32,
    incarnation: String,
    hello: Hello,
    base: u32,
    clock: Bound,
    heard_ns: u64,
    /// The longest silence that ended.
    silent_ns: u64,
    stage: Stage,
    /// The last probe that was answered.
    probed: Option<u32>,
    round_trip_ns: u64,
    is_ready: bool,
    armed: Option<u32>,
    is_home: bool,
    /// Why it will bring no whole share.
    lost: Option<(u8, String)>,
}

impl Member {
    fn name(&self) -> String {
        format!("agent {} ({})", self.index, fit(&self.hello.host, NAME))
    }
}

/// Why what is waited for does not come.
enum Trouble {
    /// An agent is out of contact or said that it cannot continue.
    Agent(usize, Error),
    Signal(Signal),
}

struct Coordinator<'a> {
    run: &'a Run,
    orders: &'a Orders,
    bus: &'a Bus,
    inbox: Receiver<Mail<Up>>,
    interrupt: &'a Interrupt,
    members: Vec<Member>,
    pulsed_ns: u64,
    /// When it was looked for messages last.
    looked_ns: u64,
    /// What the first agent that does not fit was told.
    misfit: Option<Error>,
    binary: String,
    place: String,
    launched: Option<&'a mut Launched>,
    tell: &'a mut dyn FnMut(&str),
}

/// Runs a load on agents, of which those that were started for it are `launched`; `tell` hears how
/// far it is.
///
/// # Errors
/// `Config` when the engine or the agents do not fit; nothing was sent then. `Invalid` when an
/// agent is lost before the load, `Target` when the server refuses, `Interrupted` after a signal
/// before it. What happens later is in the outcome.
pub fn coordinate(
    run: &Run,
    engine: &str,
    orders: &Orders,
    interrupt: &Interrupt,
    launched: Option<&mut Launched>,
    tell: &mut dyn FnMut(&str),
) -> Result<Outcome> {
    orders.check()?;
    let script = Script::renewing(&orders.target, &orders.plan.journey, None)?;
    let (text, hash) = orders.sealed()?;
    let bus = Bus::connect(engine, &run.name, "authbench coordinator")?;
    bus.make_store()?;
    let inbox = bus.listen::<Up>("up.*")?;
    let mut coordinator = Coordinator {
        run,
        orders,
        bus: &bus,
        inbox,
        interrupt,
        members: Vec::new(),
        pulsed_ns: 0,
        looked_ns: now_ns(),
        misfit: None,
        binary: proc::identity().binary,
        place: place_of(&script),
        launched,
        tell,
    };
    let outcome = coordinator.run(&script, &text, &hash);
    if let Err(error) = &outcome {
        coordinator.stop(error.exit_code(), &error.to_string());
    }
    bus.flush();
    outcome
}

impl Coordinator<'_> {
    fn say(&self, member: &Member, said: FromCoordinator) {
        let down = Down { incarnation: member.incarnation.clone(), said };
        self.bus.say(&format!("down.{}", member.index), &down);
    }

    fn say_all(&self, said: &FromCoordinator) {
        self.members.iter().for_each(|member| self.say(member, said.clone()));
    }

    fn stop(&self, exit: u8, text: &str) {
        self.say_all(&FromCoordinator::Stop { exit, text: fit(text, REMARK) });
    }

    fn run(&mut self, script: &Script, text: &str, hash: &str) -> Result<Outcome> {
        self.gather_agents()?;
        self.keep("orders", text.into())?;
        self.measure_clocks()?;
        let prepare = FromCoordinator::Prepare { hash: hash.into(), orders: text.into() };
        self.say_all(&prepare);
        (self.tell)("agents log their users in");
        self.before_load(|member| member.is_ready)?;
        let start_ns = self.agree_on_start()?;
        let facts = serde_json::to_vec(&self.facts()).unwrap_or_default();
        self.keep("agents", facts)?;
        let measure_ns = start_ns + self.orders.plan.warmup_ns;
        let ahead = Duration::from_nanos(measure_ns.saturating_sub(now_ns()));
        let began = SystemTime::now() + ahead;
        (self.tell)("the load begins");
        let ended = self.watch(start_ns);
        let (shares, why) = self.fetch_shares(hash);
        let ended = ended.or(why);
        self.say_all(&FromCoordinator::Settled);
        let gathered = Gathered { orders: self.orders, script, facts: self.facts(), shares };
        Ok(Outcome { load: gather::record(gathered)?, ended, began })
    }

    /// Keeps something of the run before anything is sent.
    fn keep(&self, name: &str, bytes: Vec<u8>) -> Result<()> {
        self.bus.keep(name, bytes).map_err(|why| {
            Error::Config(format!(
                "the engine does not keep what it has to ({why}); nothing was sent"
            ))
        })
    }

    /// What a record and `collect` need to know of the agents.
    fn facts(&self) -> Vec<Facts> {
        let now = now_ns();
        let facts = |member: &Member| {
            let offset = member.clock.at(now);
            Facts {
                index: member.index,
                host: fit(&member.hello.host, NAME),
                machine: fit(&member.hello.machine, NAME),
                base: member.base,
                workers: member.hello.workers,
                offset_ns: offset.map_or(0, |offset| offset.ns),
                bound_ns: offset.map_or(u64::MAX, |offset| offset.bound_ns),
                jumped: member.clock.jumped(),
                silent_ns: member.silent_ns,
            }
        };
        self.members.iter().map(facts).collect()
    }

    /// Takes in one message, or the passing of a moment.
    fn pump(&mut self) -> Result<(), Signal> {
        if let Some(signal) = self.interrupt.signal() {
            return Err(signal);
        }
        let now = now_ns();
        if now.saturating_sub(self.pulsed_ns) >= PULSE_EVERY_NS {
            self.pulsed_ns = now;
            for member in &self.members {
                self.say(member, FromCoordinator::Pulse { sent_ns: now_ns() });
            }
        }
        // Who did not look cannot say that others were silent.
        let absent_ns = now.saturating_sub(self.looked_ns);
        if absent_ns > ABSENT_NS {
            self.members.iter_mut().for_each(|member| member.heard_ns += absent_ns);
        }
        self.looked_ns = now;
        match self.inbox.recv_timeout(LOOK_EVERY) {
            Ok(mail) => self.take_in(mail),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(LOOK_EVERY),
        }
        while let Ok(mail) = self.inbox.try_recv() {
            self.take_in(mail);
        }
        Ok(())
    }

    fn take_in(&mut self, mail: Mail<Up>) {
        let Mail { from, heard_ns, message: Up { incarnation, said } } = mail;
        // Who it is from is in the subject, for which an agent needs the permission.
        let Ok(index) = from.parse::<u32>() else { return };
        let found = self.members.iter().position(|member| member.index == index);
        let Some(place) = found.filter(|place| self.members[*place].incarnation == incarnation)
        else {
            if let FromAgent::Hello(hello) = said {
                self.welcome(index, incarnation, hello, heard_ns);
            }
            return;
        };
        let member = &mut self.members[place];
        let silent_ns = heard_ns.saturating_sub(member.heard_ns);
        if silent_ns > SILENT_NS && member.stage >= Stage::Warmup {
            member.silent_ns = member.silent_ns.max(silent_ns);
        }
        member.heard_ns = member.heard_ns.max(heard_ns);
        match said {
            FromAgent::Hello(_) => {}
            FromAgent::Clock { n, sent_ns, heard_ns: theirs_ns, answered_ns } => {
                member.clock.sent(Reading { ours_ns: sent_ns, theirs_ns }, heard_ns);
                member.clock.heard(Reading { ours_ns: heard_ns, theirs_ns: answered_ns });
                let round_trip_ns = heard_ns.saturating_sub(sent_ns);
                member.round_trip_ns = member.round_trip_ns.max(round_trip_ns);
                member.probed = Some(n);
            }
            FromAgent::Ready { .. } => {
                member.is_ready = true;
                member.stage = member.stage.max(Stage::Ready);
            }
            FromAgent::Armed { round, .. } => member.armed = Some(round),
            FromAgent::Beat { stage, now_ns: theirs_ns, pulse, .. } => {
                member.stage = stage;
                member.clock.heard(Reading { ours_ns: heard_ns, theirs_ns });
                if let Some((sent_ns, theirs_ns)) = pulse {
                    member.clock.sent(Reading { ours_ns: sent_ns, theirs_ns }, heard_ns);
                }
            }
            FromAgent::Shared => member.is_home = true,
            FromAgent::Fault { exit, text } => {
                let text = format!("{}: {}", member.name(), fit(&text, REMARK));
                member.lost.get_or_insert((exit, text));
            }
        }
    }

    /// Lets an agent in that fits, and refuses another.
    fn welcome(&mut self, index: u32, incarnation: String, hello: Hello, heard_ns: u64) {
        let name = format!("agent {index} ({})", fit(&hello.host, NAME));
        let refuse = |exit: u8, text: String| {
            let said = FromCoordinator::Stop { exit, text };
            let down = Down { incarnation: incarnation.clone(), said };
            self.bus.say(&format!("down.{index}"), &down);
        };
        if index >= self.run.agents {
            let last = self.run.agents - 1;
            return refuse(2, format!("expected agents 0 to {last}, found {name}"));
        }
        if self.members.iter().any(|member| member.index == index) {
            return refuse(3, format!("{name} is there already, and a second start is refused"));
        }
        let short = |hash: &str| fit(hash, 12);
        let misfit = if hello.schema != SCHEMA || hello.binary != self.binary {
            Some(format!(
                "{name} is another build: expected authbench with SHA-256 {}, found {}; install \
                 the same program everywhere",
                short(&self.binary),
                short(&hello.binary)
            ))
        } else if !allows(&hello.allowed, &self.place) {
            Some(format!(
                "{name} may load {}, and the target is {}; start it with --allow-target {1}",
                fit(&listed(&hello.allowed), REMARK),
                self.place
            ))
        } else {
            None
        };
        if let Some(misfit) = misfit {
            refuse(2, misfit.clone());
            self.misfit.get_or_insert(Error::Config(format!("{misfit}; nothing was sent")));
            return;
        }
        (self.tell)(&format!("{name} is there"));
        self.members.push(Member {
            index,
            incarnation,
            hello,
            base: 0,
            clock: Bound::new(),
            heard_ns,
            silent_ns: 0,
            stage: Stage::Joined,
            probed: None,
            round_trip_ns: 0,
            is_ready: false,
            armed: None,
            is_home: false,
            lost: None,
        });
    }

    /// Waits until every agent is there, and tells each which workers it has.
    fn gather_agents(&mut self) -> Result<()> {
        let wanted = self.run.agents;
        (self.tell)(&format!("run {}: waiting for {wanted} agents", self.run.name));
        let deadline = now_ns() + self.run.join.as_nanos() as u64;
        while self.members.len() < wanted as usize {
            self.pump().map_err(interrupted)?;
            if let Some(misfit) = self.misfit.take() {
                return Err(misfit);
            }
            if let Some(gone) = self.launched.as_mut().and_then(|launched| launched.gone()) {
                return Err(Error::Config(format!("{gone}; nothing was sent")));
            }
            if now_ns() > deadline {
                let missing = (0..wanted)
                    .filter(|index| self.members.iter().all(|member| member.index != *index))
                    .map(|index| index.to_string());
                return Err(Error::Config(format!(
                    "{} of {wanted} agents came within {} s, without {}; nothing was sent",
                    self.members.len(),
                    self.run.join.as_secs_f64(),
                    missing.collect::<Vec<_>>().join(", ")
                )));
            }
        }
        self.members.sort_by_key(|member| member.index);
        let of = self.members.iter().map(|member| member.hello.workers).sum();
        Among::check(of, &self.orders.plan)?;
        let mut base = 0;
        for member in &mut self.members {
            member.base = base;
            base += member.hello.workers;
        }
        let lease_ns = self.run.lease.as_nanos() as u64;
        for member in &self.members {
            self.say(member, FromCoordinator::Welcome { base: member.base, of, lease_ns });
        }
        Ok(())
    }

    fn measure_clocks(&mut self) -> Result<()> {
        for n in 0..PROBES {
            for member in &self.members {
                self.say(member, FromCoordinator::Clock { n, sent_ns: now_ns() });
            }
            let deadline = now_ns() + PROBE_WITHIN_NS;
            while now_ns() < deadline && self.members.iter().any(|member| member.probed != Some(n))
            {
                self.pump().map_err(interrupted)?;
                if let Some((_, error)) = self.trouble(SILENT_NS) {
                    return Err(error);
                }
            }
        }
        match self.members.iter().find(|member| member.clock.at(now_ns()).is_none()) {
            None => Ok(()),
            Some(member) => Err(Error::Invalid(format!("{} was lost during setup", member.name()))),
        }
    }

    /// The first agent that is out of contact for so long or said that it cannot continue.
    fn trouble(&self, silent_ns: u64) -> Option<(usize, Error)> {
        let now = now_ns();
        self.members.iter().enumerate().find_map(|(place, member)| {
            if let Some((exit, text)) = &member.lost {
                return Some((place, error_of(*exit, text.clone())));
            }
            let is_silent = now.saturating_sub(member.heard_ns) > silent_ns && !member.is_home;
            let text = || format!("{} was lost during {}", member.name(), member.stage.name());
            is_silent.then(|| (place, Error::Invalid(text())))
        })
    }

    /// Waits until this holds of every agent. One that is lost before the load ends the run.
    fn before_load(&mut self, holds: fn(&Member) -> bool) -> Result<()> {
        while !self.members.iter().all(holds) {
            self.pump().map_err(interrupted)?;
            if let Some((_, error)) = self.trouble(SILENT_NS) {
                return Err(error);
            }
        }
        Ok(())
    }

    /// The start that every agent has agreed to, by our clock.
    fn agree_on_start(&mut self) -> Result<u64> {
        let slowest = self.members.iter().map(|member| member.round_trip_ns).max().unwrap_or(0);
        for round in 1..=STARTS {
            let now = now_ns();
            let start_ns = now + START_AHEAD_NS.max(4 * slowest);
            for member in &self.members {
                let offset = member.clock.at(now).map_or(0, |offset| offset.ns);
                let theirs_ns = (start_ns as i64 + offset) as u64;
                self.say(member, FromCoordinator::Arm { round, start_ns: theirs_ns });
            }
            while now_ns() + AGREED_BEFORE_NS < start_ns {
                self.pump().map_err(interrupted)?;
                if let Some((_, error)) = self.trouble(SILENT_NS) {
                    return Err(error);
                }
                if self.members.iter().all(|member| member.armed == Some(round)) {
                    return Ok(start_ns);
                }
            }
            self.say_all(&FromCoordinator::Cancel { round });
        }
        let absent = |member: &&Member| member.armed != Some(STARTS);
        let late: Vec<_> = self.members.iter().filter(absent).map(Member::name).collect();
        Err(Error::Invalid(format!(
            "{STARTS} starts were not agreed on in time by {}; look at the network between the \
             agents and the engine",
            late.join(", ")
        )))
    }

    /// Watches the load until every share is home; why it ended before, if it did.
    fn watch(&mut self, start_ns: u64) -> Option<Error> {
        let plan = &self.orders.plan;
        let lease_ns = self.run.lease.as_nanos() as u64;
        let length_ns = plan.warmup_ns + plan.measure_ns + plan.drain_ns;
        let mut deadline = start_ns + length_ns + SHARES_WITHIN_NS;
        let mut ended = None;
        loop {
            let is_done = |member: &Member| member.is_home || member.lost.is_some();
            if self.members.iter().all(is_done) || now_ns() > deadline {
                let late = self.members.iter().find(|member| !is_done(member));
                let text = |member: &Member| format!("the share of {} did not come", member.name());
                return ended.or_else(|| late.map(|member| Error::Invalid(text(member))));
            }
            let trouble = match self.pump() {
                Err(signal) if ended.is_none() => Some(Trouble::Signal(signal)),
                Err(_) => {
                    // The signal has been told; what is on its way is still taken in.
                    if let Ok(mail) = self.inbox.recv_timeout(LOOK_EVERY) {
                        self.take_in(mail);
                    }
                    None
                }
                Ok(()) => self.trouble(lease_ns).map(|(place, error)| Trouble::Agent(place, error)),
            };
            let (exit, error) = match trouble {
                None => continue,
                Some(Trouble::Signal(signal)) => {
                    let error = interrupted(signal);
                    (error.exit_code(), error)
                }
                Some(Trouble::Agent(place, error)) => {
                    let lost = (error.exit_code(), error.to_string());
                    self.members[place].lost.get_or_insert(lost);
                    (error.exit_code(), error)
                }
            };
            if ended.is_none() {
                (self.tell)(&format!("{error}; all agents are stopped"));
                self.stop(exit, &error.to_string());
                deadline = now_ns() + plan.drain_ns + SHARES_WITHIN_NS;
                ended = Some(error);
            }
            // Others may be lost too; they are asked no more.
            self.forget_lost(lease_ns);
        }
    }

    /// Marks every agent that is out of contact, so that nothing is waited for in vain.
    fn forget_lost(&mut self, lease_ns: u64) {
        let now = now_ns();
        for member in &mut self.members {
            if now.saturating_sub(member.heard_ns) > lease_ns && !member.is_home {
                let text = format!("{} was lost during {}", member.name(), member.stage.name());
                member.lost.get_or_insert((3, text));
            }
        }
    }

    /// The shares that the engine keeps, and why one that should be there is not.
    fn fetch_shares(&mut self, hash: &str) -> (Vec<Option<Share>>, Option<Error>) {
        let mut why = None;
        let shares = self.members.iter().map(|member| {
            let fetched = gather::fetch_share(self.bus, &self.run.name, member.index, hash);
            fetched.unwrap_or_else(|text| {
                let text = format!("the share of {} cannot be used: {text}", member.name());
                why.get_or_insert(Error::Invalid(text));
                None
            })
        });
        (shares.collect(), why)
    }
}

fn interrupted(signal: Signal) -> Error {
    Error::Interrupted("interrupted: the agents were stopped".into(), signal)
}

/// A name for a run that nobody has chosen one for.
pub fn some_name() -> String {
    let mut name = sha256_hex(proc::incarnation().as_bytes());
    name.truncate(12);
    name
}
