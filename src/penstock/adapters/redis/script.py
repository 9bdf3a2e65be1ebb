"""The scripts: what has to be looked at and written in one go.

Fences are compared as text of a fixed width: Lua's numbers are doubles, and would round them.
"""

from __future__ import annotations

import hashlib
from typing import Final

FILL: Final = b"fill"
REFRESH: Final = b"refresh"
WRITE: Final = b"write"

SOURCE: Final = """
local stands = redis.call('GET', KEYS[1])
local how, fence, value, ttl, placeholder = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local right
if not stands then
  right = how == 'write'
elseif string.sub(stands, 1, 1) == 'v' then
  right = string.sub(stands, 2, 25) < fence
else
  right = how ~= 'fill' or stands == placeholder
end
if right then
  redis.call('SET', KEYS[1], value, 'PX', ttl)
  return 1
end
return 0
"""
"""A value is written only where that is right."""

RELEASE_SOURCE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
"""
"""A claim is taken back by the one who made it."""

ADD_SOURCE: Final = """
local totals = {}
for place = 2, #ARGV, 2 do
  totals[#totals + 1] = redis.call('HINCRBY', KEYS[1], ARGV[place], ARGV[place + 1])
end
if redis.call('PTTL', KEYS[1]) < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return totals
"""
"""Many counts in one call; they end together."""


def _sha(source: str) -> str:
    """By which Redis knows it."""
    return hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


SHA: Final = _sha(SOURCE)
RELEASE_SHA: Final = _sha(RELEASE_SOURCE)
ADD_SHA: Final = _sha(ADD_SOURCE)
SOURCES: Final = (SOURCE, RELEASE_SOURCE, ADD_SOURCE)
