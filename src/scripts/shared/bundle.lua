-- Bundles (bundles.ts): tasks kept as one under one name, until something happens to a part of them. A name stands for its
-- tasks wherever an id could stand: in a ready list, in a lease, in `tasks`, where its record is theirs as lines.
local DIGITS = '0123456789abcdefghijklmnopqrstuvwxyz'

-- How many tasks a name stands for; 1 for a task's own id.
local function sizeOf(name)
  return string.byte(name, -2) == 126 and tonumber(string.sub(name, -1), 36) or 1
end

-- Name of the bundle that a task came in, nil for one that came alone.
local function bundleOf(id)
  return string.byte(id, -3) == 126 and string.sub(id, 1, -2) or nil
end

local function membersOf(name)
  local ids = {}
  for i = 1, sizeOf(name) do
    ids[i] = name .. string.sub(DIGITS, i, i)
  end
  return ids
end

-- Of each task that these names stand for.
local function idsOf(names)
  local ids = {}
  for _, name in ipairs(names) do
    for _, id in ipairs(sizeOf(name) > 1 and membersOf(name) or { name }) do
      ids[#ids + 1] = id
    end
  end
  return ids
end

-- Whether the task is there, by itself or in its bundle.
local function exists(tasks, id)
  local name = bundleOf(id)
  return redis.call('HEXISTS', tasks, id) == 1 or (name and redis.call('HEXISTS', tasks, name) == 1)
end

-- The record of a task that is still in its bundle; nil if it is not.
local function recordIn(tasks, name, id)
  local text = redis.call('HGET', tasks, name)
  if not text then
    return nil
  end
  local i = tonumber(string.sub(id, -1), 36)
  for record in string.gmatch(text .. '\n', '([^\n]*)\n') do
    if i == 0 then
      return record
    end
    i = i - 1
  end
end

-- From now on each of its tasks stands for itself in `tasks`. Gives their ids, for the caller to put where the name stood;
-- without those that have been removed, if it was taken apart before in a place where the name could not be found (void.lua).
local function takeApart(tasks, name)
  local ids = membersOf(name)
  local text = redis.call('HGET', tasks, name)
  if text then
    local pairs, i = {}, 0
    for record in string.gmatch(text .. '\n', '([^\n]*)\n') do
      i = i + 1
      pairs[2 * i - 1] = ids[i]
      pairs[2 * i] = record
      if i == #ids then
        break
      end
    end
    -- First, since a master without memory refuses a script's HSET unless it has written before.
    redis.call('HDEL', tasks, name)
    redis.call('HSET', tasks, unpack(pairs))
  end
  local there = {}
  for _, id in ipairs(ids) do
    if redis.call('HEXISTS', tasks, id) == 1 then
      there[#there + 1] = id
    end
  end
  return there
end

-- Whether the lease holds the task. If it does so as one of a bundle, the bundle is taken apart.
local function holds(lease, id, tasks, bundled)
  if redis.call('SISMEMBER', lease, id) == 1 then
    return true
  end
  local name = bundleOf(id)
  if not name or redis.call('SREM', lease, name) == 0 then
    return false
  end
  redis.call('HINCRBY', bundled, 'active', 1 - sizeOf(name))
  local ids = takeApart(tasks, name)
  if #ids > 0 then
    redis.call('SADD', lease, unpack(ids))
  end
  return redis.call('SISMEMBER', lease, id) == 1
end
