//! What an answer says: whether it is a right one, and for whom.

use super::{Attacker, OTHERS};
use crate::attack::wire::Reply;
use crate::journey::{Template, Value, Who};
use crate::sanitise::{NAME, fit};

impl Attacker<'_> {
    /// Whether an answer of the step says for whom it is.
    pub(in crate::attack) fn is_named(&self) -> bool {
        let check = self.script.requests[self.step].check.as_ref();
        check.is_some_and(|check| {
            let text = |template: &Template| {
                let of_user = |user| template.text(Who { n: user, credential: b"" });
                of_user(self.a.user) != of_user(self.b.user)
            };
            let in_json = match &check.json {
                Some((_, Value::Text(template))) => text(template),
                _ => false,
            };
            in_json || check.contains.as_ref().is_some_and(text)
        })
    }

    pub(super) fn expects(&self, status: u16) -> bool {
        self.script.accepts(self.step, status)
    }

    /// The user that the answer names; `None` if it names none.
    pub(in crate::attack) fn whose(&self, reply: &Reply) -> Option<String> {
        if !self.expects(reply.status) {
            return None;
        }
        let check = self.script.requests[self.step].check.as_ref();
        let Some((pointer, Value::Text(_))) = check.and_then(|check| check.json.as_ref()) else {
            return self.user_in(reply);
        };
        let found = pointer.find(&reply.body).filter(|value| !value.is_empty())?;
        let nobody = (self.anonymous.status == reply.status)
            .then(|| pointer.find(&self.anonymous.body))
            .flatten();
        (nobody.as_ref() != Some(&found)).then(|| fit(&String::from_utf8_lossy(&found), NAME))
    }

    /// The first user for whom this is the right answer, where no place in it names one.
    fn user_in(&self, reply: &Reply) -> Option<String> {
        if self.is_for_a(reply) {
            return Some("somebody".into());
        }
        if !self.is_named() {
            return None;
        }
        let is_for = |user: &u64| {
            let who = Who { n: *user, credential: self.a.held() };
            reply.with(|answer| self.script.judge(self.step, who, answer)).is_ok()
        };
        let user = (0..OTHERS).find(is_for)?;
        let (name, _) = self.name_and_password(user);
        let name = if name.is_empty() { self.person(user).number } else { name };
        Some(fit(&name, NAME))
    }

    /// Whether it is the right answer for B.
    pub(in crate::attack) fn is_for_b(&self, reply: &Reply) -> bool {
        let who = Who { n: self.b.user, credential: self.b.held() };
        self.is_named() && reply.with(|answer| self.script.judge(self.step, who, answer)).is_ok()
    }

    /// Whether it is the right answer for A.
    pub(in crate::attack) fn is_for_a(&self, reply: &Reply) -> bool {
        let who = Who { n: self.a.user, credential: self.a.held() };
        reply.with(|answer| self.script.judge(self.step, who, answer)).is_ok()
    }
}
