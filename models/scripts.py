"""Lua scripts of the store: each one changes one model atomically, on keys of one slot.

A script checks everything that could fail before its first write: Redis takes nothing back.
"""

# The versions an alias left are a JSON list, oldest first; what cannot be read counts as none.
HISTORY = """
local function history(model, alias)
  local stored = redis.call('HGET', model, 'previous:' .. alias)
  local ok, list = pcall(cjson.decode, stored or '[]')
  if ok and type(list) == 'table' then return list end
  return {}
end
local function remember(model, alias, list)
  if #list > 0 then redis.call('HSET', model, 'previous:' .. alias, cjson.encode(list))
  else redis.call('HDEL', model, 'previous:' .. alias) end
end
"""

# Whoever moves production, or takes it away, says anew what answers: a traffic rule ends with it.
SETTLE = """
local function settle(model, alias)
  if alias == 'production' then redis.call('HDEL', model, 'traffic') end
end
"""

# The version that the alias leaves is remembered, so that a rollback knows where to go.
POINT = """
local function point(model, aliases, alias, version, kept)
  local now = redis.call('HGET', aliases, alias)
  local list = history(model, alias)
  settle(model, alias)
  if now == version then return end
  redis.call('HSET', aliases, alias, version)
  if now then
    list[#list + 1] = tonumber(now)
    while #list > tonumber(kept) do table.remove(list, 1) end
    remember(model, alias, list)
  end
end
"""

# KEYS: model, aliases, versions, manifest, then every chunk, and the page of the card where there is one.
# ARGV: version, manifest, created, description, history kept, alias or nothing.
# Returns 1, -1: a chunk has expired, -2: another manifest is there.
# A chunk that does not expire was gone, and what was sent of it later has made another, which lacks its beginning.
# The same publish run twice, because its first reply was lost, changes nothing the second time.
PUBLISH = (
    HISTORY
    + SETTLE
    + POINT
    + """
redis.call('HLEN', KEYS[1])
redis.call('HLEN', KEYS[2])
redis.call('SCARD', KEYS[3])
local stored = redis.call('GET', KEYS[4])
if stored == ARGV[2] then return 1 end
if stored then return -2 end
for i = 5, #KEYS do
  if redis.call('TTL', KEYS[i]) < 0 then return -1 end
end
redis.call('SET', KEYS[4], ARGV[2])
for i = 5, #KEYS do redis.call('PERSIST', KEYS[i]) end
redis.call('SADD', KEYS[3], ARGV[1])
redis.call('HSET', KEYS[1], 'created', ARGV[3], 'description', ARGV[4])
if ARGV[6] ~= '' then point(KEYS[1], KEYS[2], ARGV[6], ARGV[1], ARGV[5]) end
return 1
"""
)

# KEYS: model, aliases, manifest.  ARGV: alias, version, history kept.
# Returns 1, or -1: that version is not stored.
PROMOTE = (
    HISTORY
    + SETTLE
    + POINT
    + """
if redis.call('EXISTS', KEYS[3]) == 0 then return -1 end
point(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3])
return 1
"""
)

# KEYS: model, aliases.  ARGV: alias, prefix of the model's version keys, what the alias means, its history.
# Returns the version gone back to, or -1: nowhere to go, -2: no such alias, -3: it was moved since it was looked at.
# Versions deleted meanwhile are passed over. Their manifests are in the slot of the model's keys.
# The same rollback run twice, because its first reply was lost, changes nothing the second time.
ROLLBACK = (
    HISTORY
    + SETTLE
    + """
local now = redis.call('HGET', KEYS[2], ARGV[1])
if not now then return -2 end
local stored = redis.call('HGET', KEYS[1], 'previous:' .. ARGV[1]) or ''
if now ~= ARGV[3] or stored ~= ARGV[4] then return -3 end
local list = history(KEYS[1], ARGV[1])
while #list > 0 do
  local version = table.remove(list)
  local manifest = ARGV[2] .. version .. ':manifest'
  if version ~= tonumber(now) and redis.call('EXISTS', manifest) == 1 then
    settle(KEYS[1], ARGV[1])
    redis.call('HSET', KEYS[2], ARGV[1], version)
    remember(KEYS[1], ARGV[1], list)
    return version
  end
end
return -1
"""
)

# An alias goes with its history; where it is production, the traffic rule does too.
TAKE = """
local function take(model, aliases, alias)
  local gone = redis.call('HDEL', aliases, alias)
  redis.call('HDEL', model, 'previous:' .. alias)
  if gone == 1 then settle(model, alias) end
  return gone
end
"""

# KEYS: model, aliases.  ARGV: alias.  Returns 1, or 0: no such alias.
UNALIAS = (
    SETTLE
    + TAKE
    + """
redis.call('HLEN', KEYS[1])
return take(KEYS[1], KEYS[2], ARGV[1])
"""
)

# KEYS: model, then the manifest of each version.  ARGV: rule, then each version.
# Returns 0, or the first version that is not stored.
TRAFFIC = """
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 0 then return tonumber(ARGV[i]) end
end
redis.call('HSET', KEYS[1], 'traffic', ARGV[1])
return 0
"""

# KEYS: model, aliases, versions, deleted, then every key of the version.
# ARGV: version, 1 where the aliases that point to it go too, a word that no other deletion has.
# Returns what keeps it, {aliases that point to it, whether it has traffic}, or how many it was:
# 1 deleted, 0 not there. Traffic ends where production goes.
# The same deletion run twice, because its first reply was lost, has deleted it.
DELETE = (
    SETTLE
    + TAKE
    + """
if redis.call('GET', KEYS[4]) == ARGV[3] then return 1 end
local users, production = {}, false
local all = redis.call('HGETALL', KEYS[2])
for i = 1, #all, 2 do
  if all[i + 1] == ARGV[1] then
    users[#users + 1] = all[i]
    production = production or all[i] == 'production'
  end
end
local ok, rule = pcall(cjson.decode, redis.call('HGET', KEYS[1], 'traffic') or '{}')
local shared = ok and type(rule) == 'table' and rule[ARGV[1]] ~= nil
local ends = ARGV[2] == '1'
if #users > 0 and not ends or shared and not (ends and production) then return {users, shared and 1 or 0} end
local there = redis.call('SREM', KEYS[3], ARGV[1])
for i = 1, #users do take(KEYS[1], KEYS[2], users[i]) end
for i = 5, #KEYS do redis.call('UNLINK', KEYS[i]) end
if there == 1 then redis.call('SET', KEYS[4], ARGV[3], 'EX', 60) end
return there
"""
)

# KEYS: manifest, refusal.  ARGV: the refusal.  Returns 1, or 0: the version is gone, and nothing is kept.
REFUSE = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('SET', KEYS[2], ARGV[1])
return 1
"""

# KEYS: manifest, signature.  ARGV: the manifest that was signed, its signature.
# Returns 1, or 0: another manifest is there, or none, and nothing is kept.
SIGN = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2])
return 1
"""
