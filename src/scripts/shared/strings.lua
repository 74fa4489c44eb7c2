-- Takes apart what strings.ts has packed: many strings in one argument, each ended by a NUL.
local function strings(text, count)
  local out = { struct.unpack(string.rep('s', count), text) }
  -- Where the next one would begin.
  out[count + 1] = nil
  return out
end
