//! Users as workers hold them: a credential each, and nothing else.

use std::sync::Arc;

use crate::error::{Error, Result};

/// Credentials of the users of one worker, by the user's index within it.
///
/// A million of them must fit into one process, so credentials lie end to end in one buffer and a
/// user is an offset in it. What else must be held of a user, such as a CSRF token, is a further
/// field of the same bytes (`journey::field`). A buffer holds at most 4 GiB, which is checked.
#[derive(Clone, Debug, Default)]
pub(super) struct Credentials {
    bytes: Vec<u8>,
    /// Where each one begins; it ends where the next begins.
    starts: Vec<u32>,
    /// Credentials that came out of order wait here until the ones before them are there.
    early: std::collections::BTreeMap<u32, Vec<u8>>,
    /// When those are to be renewed of which that is known, ns.
    due_ns: Vec<u64>,
}

impl Credentials {
    /// Keeps the credential of user `index`; users may come in any order, each once.
    pub(super) fn put(&mut self, index: u32, credential: &[u8]) {
        if index as usize == self.starts.len() {
            self.push(credential);
            while let Some(next) = self.early.remove(&(self.starts.len() as u32)) {
                self.push(&next);
            }
        } else {
            self.early.insert(index, credential.to_vec());
        }
    }

    /// Keeps when the credential of user `index` is to be renewed.
    pub(super) fn put_due(&mut self, index: u32, due_ns: u64) {
        let index = index as usize;
        self.due_ns.resize(self.due_ns.len().max(index + 1), u64::MAX);
        self.due_ns[index] = due_ns;
    }

    /// When it is to be renewed; `None` where that is not known.
    pub(super) fn due_ns(&self, index: u32) -> Option<u64> {
        self.due_ns.get(index as usize).copied()
    }

    /// Forgets when they are to be renewed: another load has another clock.
    pub(super) fn forget_dues(&mut self) {
        self.due_ns = Vec::new();
    }

    fn push(&mut self, credential: &[u8]) {
        assert!(self.try_push(credential), "credentials fill less than 4 GiB");
    }

    /// Keeps the credential of the next user; `false` where there is no room for it.
    pub(super) fn try_push(&mut self, credential: &[u8]) -> bool {
        let Ok(start) = u32::try_from(self.bytes.len()) else { return false };
        self.starts.push(start);
        self.bytes.extend_from_slice(credential);
        true
    }

    /// Bytes of all credentials together.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The credential of user `index`; empty for one who has none.
    pub(super) fn get(&self, index: u32) -> &[u8] {
        let index = index as usize;
        let Some(start) = self.starts.get(index) else { return &[] };
        let end = self.starts.get(index + 1).map_or(self.bytes.len(), |end| *end as usize);
        &self.bytes[*start as usize..end]
    }
}

/// Users who are logged in and whose credentials are kept, dealt out to workers as a load deals
/// them.
#[derive(Debug)]
pub struct LoggedIn {
    pub(super) first: u64,
    pub(super) users: u32,
    pub(super) of_workers: Vec<Arc<Credentials>>,
}

impl LoggedIn {
    /// No users yet, from this number on, for this number of workers.
    pub fn nobody(first: u64, workers: u32) -> Self {
        let of_workers = (0..workers.max(1)).map(|_| Arc::default()).collect();
        Self { first, users: 0, of_workers }
    }

    /// Adds the next user, with this credential.
    ///
    /// # Errors
    /// `Config` where the credentials have no room.
    pub fn add(&mut self, credential: &[u8]) -> Result<()> {
        let worker = self.users as usize % self.of_workers.len();
        if !Arc::make_mut(&mut self.of_workers[worker]).try_push(credential) {
            return Err(Error::Config(format!(
                "the credentials of {} users take 4 GiB for each generator thread, and that is all \
                 it holds; ask for fewer users",
                self.users
            )));
        }
        self.users += 1;
        Ok(())
    }

    /// How many there are.
    pub const fn users(&self) -> u32 {
        self.users
    }

    /// Bytes of all their credentials.
    pub fn credential_bytes(&self) -> u64 {
        self.of_workers.iter().map(|credentials| credentials.bytes()).sum()
    }

    /// Their credentials as so many workers of a load of these users have them. Only where that is
    /// another number of workers are they copied.
    pub(super) fn dealt(&self, users: u32, workers: u32) -> Result<Vec<Arc<Credentials>>> {
        if (self.first, self.users) != (0, users) {
            return Err(Error::Bug(format!(
                "a load of {users} users after {} were logged in from number {} on",
                self.users, self.first
            )));
        }
        let have = self.of_workers.len() as u32;
        if have == workers {
            return Ok(self.of_workers.clone());
        }
        let mut dealt = vec![Credentials::default(); workers as usize];
        for user in 0..users {
            let credential = self.of_workers[(user % have) as usize].get(user / have);
            if !dealt[(user % workers) as usize].try_push(credential) {
                return Err(Error::Config(format!(
                    "the credentials of {users} users have no room in {workers} generator threads; \
                     ask for fewer users or more connections"
                )));
            }
        }
        Ok(dealt.into_iter().map(Arc::new).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_come_back_in_whatever_order_they_came() {
        let mut credentials = Credentials::default();
        for index in [2u32, 0, 3, 1, 4] {
            credentials.put(index, "x".repeat(index as usize + 1).as_bytes());
        }
        for index in 0..5u32 {
            assert_eq!(credentials.get(index).len(), index as usize + 1);
        }
        assert_eq!(credentials.get(5), b"");
        assert!(credentials.early.is_empty());
    }
}
