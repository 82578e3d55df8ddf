//! Users who come and go, as one worker knows them: who is there, and what each does next.
//! A visit is a login, some requests and a logout, on whatever connection is free. A user whose
//! request fails leaves at once, as a person whose shop does not work does, and is counted.

use crate::journey::{Onward, Script, Who};
use crate::load;
use crate::random::mix;
use crate::record::VisitCounts;

/// Users who may be there at a time; beyond them memory would grow with the overload, and who
/// comes then is turned away and counted.
const VISITORS_MAX: usize = 1 << 20;

/// The users who are there.
pub(super) struct Visits {
    model: load::Visits,
    seed: u64,
    visitors: Vec<Visitor>,
    /// Indices of visitors who have left, to be used again.
    free: Vec<u32>,
    pub(super) counts: VisitCounts,
}

#[derive(Default)]
struct Visitor {
    user: u64,
    credential: Vec<u8>,
    /// Redirects of the login that led to the request under way.
    hops: u8,
    seed: u64,
    /// Requests made since the login.
    made: u32,
    counted: bool,
}

/// What a visitor does after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) request: usize,
    pub(super) think_ns: u64,
}

impl Visits {
    pub(super) fn new(model: load::Visits, seed: u64) -> Self {
        Self { model, seed, visitors: Vec::new(), free: Vec::new(), counts: VisitCounts::default() }
    }

    /// Lets visit `n` begin, made by this user; `counted` says whether it began in Measure. `None`
    /// when there are too many.
    pub(super) fn arrive(&mut self, n: u64, user: u64, counted: bool) -> Option<u32> {
        self.counts.arrived += u64::from(counted);
        let visitor = Visitor { user, seed: mix(self.seed, n), counted, ..Visitor::default() };
        if let Some(slot) = self.free.pop() {
            self.visitors[slot as usize] = visitor;
            return Some(slot);
        }
        if self.visitors.len() >= VISITORS_MAX {
            self.counts.turned_away += u64::from(counted);
            return None;
        }
        self.visitors.push(visitor);
        Some(self.visitors.len() as u32 - 1)
    }

    pub(super) fn who(&self, slot: u32) -> Who<'_> {
        let visitor = &self.visitors[slot as usize];
        Who { n: visitor.user, credential: &visitor.credential }
    }

    /// Redirects of a visitor's login that led to the request under way.
    pub(super) fn hops(&self, slot: u32) -> u8 {
        self.visitors[slot as usize].hops
    }

    /// Takes in the right answer to `request`, and what it gave to hold; what the visitor does
    /// then. `None` when that was the last request of the visit.
    pub(super) fn answered(
        &mut self,
        slot: u32,
        script: &Script,
        request: usize,
        onward: Option<Onward>,
    ) -> Option<Next> {
        let visitor = &mut self.visitors[slot as usize];
        let mut next = None;
        if let Some(onward) = onward {
            next = onward.next;
            (visitor.credential, visitor.hops) = (onward.held, onward.hops);
        }
        let begins = script.begins(visitor.seed);
        if script.logins.contains(&request) {
            let first = script.step_at(begins).1 as usize;
            return Some(Next { request: next.unwrap_or(first), think_ns: 0 });
        }
        if Some(request) == script.logout {
            return None;
        }
        visitor.made += 1;
        let think_ns = self.model.think_ns(visitor.seed, u64::from(visitor.made));
        if visitor.made < self.model.requests {
            let request = script.step_at(begins + u64::from(visitor.made)).1 as usize;
            return Some(Next { request, think_ns });
        }
        script.logout.map(|request| Next { request, think_ns })
    }

    /// Replaces what is held of a visitor.
    pub(super) fn renew(&mut self, slot: u32, held: Vec<u8>) {
        self.visitors[slot as usize].credential = held;
    }

    /// Lets the visitor leave, having done everything or not.
    pub(super) fn leave(&mut self, slot: u32, completed: bool) {
        let visitor = std::mem::take(&mut self.visitors[slot as usize]);
        if visitor.counted {
            let count =
                if completed { &mut self.counts.completed } else { &mut self.counts.failed };
            *count += 1;
        }
        self.free.push(slot);
    }
}

#[cfg(test)]
mod tests {
    use contract::Target;

    use super::*;
    use crate::load::Spread;

    fn visits(requests: u32) -> Visits {
        let model = load::Visits {
            rate_per_s: 1.0,
            random: false,
            requests,
            think_ns: 5,
            spread: Spread::Fixed,
        };
        Visits::new(model, 1)
    }

    fn script() -> Script {
        let target: Target = toml::from_str(
            r#"
            name = "t"
            base_url = "http://127.0.0.1:1"
            [login]
            path = "/login"
            fields = {}
            credential = "json:/token"
            send = "header:Authorization: Bearer {credential}"
            [logout]
            path = "/logout"
            [journeys.browse]
            steps = [{ name = "one", path = "/1" }, { name = "two", path = "/2" }]
            "#,
        )
        .unwrap();
        Script::new(&target, "browse").unwrap()
    }

    fn token() -> Option<Onward> {
        Some(Onward { held: b"tok".into(), ..Onward::default() })
    }

    #[test]
    fn a_visit_is_a_login_its_requests_and_a_logout() {
        let (script, mut visits) = (script(), visits(3));
        let slot = visits.arrive(0, 7, true).unwrap();
        let (login, logout) = (script.login.unwrap(), script.logout.unwrap());
        let (one, two) = (script.steps.start, script.steps.start + 1);
        let then = |request, think_ns| Some(Next { request, think_ns });
        assert_eq!(visits.answered(slot, &script, login, token()), then(one, 0));
        assert_eq!(visits.who(slot).credential, b"tok");
        assert_eq!(visits.answered(slot, &script, one, None), then(two, 5));
        assert_eq!(visits.answered(slot, &script, two, None), then(one, 5));
        assert_eq!(visits.answered(slot, &script, one, None), then(logout, 5));
        assert_eq!(visits.answered(slot, &script, logout, None), None);
        visits.leave(slot, true);
        let counts = visits.counts;
        assert_eq!((counts.arrived, counts.completed, counts.failed), (1, 1, 0));
    }

    #[test]
    fn the_place_of_one_who_left_is_used_again_and_holds_nothing_of_theirs() {
        let mut visits = visits(1);
        let slot = visits.arrive(0, 7, false).unwrap();
        visits.answered(slot, &script(), script().login.unwrap(), token());
        visits.leave(slot, false);
        assert_eq!(visits.counts, VisitCounts::default(), "it did not begin in Measure");
        assert_eq!(visits.arrive(1, 8, true), Some(slot));
        assert_eq!((visits.who(slot).n, visits.who(slot).credential), (8, &b""[..]));
        visits.leave(slot, false);
        assert_eq!((visits.counts.arrived, visits.counts.failed), (1, 1));
    }
}
