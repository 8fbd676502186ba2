-- Decides about several quotas at once: all are taken, or none.
--
-- KEYS: the quotas, all on one node. ARGV: the process, how long what it holds counts (ms), and nine for each key:
-- kind (r, c or h), limit, window (ms), burst, cost, wanted (tokens, the cost included, if there are so many), back (tokens of
-- an earlier batch that were not used), since (r, c: the window that these are of; h: when the process said so), held (h: what
-- the process holds with this).
-- Answers six for each: allowed, granted, remaining, retry after (ms, -1: never), reset after (ms), window.
local LARGEST = 9007199254740991
-- What sums of fractions are off by, at most.
local EPSILON = 1e-6
local FIELDS = 9
-- Nobody knows when what is held comes back.
local HELD_RETRY = 1000

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local now_ms = math.floor(now / 1000)
local process, lease = ARGV[1], tonumber(ARGV[2])
local states, answers, all = {}, {}, true

-- A rate is a bucket that leaks: `used` tokens at a moment, fewer by the limit in each window. That is GCRA, told by tokens in the
-- place of times, which stays exact for any limit.
local function rate(ask)
  local used, at = 0, now
  local text = redis.call('GET', ask.key)
  if text then
    local first, second = string.match(text, '^(%S+) (%S+)$')
    used, at = tonumber(first), tonumber(second)
  end
  used = used - math.max(now - at, 0) * ask.limit / (ask.window * 1000)
  return { used = math.max(used, 0), window = 0 }
end

local function calendar(ask)
  local window, used = math.floor(now_ms / ask.window), 0
  local text = redis.call('GET', ask.key)
  if text then
    local first, second = string.match(text, '^(%S+) (%S+)$')
    -- A clock that is set back opens no old window again.
    if tonumber(second) >= window then used, window = tonumber(first), tonumber(second) end
  end
  return { used = used, window = window, ends = (window + 1) * ask.window - now_ms }
end

local function held(ask)
  local others, mine, said = 0, 0, -1
  local entries = redis.call('HGETALL', ask.key)
  for i = 1, #entries, 2 do
    local count, when, ends = string.match(entries[i + 1], '^(%d+) (%d+) (%d+)$')
    if entries[i] == process then
      mine, said = tonumber(count), tonumber(when)
    elseif tonumber(ends) > now_ms then
      others = others + tonumber(count)
    else
      redis.call('HDEL', ask.key, entries[i])
    end
  end
  return { others = others, mine = mine, said = said }
end

local function judge(ask, state)
  if ask.kind == 'h' then
    -- What this process said later counts what it says here.
    local mine = state.said > ask.since and state.mine or ask.held
    ask.mine = mine
    if ask.cost == 0 then return true end
    if ask.cost > ask.limit then return false, -1 end
    if state.others + mine <= ask.limit then return true end
    return false, HELD_RETRY
  end
  if ask.cost == 0 then return true end
  if ask.dead then return false, -1 end
  local most = ask.kind == 'r' and ask.burst or ask.limit
  if ask.cost > most then return false, -1 end
  local room = most - state.used
  if ask.cost <= room + EPSILON then
    local granted = math.max(ask.cost, math.min(ask.wanted, math.floor(room + EPSILON)))
    state.used = state.used + granted
    ask.granted = granted
    return true
  end
  if ask.kind == 'c' then return false, math.max(state.ends, 1) end
  return false, math.max(math.ceil((ask.cost - room) * ask.window / ask.limit - EPSILON), 1)
end

local function left(ask, state)
  if ask.kind == 'h' then
    local used = state.others + (all and ask.mine or math.max(ask.mine - ask.cost, 0))
    return math.max(ask.limit - used, 0), used > 0 and HELD_RETRY or 0
  end
  if ask.dead then return 0, 0 end
  if ask.kind == 'c' then
    return math.max(ask.limit - ask.after, 0), ask.after > 0 and state.ends or 0
  end
  return math.max(math.floor(ask.burst - ask.after + EPSILON), 0), math.ceil(ask.after * ask.window / ask.limit - EPSILON)
end

local asks = {}
for i, key in ipairs(KEYS) do
  local at = 2 + (i - 1) * FIELDS
  local ask = {
    key = key, kind = ARGV[at + 1], limit = tonumber(ARGV[at + 2]), window = tonumber(ARGV[at + 3]),
    burst = tonumber(ARGV[at + 4]), cost = tonumber(ARGV[at + 5]), wanted = tonumber(ARGV[at + 6]),
    back = tonumber(ARGV[at + 7]), since = tonumber(ARGV[at + 8]), said = ARGV[at + 8], held = tonumber(ARGV[at + 9]),
    granted = 0,
  }
  ask.dead = ask.kind ~= 'h' and (ask.limit == 0 or ask.window == 0)
  local state = states[key]
  if not state then
    if ask.kind == 'h' then
      state = held(ask)
    elseif ask.dead then
      state = { used = 0, window = 0, ends = 0 }
    else
      state = ask.kind == 'r' and rate(ask) or calendar(ask)
    end
    state.first = ask
    states[key] = state
  end
  if ask.back > 0 and (ask.kind == 'r' or ask.kind == 'c' and ask.since == state.window) then
    state.used = math.max(state.used - ask.back, 0)
    state.changed = true
  end
  state.base = state.base or state.used
  ask.state = state
  ask.allowed, ask.retry = judge(ask, state)
  ask.after = state.used
  all = all and ask.allowed
  asks[i] = ask
end

for _, ask in ipairs(asks) do
  local state = ask.state
  if not all then
    state.used, ask.after, ask.granted = state.base, state.base, 0
  elseif ask.granted > 0 then
    state.changed = true
  elseif ask.kind == 'h' and ask.cost > 0 and ask.since >= state.said then
    redis.call('HSET', ask.key, process, string.format('%.0f %s %.0f', ask.held, ask.said, now_ms + lease))
  end
  if all and ask.kind == 'h' and ask.cost > 0 then redis.call('PEXPIRE', ask.key, lease) end
end
for key, state in pairs(states) do
  local ask = state.first
  if state.changed and not ask.dead then
    if state.used <= EPSILON then
      redis.call('DEL', key)
    elseif ask.kind == 'r' then
      local whole = math.ceil(state.used * ask.window / ask.limit) + 1
      redis.call('SET', key, string.format('%.17g %.0f', state.used, now), 'PX', math.min(whole, LARGEST))
    else
      redis.call('SET', key, string.format('%.0f %.0f', state.used, state.window), 'PX', math.max(state.ends, 1))
    end
  end
end

for i, ask in ipairs(asks) do
  local remaining, reset = left(ask, ask.state)
  answers[#answers + 1] = ask.allowed and 1 or 0
  answers[#answers + 1] = math.min(ask.granted, LARGEST)
  answers[#answers + 1] = math.min(remaining, LARGEST)
  answers[#answers + 1] = math.min(ask.retry or 0, LARGEST)
  answers[#answers + 1] = math.min(reset, LARGEST)
  answers[#answers + 1] = ask.state.window or 0
end
return answers
