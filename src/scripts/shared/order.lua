-- The order in which a producer enqueued: its ids grow in length, and within one length in the order of their characters.

-- What the ids of the tasks of a bundle have in common with its name; the whole id of a task that came alone.
local function baseOf(name)
  return string.match(name, '^(.*)~..?$') or name
end

local function sortByAge(names)
  local bases = {}
  for _, name in ipairs(names) do
    bases[name] = baseOf(name)
  end
  table.sort(names, function(a, b)
    local first, second = bases[a], bases[b]
    if #first ~= #second then
      return #first < #second
    elseif first ~= second then
      return first < second
    end
    return a < b
  end)
end
