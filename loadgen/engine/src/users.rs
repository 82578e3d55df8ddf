//! The users of one worker: a credential each, and nothing else.
//!
//! A million of them must fit into one process, so credentials lie end to end in one buffer and a
//! user is an offset in it. What else must be held of a user, such as a CSRF token, is a further
//! field of the same bytes (`journey::field`). A buffer holds at most 4 GiB, which is checked.

/// Credentials of the users of one worker, by the user's index within it.
#[derive(Clone, Debug, Default)]
pub(super) struct Credentials {
    bytes: Vec<u8>,
    /// Where each one begins; it ends where the next begins.
    starts: Vec<u32>,
    /// Credentials that came out of order wait here until the ones before them are there.
    early: std::collections::BTreeMap<u32, Vec<u8>>,
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
