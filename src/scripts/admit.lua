-- Says whether consumers may take tasks here, or a master that was restarted has to be left to those who hold tasks first.
-- Flags allow-oom
-- Memory One small key, once for each life of a server.
-- KEYS   1 admitted  last never
-- ARGV   1 seconds for which a server must have been up  2 ms to wait besides, since it was loading its data a moment ago; or 0
-- Output ms after which to ask again; 0 for none, tasks may be taken
-- Atomic Of one life of a server, one answer: once anybody has been let in, all are.
-- A master that was killed may come back without its last writes, and so without having handed out what was handed out in its
-- last moments. Holders put that right as soon as they reach it again (reassert.lua). A server that was never asked before has
-- nothing to forget, and one that was promoted has been up for longer.
local info = redis.pcall('INFO', 'server')
local life = type(info) == 'string' and string.match(info, 'run_id:(%x+)')
-- Where a script may not ask, nobody can tell.
if not life then
  return 0
end
local known = redis.call('GET', KEYS[1])
if known == life then
  return 0
end
local up = tonumber(string.match(info, 'uptime_in_seconds:(%d+)')) or 0
local least = tonumber(ARGV[1])
local wait = tonumber(ARGV[2])
if up < least then
  -- Both its seconds and those of TIME begin at whole seconds of the clock.
  local time = redis.call('TIME')
  wait = math.max(wait, (least - up) * 1000 - math.floor(time[2] / 1000))
end
if known and wait > 0 then
  return wait
end
redis.call('SET', KEYS[1], life)
return 0
