//! Credentials that end while a load runs, as one worker knows them: who has to renew theirs, with
//! which request, and which requests wait for that. What is sent on which connection is not its
//! concern.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use super::due::Due;
use super::part::outcome_of;
use super::users::Credentials;
use crate::journey::{Renewing, Script, Who};
use crate::plan::RenewalPlan;
use crate::random::{mix, uniform};
use crate::record::RenewalRecord;
use crate::transport::{Ended, Failure, Outcome, error_class_name};

/// Seed of the draws of when users renew first, apart from those of the load.
const PHASE_DRAWS: u64 = 4;

/// The renewals of one worker's users; a visitor is named by the place that they take.
///
/// A user renews once at a time: requests of theirs that find the credential ended, or are refused
/// because it has, wait for that one renewal, so no server sees a refresh token twice. A request is
/// sent again at most once. Behind a refresh that was refused, or of which nobody knows whether the
/// server carried it out, comes a login: its token may be used up.
pub(super) struct Renewals<'a> {
    script: &'a Script,
    how: &'a Renewing,
    /// How long a credential lives, where the plan says so.
    lives_ns: Option<u64>,
    /// Whether the end of a credential may be known ahead of time.
    is_known: bool,
    window: Range<u64>,
    /// When each user's credential is to be renewed without a refusal.
    due_ns: Vec<u64>,
    /// When it was renewed last.
    since_ns: Vec<u64>,
    /// Users whose refresh token may be used up.
    spent: BTreeSet<u32>,
    under_way: BTreeMap<u32, Renewal>,
    /// Users whose renewal has a request to be sent.
    ready: VecDeque<u32>,
    /// By connection: whose renewal has a request there.
    on: Vec<Option<u32>>,
    /// By connection: the request there that has waited, once it has been sent again.
    again: Vec<Option<Waiting>>,
    /// Requests that have waited and are to be sent.
    resumed: VecDeque<Waiting>,
    /// Requests that wait, and those that have and are not sent yet.
    waiting: u32,
    pub(super) record: RenewalRecord,
}

/// A renewal under way.
struct Renewal {
    /// Whether the request that began it was due in Measure.
    counted: bool,
    /// When its first request was sent.
    began_ns: Option<u64>,
    request: usize,
    /// Redirects of the login that led to it.
    hops: u8,
    /// What is held of the user in a login; unused by a refresh.
    held: Vec<u8>,
    refreshes: bool,
    fell_back: bool,
    /// The connection that it keeps to.
    connection: Option<u32>,
    waiting: Vec<Waiting>,
}

/// A request that waits for a renewal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) due: Due,
    /// When it was sent first, or would have been.
    pub(super) sent_ns: u64,
    /// Whether it was refused once.
    refused: bool,
}

/// A request of a renewal that is to be sent.
pub(super) struct Asked {
    pub(super) user: u32,
    pub(super) request: usize,
    pub(super) connection: Option<u32>,
    /// The request that waits first: its loop's connection is free.
    pub(super) first: Due,
}

/// How a renewal stands after an answer.
pub(super) enum Stand {
    /// Its next request is ready.
    UnderWay,
    /// It gave this to hold of the user; who waited is resumed.
    Renewed(Vec<u8>),
    /// It gave nothing, and these waited for it.
    Failed(Vec<Waiting>),
}

impl<'a> Renewals<'a> {
    /// `None` where users do not renew.
    pub(super) fn new(
        script: &'a Script,
        plan: Option<&RenewalPlan>,
        credentials: &Credentials,
        (users, connections): (u32, u32),
    ) -> Option<Box<Self>> {
        let how = script.renewal.as_ref()?;
        let lives_ns = plan.and_then(|plan| plan.lifetime_ns);
        let is_known = lives_ns.is_some() || how.is_known_ahead();
        let due_ns = |user| credentials.due_ns(user).unwrap_or(u64::MAX);
        Some(Box::new(Self {
            script,
            how,
            lives_ns,
            is_known,
            window: 0..0,
            due_ns: if is_known { (0..users).map(due_ns).collect() } else { Vec::new() },
            since_ns: vec![0; users as usize],
            spent: BTreeSet::new(),
            under_way: BTreeMap::new(),
            ready: VecDeque::new(),
            on: vec![None; connections as usize],
            again: vec![None; connections as usize],
            resumed: VecDeque::new(),
            waiting: 0,
            record: RenewalRecord::default(),
        }))
    }

    /// Lets the load begin at this moment. With a lifetime of the plan users are as if they had
    /// logged in at any moment of it: all at once they would renew all at once.
    pub(super) fn begin(&mut self, start_ns: u64, seed: u64, number: impl Fn(u32) -> u64) {
        let Some(lives_ns) = self.lives_ns else { return };
        for (user, due_ns) in (0..).zip(&mut self.due_ns) {
            let phase = uniform(mix(seed, PHASE_DRAWS), number(user));
            *due_ns = start_ns + (lives_ns as f64 * phase) as u64;
        }
    }

