-- Sorts names by length, then by their bytes: for tasks of one producer in one partition the order in which they were
-- enqueued. Lua's own comparison follows the locale of the server, so it compares numbers of 6 bytes each.
local function sortByEnqueued(names)
  local keys = {}
  for _, name in ipairs(names) do
    local parts = math.ceil(#name / 6)
    keys[name] = { struct.unpack('>' .. string.rep('I6', parts), name .. string.rep('\0', 6 * parts - #name)) }
  end
  table.sort(names, function(a, b)
    if #a ~= #b then
      return #a < #b
    end
    local left, right = keys[a], keys[b]
    for i = 1, #left - 1 do
      if left[i] ~= right[i] then
        return left[i] < right[i]
      end
    end
    return false
  end)
  return names
end
