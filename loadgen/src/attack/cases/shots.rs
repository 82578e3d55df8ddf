//! What a row sends: shots, each made only when it is about to be sent.

use std::ops::Range;

use crate::attack::request::Field;

/// Up to this length a credential is attacked at every place; browsers keep no longer cookie.
const WHOLE_BYTES_MAX: usize = 4096;
/// Places that are tried at either end of a longer one, ...
const EDGE: usize = 128;
/// ... and evenly spaced between these.
const BETWEEN: usize = 256;
/// The most shots that a row may hold at once.
const LISTED_MAX: usize = 64;

/// One thing that is sent.
///
/// A server chooses how long its credentials are, up to 64 KiB, and some rows have a variant for
/// every place of one: held together these would be gigabytes. So a row hands over how its shots
/// are made, and not the shots; and of a credential that is longer than any of our arms gives it
/// takes a sample of the places, which its finding says.
pub(in crate::attack) enum Shot {
    /// This in the place of the credential.
    Credential(Vec<u8>),
    /// The step with these fields.
    Fields(Vec<Field>),
    /// The step without a credential and with this in its query.
    Query(String),
    /// These bytes, which are a request like any other.
    Whole(Vec<u8>),
    /// These bytes, which ask for the step, on a connection of their own.
    Raw(Vec<u8>),
    /// These bytes, which ask for a login, on a connection of their own.
    RawLogin(Vec<u8>),
}

/// Shots that are made one after the other.
pub(in crate::attack) struct Volley {
    /// Makes them.
    pub(super) shots: Box<dyn Iterator<Item = Shot>>,
    /// Their number.
    pub(super) count: usize,
    /// The number of places, if these are a sample.
    pub(super) sampled_of: Option<usize>,
}

/// What is sent, or why nothing can be sent.
pub(in crate::attack) type Shots = Result<Volley, String>;

/// A few shots, as many as their row says and not as the server chooses.
pub(super) fn listed(shots: Vec<Shot>) -> Shots {
    debug_assert!(shots.len() <= LISTED_MAX, "{} shots held at once", shots.len());
    Ok(Volley { count: shots.len(), sampled_of: None, shots: Box::new(shots.into_iter()) })
}

/// Places of a credential.
pub(super) struct Places {
    tried: Vec<usize>,
    sampled_of: Option<usize>,
}

impl Places {
    /// These places of a credential of so many bytes: all of them, or a sample where it is long.
    pub(super) fn new(range: Range<usize>, credential_bytes: usize) -> Self {
        let (start, end, count) = (range.start, range.end, range.len());
        if credential_bytes <= WHOLE_BYTES_MAX || count <= 2 * EDGE + BETWEEN {
            return Self { tried: range.collect(), sampled_of: None };
        }
        let between = (0..BETWEEN).map(|n| start + EDGE + n * (count - 2 * EDGE) / BETWEEN);
        let tried = (start..start + EDGE).chain(between).chain(end - EDGE..end).collect();
        Self { tried, sampled_of: Some(count) }
    }

    /// Those of them for which this holds.
    pub(super) fn filter(mut self, keep: impl Fn(usize) -> bool) -> Self {
        self.tried.retain(|place| keep(*place));
        self
    }

    /// A shot for each.
    pub(super) fn shots(self, make: impl FnMut(usize) -> Shot + 'static) -> Shots {
        let (count, sampled_of) = (self.tried.len(), self.sampled_of);
        Ok(Volley { shots: Box::new(self.tried.into_iter().map(make)), count, sampled_of })
    }
}

/// These bytes with one bit of this one flipped.
pub(super) fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut flipped = bytes.to_vec();
    flipped[at] ^= 1 << (at % 8);
    flipped
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn every_place_of_a_short_credential_is_tried_and_a_sample_of_a_long_one() {
        assert_eq!(Places::new(1..4096, 4096).tried, (1..4096).collect::<Vec<_>>());
        assert_eq!(Places::new(0..512, 65_536).tried, (0..512).collect::<Vec<_>>());
        for (range, bytes) in [(0..513, 5000), (1..4097, 4097), (3..65_536, 65_536)] {
            let places = Places::new(range.clone(), bytes);
            assert_eq!(places.sampled_of, Some(range.len()));
            assert_eq!(places.tried.len(), 512);
            assert!(places.tried.is_sorted_by(|a, b| a < b), "{range:?}: {:?}", places.tried);
            assert_eq!(places.tried[..128], (range.start..).take(128).collect::<Vec<_>>());
            assert_eq!(places.tried[384..], (range.end - 128..range.end).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_shot_is_made_when_it_is_its_turn() {
        let made = Rc::new(Cell::new(0));
        let counter = Rc::clone(&made);
        let volley = Places::new(0..4000, 4000).shots(move |_| {
            counter.set(counter.get() + 1);
            Shot::Credential(Vec::new())
        });
        let mut volley = volley.unwrap();
        assert_eq!((volley.count, made.get()), (4000, 0));
        volley.shots.next();
        assert_eq!(made.get(), 1);
    }
}
