//! How an entry of the shared list is written in Redis, and the scripts that write it.

use redis::Script;

use crate::clock::Timestamp;
use crate::stores::denylist::{Denied, DeniedId};
use crate::stores::redis::value::millis;
use crate::users::UserId;

/// What the keys of all entries begin with.
pub(super) const PREFIX: &str = "authbench:d:";
/// The counter that gives all servers their numbers.
pub(super) const COUNT: &str = "authbench:d:count";

/// The next number: above the last one and above what the server has seen, and not below the time
/// of Redis, which is the one clock that all servers share.
const NEXT: &str = "
local function next_number(key, floor)
  local time = redis.call('TIME')
  local last = math.max(tonumber(redis.call('GET', key) or 0), tonumber(floor))
  local number = string.format('%.0f', math.max(last + 1, time[1] * 1000000 + time[2]))
  redis.call('SET', key, number)
  return number
end
";
/// Counter; floor.
const ISSUE: &str = "return next_number(KEYS[1], ARGV[1])";
/// Token; until, time to live, channel, message. Whether it is new.
const DENY: &str = "
local new = redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
redis.call('PUBLISH', ARGV[3], ARGV[4])
return new and 1 or 0";
/// Counter, user; floor, until, time to live, channel, start of the message. The number.
const DENY_ALL: &str = "
local number = next_number(KEYS[1], ARGV[1])
local value = number .. ' ' .. ARGV[2]
redis.call('SET', KEYS[2], value, 'PX', ARGV[3])
redis.call('PUBLISH', ARGV[4], ARGV[5] .. ' ' .. value)
return number";
/// User; number, value, time to live, channel, message. For a Redis that has lost it.
const DENY_AGAIN: &str = "
local have = redis.call('GET', KEYS[1])
if not have or tonumber(string.match(have, '^%d+')) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  redis.call('PUBLISH', ARGV[4], ARGV[5])
end
return 0";

/// All of them.
///
/// An entry is a key with a time to live, `authbench:d:t:` and the id of a token, or
/// `authbench:d:u:` and the number of a user, with its end as the value, and for a user the number
/// of the logout before that. What is published is the key without what all have in front, a space,
/// and the value: one form to read. Writing and publishing are one script, so that no entry is
/// known to Redis and to nobody else.
pub(super) struct Scripts {
    pub(super) issue: Script,
    pub(super) deny: Script,
    pub(super) deny_all: Script,
    pub(super) deny_again: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            issue: Script::new(&format!("{NEXT}{ISSUE}")),
            deny: Script::new(DENY),
            deny_all: Script::new(&format!("{NEXT}{DENY_ALL}")),
            deny_again: Script::new(DENY_AGAIN),
        }
    }
}

/// The end of an entry's key, and its value.
pub(super) fn entry(denied: Denied) -> (String, String) {
    match denied {
        Denied::Token(id, until) => (format!("t:{id:032x}"), millis(until).to_string()),
        Denied::User(user, number, until) => {
            (format!("u:{user}"), format!("{number} {}", millis(until)))
        }
    }
}

/// An entry as it is published: the end of its key, a space, its value.
pub(super) fn parse(entry: &str) -> Option<Denied> {
    let mut words = entry.split(' ');
    let (kind, name) = words.next()?.split_once(':')?;
    let mut number = || words.next()?.parse::<u64>().ok();
    let denied = match kind {
        "t" => {
            let id = DeniedId::from_str_radix(name, 16).ok()?;
            Denied::Token(id, Timestamp::from_millis(number()?))
        }
        "u" => {
            let user = UserId::parse(name.as_bytes())?;
            Denied::User(user, number()?, Timestamp::from_millis(number()?))
        }
        _ => return None,
    };
    words.next().is_none().then_some(denied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_back_and_nothing_else_is_one() {
        let (id, until) = (u128::MAX / 3, Timestamp::from_millis(2_000_000_000_123));
        let user = UserId::new(7).unwrap();
        for denied in [Denied::Token(id, until), Denied::User(user, 1_700_000_000_000_000, until)] {
            let (name, value) = entry(denied);
            assert_eq!(parse(&format!("{name} {value}")), Some(denied));
            assert_eq!(parse(&format!("{name} {value} 1")), None);
            assert_eq!(parse(&name), None);
        }
        for text in ["", "t", "t:", "t:zz 1", "u:07 1 2", "u:7 1", "u:7 1 x", "x:7 1 2"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
