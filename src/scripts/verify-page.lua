-- Reads some of the names that one key of a partition holds, and looks each up in the other keys. Changes nothing.
-- Uses   bundle
-- KEYS   1 the key that is read  2 tasks  3 scheduled  4 dead  5 errors  6 results  7 result expiry  last never
-- ARGV   1 what is read: 'tasks' | 'attempts' | 'checkpoints' | 'errors' | 'results' | 'expiry' | 'scheduled' | 'dead' |
--          'leases' | 'lease' | 'list'
--        2 cursor of the page before, '0' for the first; of a list the first index
--        3 about how many names; of a list the last index
--        4 what the keys of the leases' sets begin with, of 'leases' only
-- Output { cursor, bytes of what was read, names, flags }
--        flags, a number for each name, the sum of
--          tasks       1 is scheduled  2 is dead  4 has a record in its bundle, too  8 the record cannot be read
--          scheduled, attempts, checkpoints   1 has no record
--          dead        1 has no record  2 has no error
--          errors      1 is not dead
--          results     1 has no expiry
--          expiry      1 has no result
--          leases      1 has no set
--          lease, list (empty)
-- Atomic What a flag says of a name was so in the moment that the page was read.
local what, cursor, count = ARGV[1], ARGV[2], ARGV[3]
if what == 'list' then
  return { '0', 0, redis.call('LRANGE', KEYS[1], cursor, count), {} }
end
if what == 'lease' then
  local page = redis.call('SSCAN', KEYS[1], cursor, 'COUNT', count)
  return { page[1], 0, page[2], {} }
end

-- Records begin with the priority and the number of attempts; that of a bundle has a line for each task.
local function isRecord(name, record)
  local lines = 0
  for line in string.gmatch(record .. '\n', '([^\n]*)\n') do
    if not string.find(line, '^[012]%d+k?|') then
      return false
    end
    lines = lines + 1
  end
  return lines == sizeOf(name)
end

local function flagOf(name, value)
  if what == 'tasks' then
    local flag = 0
    local bundle = bundleOf(name)
    if sizeOf(name) == 1 then
      flag = (redis.call('ZSCORE', KEYS[3], name) and 1 or 0) + (redis.call('ZSCORE', KEYS[4], name) and 2 or 0)
    end
    if bundle and redis.call('HEXISTS', KEYS[2], bundle) == 1 then
      flag = flag + 4
    end
    return isRecord(name, value) and flag or flag + 8
  elseif what == 'scheduled' then
    return 1 - redis.call('HEXISTS', KEYS[2], name)
  elseif what == 'dead' then
    return 1 - redis.call('HEXISTS', KEYS[2], name) + 2 * (1 - redis.call('HEXISTS', KEYS[5], name))
  elseif what == 'errors' then
    return redis.call('ZSCORE', KEYS[4], name) and 0 or 1
  elseif what == 'results' then
    return redis.call('ZSCORE', KEYS[7], name) and 0 or 1
  elseif what == 'expiry' then
    return 1 - redis.call('HEXISTS', KEYS[6], name)
  elseif what == 'leases' then
    return 1 - redis.call('EXISTS', ARGV[4] .. name)
  end
  return exists(KEYS[2], name) and 0 or 1
end

local isSorted = what == 'scheduled' or what == 'dead' or what == 'expiry' or what == 'leases'
local page = isSorted and redis.call('ZSCAN', KEYS[1], cursor, 'COUNT', count)
  or redis.call('HSCAN', KEYS[1], cursor, 'COUNT', count)
local names, flags, bytes = {}, {}, 0
for i = 1, #page[2], 2 do
  local name, value = page[2][i], page[2][i + 1]
  names[#names + 1] = name
  flags[#flags + 1] = flagOf(name, value)
  bytes = bytes + #name + #value
end
return { page[1], bytes, names, flags }
