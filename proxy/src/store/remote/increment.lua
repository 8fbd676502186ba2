-- KEYS: the key. ARGV: by how much, the time to live of a new one in milliseconds or -1, the bytes that a value may have.
-- Answers the sum as text, or an empty one if it is longer than a value may be.
local fresh = redis.call('EXISTS', KEYS[1]) == 0
local before = redis.call('GET', KEYS[1])
local sum = redis.pcall('INCRBY', KEYS[1], ARGV[1])
if type(sum) == 'table' and sum.err then
  if not string.find(sum.err, 'overflow', 1, true) then return sum end
  local edge = string.sub(ARGV[1], 1, 1) == '-' and '-9223372036854775808' or '9223372036854775807'
  redis.call('SET', KEYS[1], edge, 'KEEPTTL')
end
local digits = redis.call('GET', KEYS[1])
if #digits > tonumber(ARGV[3]) then
  if fresh then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], before, 'KEEPTTL') end
  return ''
end
if fresh and ARGV[2] ~= '-1' then
  if ARGV[2] == '0' then redis.call('DEL', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
end
return digits
