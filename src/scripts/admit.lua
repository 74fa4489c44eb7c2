-- Says whether consumers may take tasks here, or a master that was restarted has to be left to those who hold tasks first.
-- Flags allow-oom
-- Memory One small key, once for each life of a server.
-- KEYS   1 admitted  last never
-- ARGV   1 ms for which a server must have been up  2 ms to wait besides, since it was loading its data a moment ago; or 0
--        3 run id that the caller has heard from this server before; or ''  4 ms since then, by the caller's clock
-- Output { ms after which to ask again, 0 for none, tasks may be taken; run id, or '' where a script may not ask }
-- Atomic Of one life of a server, one answer: once anybody has been let in, all are.
-- A master that was killed may come back without its last writes, and so without having handed out what was handed out in its
-- last moments. Holders put that right as soon as they reach it again (reassert.lua). A server that was never asked before has
-- nothing to forget, and one that was promoted has been up for longer.
local info = redis.pcall('INFO', 'server')
local life = type(info) == 'string' and string.match(info, 'run_id:(%x+)')
-- Where a script may not ask, nobody can tell.
if not life then
  return { 0, '' }
end
local known = redis.call('GET', KEYS[1])
if known == life then
  return { 0, life }
end
local least = tonumber(ARGV[1])
-- Ms that it has been up for, at least. Its own word is the difference of two whole seconds of its wall clock, and so up to one second
-- too much; and it is below what is true, or below 0, where the clock was set back since. Then what the caller has seen counts.
local said = tonumber(string.match(info, 'uptime_in_seconds:(%-?%d+)')) or 0
local up = math.max(0, (said - 1) * 1000 + math.floor(redis.call('TIME')[2] / 1000))
if ARGV[3] == life then
  up = math.max(up, tonumber(ARGV[4]))
end
local wait = math.max(tonumber(ARGV[2]), least - up)
if known and wait > 0 then
  return { wait, life }
end
redis.call('SET', KEYS[1], life)
return { 0, life }