    /// Has a visitor take this place: they have no credential yet, and nothing is left of the one
    /// who had the place before.
    pub(super) fn enter(&mut self, place: u32) {
        let index = place as usize;
        self.since_ns.resize(self.since_ns.len().max(index + 1), 0);
        self.since_ns[index] = 0;
        if self.is_known {
            self.due_ns.resize(self.since_ns.len(), u64::MAX);
            self.due_ns[index] = u64::MAX;
        }
        self.spent.remove(&place);
    }

    /// Takes in the answer that gave a user a credential: when that ends, if anything says so.
    pub(super) fn given(&mut self, user: u32, ended: &Ended<'_>) {
        if let Some(due_ns) = self.due_ns.get_mut(user as usize) {
            let by_answer = || self.how.due_ns(ended.result.as_ref().ok()?, ended.sent_ns);
            let by_plan = self.lives_ns.map(|ns| ended.sent_ns + ns);
            *due_ns = by_plan.or_else(by_answer).unwrap_or(u64::MAX);
        }
    }

    /// Counts what happens in this window from now on.
    pub(super) fn slide(&mut self, window: Range<u64>) {
        self.window = window;
    }

    /// Whether a request of this user has to wait for a renewal.
    pub(super) fn is_due(&self, user: u32, now: u64) -> bool {
        self.due_ns.get(user as usize).is_some_and(|due_ns| *due_ns <= now)
            || !self.under_way.is_empty() && self.under_way.contains_key(&user)
    }

    /// Has a request wait for the renewal of its user, which begins if none is under way.
    pub(super) fn wait(&mut self, due: Due, now: u64) {
        self.record.waited += u64::from(self.window.contains(&due.planned_ns));
        self.enqueue(Waiting { due, sent_ns: now, refused: false });
    }

    fn enqueue(&mut self, waiting: Waiting) {
        let user = waiting.due.user;
        self.waiting += 1;
        let refresh = self.how.refresh.filter(|_| !self.spent.contains(&user));
        let counted = self.window.contains(&waiting.due.planned_ns);
        let ready = &mut self.ready;
        let renewal = self.under_way.entry(user).or_insert_with(|| {
            ready.push_back(user);
            Renewal {
                counted,
                began_ns: None,
                request: refresh.unwrap_or(self.script.logins.start),
                hops: 0,
                held: Vec::new(),
                refreshes: refresh.is_some(),
                fell_back: false,
                connection: None,
                waiting: Vec::new(),
            }
        });
        renewal.waiting.push(waiting);
    }

    /// Takes in the end of a request that was sent at `started_ns`: whether it was refused because
    /// its credential has ended, and is to be sent again.
    pub(super) fn refuses(&mut self, due: Due, started_ns: u64, ended: &Ended<'_>) -> bool {
        let Ok(answer) = &ended.result else { return false };
        let (status, request) = (answer.status, due.request as usize);
        let is_expected = self.script.accepts(request, status);
        if is_expected || !self.how.ended.accept(status) {
            return false;
        }
        if self.script.logins.contains(&request) {
            // A visitor's login shows no credential that could have ended.
            return false;
        }
        let before = self.again[ended.connection].take();
        if before.is_some_and(|before| before.refused) {
            self.again[ended.connection] = before;
            return false;
        }
        let counted = u64::from(self.window.contains(&due.planned_ns));
        self.record.refused += counted;
        let sent_ns = before.map_or(ended.sent_ns, |before| before.sent_ns);
        let waiting = Waiting { due, sent_ns, refused: true };
        let is_renewed = started_ns < self.since_ns[due.user as usize];
        if is_renewed && !self.under_way.contains_key(&due.user) {
            self.waiting += 1;
            self.resumed.push_back(waiting);
        } else {
            self.record.waited += if before.is_none() { counted } else { 0 };
            self.enqueue(waiting);
        }
        true
    }

    /// Counts an answer that changed what is held of a user.
    pub(super) fn roll(&mut self, due: Due) {
        self.record.rolled += u64::from(self.window.contains(&due.planned_ns));
    }

    /// The request on this connection, if it has waited.
    pub(super) fn take_again(&mut self, connection: usize) -> Option<Waiting> {
        self.again[connection].take()
    }

    /// The next request of a renewal that is to be sent, without taking it.
    pub(super) fn asked(&self) -> Option<Asked> {
        let user = *self.ready.front()?;
        let renewal = self.under_way.get(&user)?;
        let first = renewal.waiting.first()?.due;
        let (request, connection) = (renewal.request, renewal.connection);
        Some(Asked { user, request, connection, first })
    }

