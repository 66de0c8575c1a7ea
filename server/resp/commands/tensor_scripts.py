"""Lua scripts that store tensors: a key that is absent or holds a tensor is written, any other is left alone.

What a key holds is told from its length and its last bytes, so that a large string is not copied to
be looked at; of texts only the last is seen to end.
"""

from models.tensor_strings import (
    AXES_LIMIT,
    ELEMENTS_LIMIT,
    FIXED_BYTES,
    ITEM_BYTES,
    MAGIC,
    POINTER,
    RAW_ITEM_BYTES,
    TRAILER_LIMIT_BYTES,
)
from server.resp.caller import Script
from server.resp.refusals import WRONG_TYPE


def quoted(data: bytes) -> str:
    """Return bytes as Lua writes them."""
    return "'" + "".join(f"\\{byte:03d}" for byte in data) + "'"


# The error that stands in the way of a tensor at a key, nothing where there is none.
# A fault of Redis itself (no permission, another type) is given as it is.
FAULT = f"""
local wrong = redis.error_reply('{WRONG_TYPE}')
local bytes = {{{", ".join(map(str, ITEM_BYTES.values()))}}}
local function elements(tail, from, axes)
  local count, bound = 1, 1
  for at = from + 1, from + 4 * axes, 4 do
    local a, b, c, d = string.byte(tail, at, at + 3)
    local dim = a + 256 * (b + 256 * (c + 256 * d))
    count, bound = count * dim, bound * math.max(dim, 1)
  end
  return bound <= {ELEMENTS_LIMIT} and count
end
local function trailed(key, size)
  local tail = redis.call('GETRANGE', key, -{TRAILER_LIMIT_BYTES}, -1)
  if string.sub(tail, -{len(MAGIC)}) ~= {quoted(MAGIC)} or #tail < {FIXED_BYTES} then return false end
  local axes, code = string.byte(tail, -8, -7)
  local from, payload = #tail - {FIXED_BYTES} - 4 * axes, size - {FIXED_BYTES} - 4 * axes
  if axes > {AXES_LIMIT} or from < 0 or not bytes[code + 1] then return false end
  local count = elements(tail, from, axes)
  if not count or bytes[code + 1] > 0 then return count and count * bytes[code + 1] == payload end
  if payload == 0 then return count == 0 end
  return count > 0 and count <= payload and redis.call('GETRANGE', key, payload - 1, payload - 1) == '\\000'
end
local function fault(key)
  local size = redis.pcall('STRLEN', key)
  if type(size) == 'table' then return size end
  if size == 0 then
    return redis.call('EXISTS', key) == 1 and wrong or nil
  end
  if size % {RAW_ITEM_BYTES} == 0
    and redis.call('GETRANGE', key, 0, {len(POINTER) - 1}) ~= {quoted(POINTER)} then return nil end
  return not trailed(key, size) and wrong or nil
end
"""

# KEYS: where each tensor goes. ARGV: a string for each.
STORE = Script(
    FAULT
    + """
for i = 1, #KEYS do
  local found = fault(KEYS[i])
  if found then return found end
end
local reply
for i = 1, #KEYS do
  reply = redis.pcall('SET', KEYS[i], ARGV[i])
  if reply.err then return reply end
end
return reply
"""
)

# KEYS: where tensors would go. ARGV: what is wrong with them, or nothing.
CHECK = Script(
    FAULT
    + """
for i = 1, #KEYS do
  local found = fault(KEYS[i])
  if found then return found end
end
return ARGV[1] and redis.error_reply(ARGV[1]) or redis.status_reply('OK')
"""
)
