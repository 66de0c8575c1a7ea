"""Lua scripts of scoring jobs: each one changes one job atomically, on keys of one slot.

States: running, done, failed, cancelled. What has ended is kept for a while, to be looked at.
"""

# KEYS: job, parts, tallies, walker, working. ARGV: spec, now, group, milliseconds a process may be silent, begin anew
# or nothing, host, first walk.
# Returns 1: begun, 0: it is there and goes on, -1: it is there and somebody works on it.
# Begun twice, because the first reply was lost, it is begun once.
BEGIN = """
local state = redis.call('HGET', KEYS[1], 'state')
if state == 'running' and redis.call('HGET', KEYS[1], 'begun') == ARGV[2]
  and redis.call('HGET', KEYS[1], 'spec') == ARGV[1] then return 1 end
if state == 'running' and ARGV[5] == '' then return 0 end
if state == 'running' and redis.call('EXISTS', KEYS[5]) == 1 then return -1 end
if state and ARGV[5] == '' then return 0 end
redis.call('DEL', unpack(KEYS))
redis.call('HSET', KEYS[1], 'spec', ARGV[1], 'state', 'running', 'begun', ARGV[2], 'position', '', 'share', '0',
  'walk', ARGV[7], 'walked', '0', 'passed_over', '0', 'found', '0', 'host', ARGV[6])
if ARGV[6] == '' then redis.call('SET', KEYS[5], '1', 'PX', ARGV[4]) end  -- whoever begins it works on it from here on
redis.call('XGROUP', 'CREATE', KEYS[2], ARGV[3], '0', 'MKSTREAM')
return 1
"""

# KEYS: job, walker. ARGV: process, milliseconds it may be silent.
# Returns 1 when this process is the one that walks.
LEAD = """
if redis.call('HGET', KEYS[1], 'state') ~= 'running' then return 0 end
if redis.call('HGET', KEYS[1], 'walked') == '1' then return 0 end
local walker = redis.call('GET', KEYS[2])
if walker and walker ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return 1
"""

# KEYS: walker. ARGV: process.
LEAVE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0
"""

# KEYS: job, parts, walker, tallies. ARGV: process, position, share, anew or nothing, keys passed over, rows,
# milliseconds the process may be silent, a word that no other step has, then every part.
# Returns how many parts wait, -1: another process walks now, -2: the job has ended or is gone.
# A walk that begins anew finds everything again, so all that was counted counts no more.
# Added twice, because the first reply was lost, it is there once.
ADD = """
if redis.call('HGET', KEYS[1], 'state') ~= 'running' then return -2 end
if redis.call('GET', KEYS[3]) ~= ARGV[1] then return -1 end
if redis.call('HGET', KEYS[1], 'added') == ARGV[8] then return redis.call('XLEN', KEYS[2]) end
if ARGV[4] ~= '' then
  redis.call('HINCRBY', KEYS[1], 'walk', 1)
  redis.call('HSET', KEYS[1], 'passed_over', '0', 'found', '0')
  redis.call('DEL', KEYS[4])
end
local walk = redis.call('HGET', KEYS[1], 'walk')
redis.call('PEXPIRE', KEYS[3], ARGV[7])
for i = 9, #ARGV do redis.call('XADD', KEYS[2], '*', 'rows', ARGV[i], 'walk', walk) end
redis.call('HSET', KEYS[1], 'position', ARGV[2], 'share', ARGV[3], 'added', ARGV[8])
redis.call('HINCRBY', KEYS[1], 'passed_over', ARGV[5])
redis.call('HINCRBY', KEYS[1], 'found', ARGV[6])
return redis.call('XLEN', KEYS[2])
"""

# A job is done when everything was found and every part is settled. Whoever waits for a part hears of it at
# once: the stream is gone.
FINISH = """
local function finish(job, parts, tallies, now, kept)
  if redis.call('HGET', job, 'walked') ~= '1' or redis.call('XLEN', parts) > 0 then return 0 end
  redis.call('HSET', job, 'state', 'done', 'ended', now)
  redis.call('DEL', parts)
  redis.call('EXPIRE', job, kept)
  redis.call('EXPIRE', tallies, kept)
  return 1
end
"""

# KEYS: job, parts, tallies, walker. ARGV: process, now, seconds it is kept.
# Returns 1: everything was found, 2: and all of it is settled, -1: another process walks now, -2: it has ended.
WALKED = (
    FINISH
    + """
if redis.call('HGET', KEYS[1], 'state') ~= 'running' then return -2 end
if redis.call('GET', KEYS[4]) ~= ARGV[1] then return -1 end
redis.call('HSET', KEYS[1], 'walked', '1', 'share', '1')
redis.call('DEL', KEYS[4])
return 1 + finish(KEYS[1], KEYS[2], KEYS[3], ARGV[2], ARGV[3])
"""
)

# KEYS: job, parts, tallies. ARGV: group, entry, process, tally, now, seconds it is kept, walk of the part,
# tally before.
# Returns 0: somebody else settled it, or its walk has begun anew, 1: settled, 2: and it was the last one,
# 3: it was the last one, and its walk has begun anew, -1: another tally is kept: Redis was restarted, and lost some.
# Settled twice, because the first reply was lost, it counts once.
SETTLE = (
    FINISH
    + """
local counts = redis.call('HGET', KEYS[1], 'walk') == ARGV[7] and 1 or 0
local kept = redis.call('HGET', KEYS[3], ARGV[3]) or ''
if counts == 1 and kept ~= ARGV[8] and kept ~= ARGV[4] then return -1 end
if redis.call('XACK', KEYS[2], ARGV[1], ARGV[2]) == 0 then
  if counts == 0 or kept ~= ARGV[4] then return 0 end
  return redis.call('HGET', KEYS[1], 'state') == 'done' and 2 or 1
end
redis.call('XDEL', KEYS[2], ARGV[2])
if counts == 1 then redis.call('HSET', KEYS[3], ARGV[3], ARGV[4]) end
if redis.call('HGET', KEYS[1], 'state') ~= 'running' then return counts end
if finish(KEYS[1], KEYS[2], KEYS[3], ARGV[5], ARGV[6]) == 0 then return counts end
return 3 - counts
"""
)

# KEYS: job, parts, tallies, walker. ARGV: state, reason, now, seconds it is kept, done or nothing: it may be done.
# Returns 1: ended, 0: it had ended before, -1: there is none.
# What makes room goes first: a Redis without memory left refuses a script whose first write takes some.
END = """
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return -1 end
if state ~= 'running' and state ~= ARGV[5] then return 0 end
redis.call('DEL', KEYS[2], KEYS[4])
redis.call('HSET', KEYS[1], 'state', ARGV[1], 'reason', ARGV[2], 'ended', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('EXPIRE', KEYS[3], ARGV[4])
return 1
"""
