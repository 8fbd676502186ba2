-- What a process holds of each key, as it says itself. KEYS: the quotas. ARGV: the process, how long that counts in
-- milliseconds, and for each key how much and when it said so, on a counter of its own.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local process, lease = ARGV[1], tonumber(ARGV[2])
for i, key in ipairs(KEYS) do
  local held, said = ARGV[1 + 2 * i], ARGV[2 + 2 * i]
  local entry = redis.call('HGET', key, process)
  local before = entry and tonumber(string.match(entry, '^%d+ (%d+)')) or -1
  if tonumber(said) >= before then
    if held == '0' then
      redis.call('HDEL', key, process)
    else
      redis.call('HSET', key, process, string.format('%s %s %.0f', held, said, now + lease))
      redis.call('PEXPIRE', key, lease)
    end
  end
end
return 0
