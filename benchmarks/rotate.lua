-- wrk's script: sends the bodies of a file in turns, and prints what it saw as one line of JSON.
--
--   wrk ... -s rotate.lua URL -- BODIES BODY_BYTES [CHECK]
--
-- BODIES has one body a line where BODY_BYTES is 0, and bodies of so many bytes, one after the other, where it is not.
-- CHECK is nothing (statuses are counted by wrk, the cheapest), `whole` (every answer must be a 200
-- without an error in it) or `version` (and its values must fit its version: under one half for odd
-- versions, at least one half for even ones; so no answer may mix two).

local requests, at = {}, 0
local threads = {}

-- Globals of a thread, read by done().
wrong, changes, last, sample = 0, 0, "", ""

local function note(status, body)
   wrong = wrong + 1
   if sample == "" then
      sample = status .. " " .. string.sub(body, 1, 300)
   end
end

local function whole(status, headers, body)
   if status ~= 200 or string.find(body, '"error"', 1, true) then
      note(status, body)
      return false
   end
   return true
end

local function fits(status, headers, body)
   if not whole(status, headers, body) then
      return
   end
   local version = string.match(body, '"version":(%d+)')
   local even = tonumber(version or 0) % 2 == 0
   for value in string.gmatch(body, '"value":([%d%.e%-]+)') do
      if (tonumber(value) >= 0.5) ~= even then
         note(status, body)
         return
      end
   end
   if version ~= last then
      changes = changes + 1
      last = version
   end
end

local function bodies(path, bytes)
   if bytes == 0 then
      return io.lines(path)
   end
   local file = assert(io.open(path, "rb"))
   return function()
      return file:read(bytes)
   end
end

function setup(thread)
   table.insert(threads, thread)
end

function init(args)
   wrk.method = "POST"
   wrk.headers["Content-Type"] = wrk.headers["Content-Type"] or "application/json"
   for body in bodies(args[1], tonumber(args[2])) do
      table.insert(requests, wrk.format(nil, nil, nil, body))
   end
   if args[3] == "whole" then
      response = whole
   elseif args[3] == "version" then
      response = fits
   end
end

function request()
   at = at % #requests + 1
   return requests[at]
end

function done(summary, latency, _)
   local wrongs, seen, text = 0, 0, ""
   for _, thread in ipairs(threads) do
      wrongs = wrongs + thread:get("wrong")
      seen = seen + thread:get("changes")
      text = thread:get("sample")
   end
   local errors = summary.errors
   io.write(string.format('\nSEEN {"requests": %d, "microseconds": %d, ', summary.requests, summary.duration))
   io.write(string.format('"p50": %d, "p90": %d, "p99": %d, "max": %d, ',
      latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max))
   io.write(string.format('"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d, ',
      errors.connect, errors.read, errors.write, errors.status, errors.timeout))
   io.write(string.format('"wrong": %d, "changes": %d}\n', wrongs, seen))
   io.write("WRONG " .. string.gsub(text, "%s", " ") .. "\n")
end
