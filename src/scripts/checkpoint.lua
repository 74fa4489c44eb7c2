-- Saves a checkpoint of a task; one for the same step is replaced.
-- Uses   bundle, memory
-- KEYS   1 tasks  2 checkpoints  3 set of the lease, only where a delivery saves it  last never
-- ARGV   1 task id  2 step as JSON  3 data as JSON  4 most bytes that all checkpoints of a task may take
-- Output { 'saved' } | { 'lost' } | { 'gone' } | { 'full' | 'memory', bytes it would take } | { 'steps', most there may be }
--        full    more than ARGV 4
--        steps   one more than there may be; each call reads them all
--        memory  memory is full, and it is more than is saved then
--        Stored are lines of "<step> <ms of the server's clock> <data>"; JSON has no line ends of its own.
-- Atomic Refused where the task is not there or the lease does not hold it (fencing).
-- Memory Runs while memory is full, since handlers that save their progress would else never end. All checkpoints of a task
--        may take 4 KiB then.
local MOST_WHEN_FULL = 4096
local MOST_STEPS = 1000
if not exists(KEYS[1], ARGV[1]) then
  return { 'gone' }
end
-- Its bundle may stay as it is: checkpoints are kept under the task's own id.
local held = { ARGV[1], bundleOf(ARGV[1]) }
if #KEYS == 4 and not string.find(table.concat(redis.call('SMISMEMBER', KEYS[3], unpack(held))), '1') then
  return { 'lost' }
end
local time = redis.call('TIME')
local lines = {}
local isNew = true
local before = redis.call('HGET', KEYS[2], ARGV[1])
if before then
  local prefix = ARGV[2] .. ' '
  for line in string.gmatch(before, '[^\n]+') do
    if string.sub(line, 1, #prefix) == prefix then
      isNew = false
    else
      lines[#lines + 1] = line
    end
  end
end
if isNew and #lines >= MOST_STEPS then
  return { 'steps', MOST_STEPS }
end
lines[#lines + 1] = ARGV[2] .. ' ' .. string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)) .. ' ' .. ARGV[3]
local text = table.concat(lines, '\n')
if #text > tonumber(ARGV[4]) then
  return { 'full', #text }
end
if memoryIsFull(KEYS[#KEYS]) and #text > MOST_WHEN_FULL then
  return { 'memory', #text }
end
redis.call('HSET', KEYS[2], ARGV[1], text)
return { 'saved' }
