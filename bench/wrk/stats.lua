-- What operators look at, in turn: /stats, /status, /metrics, /health and /ready. What was answered with which status is
-- counted; a client that polls must never see anything but 200 while the server serves.
--   wrk -t1 -c10 -d5s -s bench/wrk/stats.lua http://127.0.0.1:9502

local percentiles = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "percentiles.lua")
local threads = {}
local paths = { "/stats", "/status", "/metrics", "/health", "/ready" }

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  prepared, at, answered, other = {}, 0, 0, 0
  for _, path in ipairs(paths) do
    table.insert(prepared, wrk.format("GET", path))
  end
end

function request()
  at = at % #prepared + 1
  return prepared[at]
end

function response(status, headers, body)
  answered = answered + 1
  if status ~= 200 then other = other + 1 end
end

function done(summary, latency, requests)
  percentiles.print(summary, latency)
  local answered, other = 0, 0
  for _, thread in ipairs(threads) do
    answered = answered + thread:get("answered")
    other = other + thread:get("other")
  end
  io.write(string.format("%d answers, %d of them not 200\n", answered, other))
end