    /// Takes it, to be sent now on this connection.
    pub(super) fn send(&mut self, connection: u32, now: u64) {
        let Some(user) = self.ready.pop_front() else { return };
        if let Some(renewal) = self.under_way.get_mut(&user) {
            renewal.connection = Some(connection);
            renewal.began_ns.get_or_insert(now);
        }
        self.on[connection as usize] = Some(user);
    }

    /// What is held of a user whose renewal is under way, for its next request; `None` where that
    /// is what is held for others.
    pub(super) fn held(&self, user: u32) -> Option<&[u8]> {
        let renewal = self.under_way.get(&user)?;
        (!renewal.refreshes).then_some(renewal.held.as_slice())
    }

    /// The next request that has waited, without taking it.
    pub(super) fn resumed(&self) -> Option<Due> {
        self.resumed.front().map(|waiting| waiting.due)
    }

    /// Takes it, to be sent on this connection.
    pub(super) fn resume(&mut self, connection: u32) {
        self.again[connection as usize] = self.resumed.pop_front();
        self.waiting -= 1;
    }

    /// How many requests wait, or have and are not sent yet.
    pub(super) const fn waiting(&self) -> u32 {
        self.waiting
    }

    /// Whose renewal has a request on this connection.
    pub(super) fn user_on(&self, connection: usize) -> Option<u32> {
        self.on[connection]
    }

    /// Takes in the end of a request of this user's renewal; `who` has what it was sent with.
    pub(super) fn take_in(&mut self, user: u32, who: Who<'_>, ended: &Ended<'_>) -> Stand {
        self.on[ended.connection] = None;
        let Some(renewal) = self.under_way.get_mut(&user) else { return Stand::UnderWay };
        let onward = match &ended.result {
            Ok(answer) => {
                let onward = self.script.onward(renewal.request, renewal.hops, who, answer);
                onward.map_err(outcome_of)
            }
            Err(failure) => Err(Outcome::Failed(*failure)),
        };
        match onward {
            Ok(onward) => match onward.next {
                Some(next) => {
                    (renewal.request, renewal.hops) = (next, onward.hops);
                    renewal.held = onward.held;
                    self.ready.push_back(user);
                    Stand::UnderWay
                }
                None => {
                    self.renewed(user, ended);
                    Stand::Renewed(onward.held)
                }
            },
            Err(outcome) => self.refused(user, outcome),
        }
    }

    fn renewed(&mut self, user: u32, ended: &Ended<'_>) {
        let Some(renewal) = self.under_way.remove(&user) else { return };
        self.since_ns[user as usize] = ended.done_ns;
        self.spent.remove(&user);
        self.given(user, ended);
        if let Some(began_ns) = renewal.began_ns.filter(|_| renewal.counted) {
            let count = if renewal.refreshes {
                &mut self.record.refreshed
            } else {
                &mut self.record.logged_in
            };
            *count += 1;
            self.record.fell_back += u64::from(renewal.fell_back);
            self.record.time.record(ended.done_ns.saturating_sub(began_ns));
        }
        self.resumed.extend(renewal.waiting);
    }

    fn refused(&mut self, user: u32, outcome: Outcome) -> Stand {
        let Some(renewal) = self.under_way.get_mut(&user) else { return Stand::UnderWay };
        let is_counted = renewal.counted;
        if is_counted && let Some(class) = outcome.error_class() {
            *self.record.errors.entry(error_class_name(class)).or_default() += 1;
        }
        if renewal.refreshes && is_final(outcome) {
            self.spent.insert(user);
            (renewal.refreshes, renewal.fell_back) = (false, true);
            renewal.request = self.script.logins.start;
            self.ready.push_back(user);
            return Stand::UnderWay;
        }
        self.record.failed += u64::from(is_counted);
        let waiting = self.under_way.remove(&user).map_or_else(Vec::new, |r| r.waiting);
        self.waiting -= waiting.len() as u32;
        Stand::Failed(waiting)
    }

    /// Gives up what has not ended when the load has; the requests that waited.
    pub(super) fn give_up(&mut self) -> Vec<Waiting> {
        for renewal in self.under_way.values() {
            if renewal.counted {
                self.record.failed += 1;
                let class = Outcome::Failed(Failure::Timeout).error_class();
                let class = class.map_or_else(String::new, error_class_name);
                *self.record.errors.entry(class).or_default() += 1;
            }
        }
        self.waiting = 0;
        self.ready.clear();
        self.on.fill(None);
        let under_way = std::mem::take(&mut self.under_way);
        let waiting = under_way.into_values().flat_map(|renewal| renewal.waiting);
        waiting.chain(std::mem::take(&mut self.resumed)).collect()
    }
}

/// Whether no further refresh with this token can be right: it was refused, or the server may have
/// replaced it in an answer that never came. A server that is down or busy has not looked at it.
const fn is_final(outcome: Outcome) -> bool {
    !matches!(outcome, Outcome::Status(429 | 500..=599))
}
