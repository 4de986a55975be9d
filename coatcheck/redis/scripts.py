"""The Lua scripts: one family, loaded once and called by their SHA.

None of them interprets a value. What a session consists of is written ready-made by Python and handed back as it lies;
the scripts compare revisions and moments as texts, and compute nothing but when an index may be forgotten.

``look`` finds a session, by the row of a token or by its sid, and returns ``{row, fields, flashes, not-before, row of
another token, position}``; the position is that of the last event in the log of its tag. ``READ`` is nothing but that.
``WRITE`` checks its guards, then runs commands that are given as arguments, and returns the position of the event among
them, or 1; when a guard does not hold it writes nothing, and returns what ``look`` does (or the moment that the guard
has found), so that the change can be made again, of what is there. ``BEAT`` shows those who follow a log that it can
be written, and what they would not know without: see :mod:`coatcheck.redis.follower`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

_LOOK: Final = """
local prefix, sid = ARGV[1], ARGV[2]
local function look()
  local row, other = false, false
  local found = sid
  if found == '' then
    row = redis.call('GET', KEYS[1])
    if not row then found = nil else found = string.sub(row, 1, 32) end
    if ARGV[3] ~= '' then other = redis.call('GET', ARGV[3]) end
  end
  local last = redis.call('XREVRANGE', prefix .. 'log', '+', '-', 'COUNT', 1)[1]
  local position = last and last[1] or '0-0'
  if not found then return {row, {}, {}, false, other, position} end
  local before = false
  local bound = redis.call('HGET', prefix .. 's:' .. found, 'p')
  if bound then before = redis.call('GET', prefix .. 'not-before:' .. bound) end
  return {
    row, redis.call('HGETALL', prefix .. 's:' .. found), redis.call('LRANGE', prefix .. 'f:' .. found, 0, -1),
    before, other, position,
  }
end
"""

_WRITE: Final = """
-- An index lives as long as the last of its members. A member that is due is only taken out when its session is gone:
-- the clock of one host must not hide what lives on for the others.
local function file(key, now, slack)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, 8)) do
    if redis.call('EXISTS', prefix .. 's:' .. string.sub(member, 1, 32)) == 0 then redis.call('ZREM', key, member) end
  end
  local last = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')
  if not last[2] then return end
  if last[2] == 'inf' then redis.call('PERSIST', key) return end
  local left = math.max(0, (tonumber(last[2]) - tonumber(now)) / 1000) + tonumber(slack)
  redis.call('PEXPIRE', key, string.format('%.0f', left))
end

local at = 4
local function take()
  at = at + 1
  return ARGV[at - 1]
end
for _ = 1, tonumber(take()) do
  local kind, key, value = take(), KEYS[tonumber(take())], take()
  if kind == 'revision' then
    if redis.call('HGET', key, 'r') ~= value then return look() end
  elseif kind == 'absent' then
    if redis.call('EXISTS', key) == 1 then return look() end
  elseif kind == 'equal' then
    if redis.call('GET', key) ~= value then return {0} end
  elseif kind == 'unrevoked' then
    local before = redis.call('GET', key)
    if before and string.sub(before, 1, 20) > string.sub(value, 1, 20)
      and string.sub(before, 21) ~= string.sub(value, 21) then return look() end
  else
    local before = redis.call('GET', key)
    if before and string.sub(before, 1, 20) > value then return {string.sub(before, 1, 20)} end
  end
end
local written = 1
while at <= #ARGV do
  local count, name, key = tonumber(take()), take(), KEYS[tonumber(take())]
  local given = {}
  for number = 1, count do given[number] = take() end
  if name == 'FILE' then file(key, given[1], given[2])
  elseif name == 'XADD' then written = redis.call(name, key, unpack(given))
  else redis.call(name, key, unpack(given)) end
end
return written
"""


_BEAT: Final = """
-- KEYS: a log, and who it is. ARGV: who it will be if it is new, milliseconds between two beats, how long the log is
-- kept, about how many events, our time.
local name = redis.call('GET', KEYS[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local due = not last or now - tonumber(string.match(last[1], '^%d+')) >= tonumber(ARGV[2])
if due or not name then
  redis.call('PEXPIRE', KEYS[1], ARGV[3]) -- a Redis that is full refuses what may grow, but not after another write
end
if not name then
  name = ARGV[1]
  redis.call('SET', KEYS[2], name)
end
if due then
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[4], '*', 'kind', 'beat', 'at', ARGV[5])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
end
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
return {name, first[1], last[1], string.format('%.0f', now)}
"""


@dataclass(frozen=True)
class Script:
    """A script and its SHA."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        """Compute the SHA by which Redis knows it."""
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest)


READ: Final = Script(_LOOK + "return look()\n")
WRITE: Final = Script(_LOOK + _WRITE)
BEAT: Final = Script(_BEAT)
