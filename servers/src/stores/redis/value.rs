//! A session as the one string value that Redis holds of it.

use super::facts::STORE;
use crate::cart::{Cart, ITEM_BYTES_MAX, ITEMS_MAX};
use crate::clock::Timestamp;
use crate::stores::{Session, SessionData, StoreError};
use crate::users::{Name, Role, User, UserId};

/// Bytes of the three moments.
pub(super) const TIMES_BYTES: usize = 24;
/// Latest moment that is kept apart from later ones: what a script's numbers hold exactly.
const MILLIS_MAX: u64 = 1 << 52;

const _: () = assert!(ITEMS_MAX <= 255 && ITEM_BYTES_MAX <= 255, "lengths are single bytes");

/// A moment as a script can reckon with it.
///
/// A head of fixed width comes first, so that a script can judge a session, note an activity and
/// find its user without reading on: last use, expiry and creation as milliseconds in eight bytes
/// each, then the number of the user in four, all big-endian. Role, name and cart follow, every
/// text behind a byte with its length. A value that does not read to its last byte is no session:
/// it must be told as an error of the store and never be taken for one that is not there.
pub(in crate::stores) fn millis(moment: Timestamp) -> u64 {
    moment.millis().min(MILLIS_MAX)
}

/// The moments of a session, and room for the rest.
pub(super) fn head(session: &Session) -> Vec<u8> {
    let Session { created, expires, last_seen, .. } = session;
    let mut value = Vec::with_capacity(TIMES_BYTES + 32);
    for moment in [last_seen, expires, created] {
        value.extend_from_slice(&millis(*moment).to_be_bytes());
    }
    value
}

/// Appends what is behind the moments.
pub(in crate::stores) fn encode_data(data: &SessionData, value: &mut Vec<u8>) {
    let SessionData { user: User { id, name, role }, cart } = data;
    value.extend_from_slice(&id.number().to_be_bytes());
    value.push(match role {
        Role::Member => 0,
        Role::Admin => 1,
    });
    push_text(name.as_str(), value);
    value.push(length(cart.items().len()));
    for item in cart.items() {
        push_text(item, value);
    }
}

fn push_text(text: &str, value: &mut Vec<u8>) {
    value.push(length(text.len()));
    value.extend_from_slice(text.as_bytes());
}

/// No length here is over 255: the limits of names and carts see to that.
fn length(of: usize) -> u8 {
    u8::try_from(of).unwrap_or(u8::MAX)
}

/// The last use, the end and the beginning of a session, and what is behind them in its value.
pub(super) fn moments(value: &[u8]) -> Option<([Timestamp; 3], &[u8])> {
    let mut rest = value;
    let moments = [moment(&mut rest)?, moment(&mut rest)?, moment(&mut rest)?];
    Some((moments, rest))
}

/// What is behind the head of a value, to its last byte.
pub(in crate::stores) fn decode_data(data: &[u8]) -> Option<SessionData> {
    let mut rest = data;
    let (id, after) = rest.split_first_chunk()?;
    let id = UserId::new(u32::from_be_bytes(*id))?;
    rest = after;
    let role = match byte(&mut rest)? {
        0 => Role::Member,
        1 => Role::Admin,
        _ => return None,
    };
    let name = Name::new(text(&mut rest)?)?;
    let items = usize::from(byte(&mut rest)?);
    let cart = if items == 0 {
        Cart::default()
    } else {
        let items: Vec<_> = (0..items).map(|_| text(&mut rest)).collect::<Option<_>>()?;
        Cart::of(items.into_iter()).ok()?
    };
    let data = SessionData { user: User { id, name, role }, cart };
    rest.is_empty().then_some(data)
}

/// A value that is no record.
pub(in crate::stores) fn unreadable(operation: &'static str, value: &[u8]) -> StoreError {
    let found = format!("an unreadable value of {} bytes", value.len());
    StoreError { store: STORE, operation, found }
}

fn moment(rest: &mut &[u8]) -> Option<Timestamp> {
    let (millis, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(Timestamp::from_millis(u64::from_be_bytes(*millis)))
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    let (&byte, after) = rest.split_first()?;
    *rest = after;
    Some(byte)
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = usize::from(byte(rest)?);
    let (text, after) = rest.split_at_checked(length)?;
    *rest = after;
    str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn session(items: &[&str]) -> Session {
        let user = User::of(UserId::new(4_200).unwrap());
        let cart = Cart::of(items.iter().copied()).unwrap();
        let now = Timestamp::from_millis(2_000_000_000_123);
        let session = Session::begin(SessionData { user, cart }, now, Duration::from_secs(900));
        Session { last_seen: now.plus(Duration::from_millis(7)), ..session }
    }

    fn encode(session: &Session) -> Vec<u8> {
        let mut value = head(session);
        encode_data(&session.data, &mut value);
        value
    }

    fn decode(value: &[u8]) -> Option<Session> {
        let ([last_seen, expires, created], rest) = moments(value)?;
        Some(Session { data: decode_data(rest)?, created, expires, last_seen })
    }

    #[test]
    fn a_session_reads_back_and_no_part_or_more_of_it_does() {
        let long = "x".repeat(64);
        for items in [&[][..], &["a", "\u{1f34e} \"", &long][..], &[&*long; 64][..]] {
            let session = session(items);
            let value = encode(&session);
            assert_eq!(decode(&value), Some(session));
            for length in 0..value.len() {
                assert_eq!(decode(&value[..length]), None, "{length}");
            }
            assert_eq!(decode(&[&value[..], &[0]].concat()), None);
        }
    }

    #[test]
    fn the_standard_user_takes_40_bytes() {
        assert_eq!(encode(&session(&[])).len(), 40);
    }

    #[test]
    fn the_far_end_of_time_is_far() {
        let session = Session { expires: Timestamp::from_millis(u64::MAX), ..session(&[]) };
        let found = decode(&encode(&session)).unwrap();
        assert_eq!(found.expires, Timestamp::from_millis(1 << 52));
    }
}
