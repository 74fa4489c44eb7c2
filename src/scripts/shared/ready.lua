-- Making tasks and bundles ready. The ready lists are KEYS 1-3 of every script.
local woken = {}

-- `push` is 'LPUSH' for the head of the list of its priority, 'RPUSH' for its end. Gives the priority.
local function makeReady(push, name, record)
  local level = string.match(record, '^[012]') or '1'
  if redis.call(push, KEYS[level + 1], name) == 1 then
    woken[#woken + 1] = level
  end
  return level
end

-- Says which lists were empty and are not any more; consumers wait for that.
local function wake(channel)
  if #woken > 0 then
    redis.call('SPUBLISH', channel, table.concat(woken))
  end
end
