"""The one script: a value is written only where that is right.

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

SHA: Final = hashlib.sha1(SOURCE.encode(), usedforsecurity=False).hexdigest()
"""By which Redis knows it."""
