-- Reads by name all that a partition holds, if it is little; of one that holds more, only how much. Changes nothing.
-- KEYS   1-3 ready lists (high, medium, low)  4 tasks  5 attempts  6 checkpoints  7 bundled  8 scheduled  9 leases  10 dead
--        11 errors  12 results  13 result expiry  14 counters  last never
-- ARGV   1 what the keys of the leases' sets begin with; they are in the slot of all others, and only known here
--        2 most names
-- Output { lengths, bundled, counters, contents }
--        lengths   of the ready lists, tasks, attempts, checkpoints, scheduled, leases, dead, errors, results, result expiry
--        bundled   of lists 0, 1 and 2, and of all leases
--        counters  enqueued, completed, removed, voided, delivered, failed, retried, dead, recovered
--        contents  empty if there are more names than asked for; else names in the order of the lengths, and last the names
--                  in each lease, in the order of the leases
-- Atomic One consistent look.
local most = tonumber(ARGV[2])
local lengths = {
  redis.call('LLEN', KEYS[1]),
  redis.call('LLEN', KEYS[2]),
  redis.call('LLEN', KEYS[3]),
  redis.call('HLEN', KEYS[4]),
  redis.call('HLEN', KEYS[5]),
  redis.call('HLEN', KEYS[6]),
  redis.call('ZCARD', KEYS[8]),
  redis.call('ZCARD', KEYS[9]),
  redis.call('ZCARD', KEYS[10]),
  redis.call('HLEN', KEYS[11]),
  redis.call('HLEN', KEYS[12]),
  redis.call('ZCARD', KEYS[13]),
}
local names = 0
for _, length in ipairs(lengths) do
  names = names + length
end
local leases = {}
if names <= most then
  leases = redis.call('ZRANGE', KEYS[9], 0, -1)
  for _, id in ipairs(leases) do
    names = names + redis.call('SCARD', ARGV[1] .. id)
  end
end

local contents = {}
if names <= most then
  local held = {}
  for i, id in ipairs(leases) do
    held[i] = redis.call('SMEMBERS', ARGV[1] .. id)
  end
  contents = {
    redis.call('LRANGE', KEYS[1], 0, -1),
    redis.call('LRANGE', KEYS[2], 0, -1),
    redis.call('LRANGE', KEYS[3], 0, -1),
    redis.call('HKEYS', KEYS[4]),
    redis.call('HKEYS', KEYS[5]),
    redis.call('HKEYS', KEYS[6]),
    redis.call('ZRANGE', KEYS[8], 0, -1),
    leases,
    redis.call('ZRANGE', KEYS[10], 0, -1),
    redis.call('HKEYS', KEYS[11]),
    redis.call('HKEYS', KEYS[12]),
    redis.call('ZRANGE', KEYS[13], 0, -1),
    held,
  }
end

return {
  lengths,
  redis.call('HMGET', KEYS[7], '0', '1', '2', 'active'),
  redis.call(
    'HMGET', KEYS[14],
    'enqueued', 'completed', 'removed', 'voided', 'delivered', 'failed', 'retried', 'dead', 'recovered'
  ),
  contents,
}
