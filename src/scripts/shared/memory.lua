-- Whether the server is out of memory (over maxmemory), asked before the first write of a script. The script may go on
-- writing whatever the answer is, so what it stores then must be bounded. `never` is the key of that name: SET with XX changes
-- nothing where there is no key, and is refused while memory is full; DEL is not, and a script that has written may go on.
local function memoryIsFull(never)
  local reply = redis.pcall('SET', never, '', 'XX')
  redis.call('DEL', never)
  return type(reply) == 'table' and string.find(reply.err or '', 'OOM', 1, true) ~= nil
end
