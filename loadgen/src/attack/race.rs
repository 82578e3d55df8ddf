//! A change of what a user's session holds, and a logout, sent at the same moment.

use std::sync::Barrier;

use super::attacker::{Answered, Attacker};
use super::login::Login;
use super::request::{Added, written};
use super::wire::{Reply, Silence, Wire};
use crate::error::Result;
use crate::journey::{Script, Who, field};

/// The journey that changes something.
const CHANGES: &str = "cart";

/// Two connections, one for the change and one for the logout.
pub(super) struct Race {
    script: Script,
    logout: usize,
    lanes: [Wire; 2],
}

impl Race {
    /// Opens both connections; or says why there can be no race, if the descriptor lacks one of the
    /// requests.
    ///
    /// # Errors
    /// `Config` when certificates cannot be checked as asked.
    pub(super) fn new(attacker: &Attacker<'_>) -> Result<std::result::Result<Self, String>> {
        let target = attacker.target;
        if !target.journeys.contains_key(CHANGES) {
            return Ok(Err(format!("the target file has no journey `{CHANGES}`")));
        }
        let script = Script::new(target, CHANGES)?;
        let Some(logout) = script.logout else {
            return Ok(Err("the target file has no logout".into()));
        };
        let trust = &attacker.options.trust;
        let ends = attacker.ends;
        let lane = || -> Result<Wire> {
            let wire = Wire::new(&script, trust, ends)?;
            Ok(if attacker.ours() { wire } else { wire.patient() })
        };
        let mut lanes = [lane()?, lane()?];
        let bare = attacker.request("", &attacker.bare());
        // The answer does not matter, as long as the connection is open.
        lanes.iter_mut().for_each(|lane| drop(lane.ask(&bare)));
        Ok(Ok(Self { script, logout, lanes }))
    }

    /// Sends both, and waits for both answers: to the change, and to the logout.
    pub(super) fn run(&mut self, login: &Login) -> (Answered, Answered) {
        let who = Who { n: login.user, credential: login.held() };
        let change = written(&self.script, self.script.steps.start, who, Added::default());
        let logout = written(&self.script, self.logout, who, Added::default());
        let (start, [one, other]) = (Barrier::new(2), &mut self.lanes);
        let send = |lane: &mut Wire, bytes: &[u8]| {
            start.wait();
            lane.ask(bytes)
        };
        std::thread::scope(|scope| {
            let changed = scope.spawn(|| send(one, &change));
            let ended = send(other, &logout);
            (changed.join().unwrap_or(Err(Silence::Malformed)), ended)
        })
    }

    /// The credential that a user holds after this answer to the change; `None` if nothing was
    /// changed.
    pub(super) fn credential(&self, login: &Login, reply: &Reply) -> Option<Vec<u8>> {
        let at = self.script.steps.start;
        if !self.script.accepts(at, reply.status) {
            return None;
        }
        let who = Who { n: login.user, credential: login.held() };
        let held = reply.with(|answer| self.script.capture(at, who, answer)).ok()?;
        let new = field(&held, 0);
        Some(if new.is_empty() { login.credential() } else { new }.to_vec())
    }
}
