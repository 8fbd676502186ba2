-- KEYS: the key. ARGV: whether a value is expected, which, the new one, its time to live in milliseconds or -1.
local present = redis.call('GET', KEYS[1])
local expected = ARGV[1] == '1' and ARGV[2]
if present ~= expected then return 0 end
if ARGV[4] == '-1' then
  redis.call('SET', KEYS[1], ARGV[3])
elseif ARGV[4] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
end
return 1
