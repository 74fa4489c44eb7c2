-- Walking through the dead tasks of a partition, the latest first, and those of one ms from the last id to the first.

-- As the server orders them: by bytes, whatever language it runs in.
local function isBefore(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then
      return x < y
    end
  end
  return #a < #b
end

-- Rank, from the latest, of the first that comes after the one with this time of death and id, whether that is still there or not.
-- Takes log(n) steps, also where very many died in one ms.
local function rankAfter(dead, diedAt, id)
  local low = redis.call('ZCOUNT', dead, '(' .. diedAt, '+inf')
  local high = low + redis.call('ZCOUNT', dead, diedAt, diedAt)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if isBefore(redis.call('ZREVRANGE', dead, middle, middle)[1], id) then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end

-- id, time of death, id, ... of up to `most` after the cursor; an empty `diedAt` means from the latest on.
local function deadAfter(dead, diedAt, id, most)
  local first = diedAt == '' and 0 or rankAfter(dead, diedAt, id)
  return redis.call('ZREVRANGE', dead, first, first + most - 1, 'WITHSCORES')
end
