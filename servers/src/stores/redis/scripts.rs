//! What Redis does in one go: every change of a record that first has to look at it.

use redis::Script;

use super::facts::Kind;

/// How much longer than it lives a record stays in Redis if nobody removes it, in milliseconds.
pub(super) const GRACE_MS: u64 = 60_000;
/// Records that one step of a logout everywhere removes.
pub(super) const DELETE_STEP: u64 = 1_000;

/// What all scripts share. `live` says whether the record whose first 16 bytes are in `value`
/// lives; `idle` is -1 where there is no such limit.
const COMMON: &str = "
local function live(value, now, idle)
  local seen, expires = struct.unpack('>I8I8', value)
  return now < expires and (idle < 0 or now < seen + idle), seen, expires
end
local function ttl(left, idle)
  if idle >= 0 and idle < left then left = idle end
  return left + GRACE
end
local function user(key)
  local bytes = redis.call('GETRANGE', key, HEAD, HEAD + 3)
  return #bytes == 4 and struct.unpack('>I4', bytes)
end
local function remove(key, id)
  local old = user(key)
  if old then redis.call('ZREM', INDEX .. old, id) end
  return redis.call('DEL', key)
end";

/// Record, index; value, id, now, expires, idle. What is long over leaves the index on the way.
const CREATE: &str = "
local now, expires, idle = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ttl(expires - now, idle)) then return 0 end
redis.call('ZADD', KEYS[2], expires, ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - 2 * GRACE)
return 1";

/// Session; now, idle. The value as it was before. A Redis that is full takes no activity down and
/// answers anyway: the session then ends too early, and not too late.
pub(super) const TOUCH: &str = "
local value = redis.call('GET', KEYS[1])
if not value or #value < HEAD + 4 then return value end
local now, idle = tonumber(ARGV[1]), tonumber(ARGV[2])
local lives, seen, expires = live(value, now, idle)
if not lives then return false end
if now > seen then
  local done = redis.pcall('SETRANGE', KEYS[1], 0, struct.pack('>I8', now))
  if type(done) == 'number' then
    redis.call('PEXPIRE', KEYS[1], ttl(expires - now, idle))
  elseif not string.find(done.err, 'OOM', 1, true) then
    return done
  end
end
return value";

/// Record, index of the new user; data, id, now, idle.
const UPDATE: &str = "
local head = redis.call('GETRANGE', KEYS[1], 0, HEAD - 1)
if #head < HEAD then return 0 end
local lives, _, expires = live(head, tonumber(ARGV[3]), tonumber(ARGV[4]))
if not lives then return 0 end
local old = user(KEYS[1])
redis.call('SET', KEYS[1], head .. ARGV[1], 'XX', 'KEEPTTL')
local index = INDEX .. old
if index ~= KEYS[2] then
  redis.call('ZREM', index, ARGV[2])
  redis.call('ZADD', KEYS[2], expires, ARGV[2])
end
return 1";

/// Record; id.
const DELETE: &str = "
return remove(KEYS[1], ARGV[1])";

/// Index; most records to remove. How many were there, and whether there are more.
const DELETE_ALL: &str = "
local removed = 0
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1)) do
  removed = removed + redis.call('DEL', KEY .. id)
  redis.call('ZREM', KEYS[1], id)
end
return { removed, redis.call('EXISTS', KEYS[1]) }";

/// Indexes; now, idle. How many records were over and still there.
const SWEEP: &str = "
local now, idle = tonumber(ARGV[1]), tonumber(ARGV[2])
local removed = 0
for _, index in ipairs(KEYS) do
  local till = idle < 0 and now or '+inf'
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', till)) do
    local key = KEY .. id
    local times = redis.call('GETRANGE', key, 0, 15)
    if #times < 16 or not live(times, now, idle) then
      removed = removed + redis.call('DEL', key)
      redis.call('ZREM', index, id)
    end
  end
end
return removed";

/// Those that every kind of record has.
///
/// A script runs alone, so nothing comes between the look and the change, and it is one round trip.
/// Time is always the argument: Redis' own clock decides nothing but when it may throw away what is
/// over. That is never before a minute has passed beyond the end that we reckon with, so that the
/// clocks need not agree.
///
/// Records have a time to live in Redis and the users' indexes have none; a record's keys are made,
/// moved and removed together with its place in the index, by the functions here. Names of keys are
/// made from values, which a cluster does not allow: this is for one Redis, or one with replicas.
pub(super) struct Scripts {
    pub(super) create: Script,
    pub(super) update: Script,
    pub(super) delete: Script,
    pub(super) delete_all: Script,
    pub(super) sweep: Script,
}

impl Scripts {
    pub(super) fn new(kind: &Kind) -> Self {
        let script = |code| script(kind, code);
        Self {
            create: script(CREATE),
            update: script(UPDATE),
            delete: script(DELETE),
            delete_all: script(DELETE_ALL),
            sweep: script(SWEEP),
        }
    }
}

/// A script for records of this kind, which may use what all share.
pub(in crate::stores) fn script(kind: &Kind, code: &str) -> Script {
    let Kind { key, index, head } = kind;
    let names = format!("local KEY, INDEX, HEAD, GRACE = '{key}', '{index}', {head}, {GRACE_MS}");
    Script::new(&format!("{names}{COMMON}{code}"))
}
