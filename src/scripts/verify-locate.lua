-- Says of some tasks where each has its record, and where its name, or that of its bundle, stands. Changes nothing.
-- Uses   bundle
-- KEYS   1-3 ready lists (high, medium, low)  4 tasks  5 scheduled  6 leases  7 dead  last never
-- ARGV   1 what the keys of the leases' sets begin with; they are in the slot of all others, and only known here
--        2 how many entries of each list are searched, from both ends; 0 for all
--        3 most entries of all lists together of which all are searched
--        4 most leases that are searched  5.. ids of tasks
-- Output { 0 if something was too long to be searched, else 1; then of each task:
--          records (1 its own, 2 in its bundle, 3 both), scheduled, dead, in leases by its own name, in leases by its bundle's,
--          in lists by its own name, in lists by its bundle's, ... }
-- Atomic One consistent look. Searching a list takes time that grows with it.
local near, most, mostLeases = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local entries, whole = 0, 1
local lengths = {}
for level = 1, 3 do
  lengths[level] = redis.call('LLEN', KEYS[level])
  entries = entries + lengths[level]
end
if near == 0 and entries > most then
  return { 0 }
end
local leases = {}
if redis.call('ZCARD', KEYS[6]) <= mostLeases then
  leases = redis.call('ZRANGE', KEYS[6], 0, -1)
else
  whole = 0
end

local function timesInLists(name)
  local times = 0
  for level = 1, 3 do
    if near == 0 or lengths[level] <= 2 * near then
      times = times + #redis.call('LPOS', KEYS[level], name, 'COUNT', 0)
    else
      whole = 0
      times = times + #redis.call('LPOS', KEYS[level], name, 'COUNT', 0, 'MAXLEN', near)
      times = times + #redis.call('LPOS', KEYS[level], name, 'RANK', -1, 'COUNT', 0, 'MAXLEN', near)
    end
  end
  return times
end

local out = { 1 }
for i = 5, #ARGV do
  local id = ARGV[i]
  local bundle = bundleOf(id)
  local own, byBundle = 0, 0
  for _, lease in ipairs(leases) do
    local held = redis.call('SMISMEMBER', ARGV[1] .. lease, id, bundle or '')
    own = own + held[1]
    byBundle = byBundle + held[2]
  end
  local records = redis.call('HEXISTS', KEYS[4], id)
    + 2 * (bundle and redis.call('HEXISTS', KEYS[4], bundle) or 0)
  for _, fact in ipairs({
    records,
    redis.call('ZSCORE', KEYS[5], id) and 1 or 0,
    redis.call('ZSCORE', KEYS[7], id) and 1 or 0,
    own,
    byBundle,
    timesInLists(id),
    bundle and timesInLists(bundle) or 0,
  }) do
    out[#out + 1] = fact
  end
end
out[1] = whole
return out
