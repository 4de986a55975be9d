-- What wrk does: each request with the cookie of a random session, a share of them to /write.
local cookies = {}
for line in io.lines(os.getenv("COOKIES")) do cookies[#cookies + 1] = line end
local writes = tonumber(os.getenv("WRITES"))

function init(_)
  math.randomseed(os.time())
end

function request()
  local path = math.random() < writes and "/write" or "/read"
  return wrk.format("GET", path, { ["Cookie"] = cookies[math.random(#cookies)] })
end

function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"microseconds":%d,"errors":%d,"p50":%d,"p99":%d}\n', summary.requests,
    summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
