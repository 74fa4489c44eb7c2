-- Sorts names in the order in which their producer enqueued them: its ids grow in length, and within one length in the order of
-- their bytes. What the tasks of a bundle have in common with its name comes first, then the place in the bundle. Lua's own
-- comparison of texts follows the locale of the server, so it compares numbers of 6 bytes each.
local function bytesOf(text)
  local parts = math.ceil(#text / 6)
  return { struct.unpack('>' .. string.rep('I6', parts), text .. string.rep('\0', 6 * parts - #text)) }
end

local function compare(a, b)
  for i = 1, #a - 1 do
    if a[i] ~= b[i] then
      return a[i] < b[i] and -1 or 1
    end
  end
  return 0
end

local function sortByEnqueued(names)
  local bases, wholes = {}, {}
  for _, name in ipairs(names) do
    local base = string.match(name, '^(.*)~..?$') or name
    bases[name] = { length = #base, bytes = bytesOf(base) }
    wholes[name] = bytesOf(name)
  end
  table.sort(names, function(a, b)
    local first, second = bases[a], bases[b]
    if first.length ~= second.length then
      return first.length < second.length
    end
    local order = compare(first.bytes, second.bytes)
    if order ~= 0 then
      return order < 0
    elseif #a ~= #b then
      return #a < #b
    end
    return compare(wholes[a], wholes[b]) < 0
  end)
  return names
end
