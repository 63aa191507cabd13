-- Requests that hold a sandbox and do nothing, 5 s each unless told otherwise (in ms, behind --):
--   wrk -t2 -c2000 -d32s --timeout 8s -s bench/wrk/sleep.lua http://127.0.0.1:9501 -- 5000
-- Each connection can finish duration / ms of them, rounded down; how many of these were finished is printed.
-- The server needs as many sandboxes as there are connections: --pool-max 2000 --max-waiters 0 shows it at once if not.

local percentiles = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "percentiles.lua")
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  ms = tonumber(args[1]) or 5000
  wrk.path = "/sleep?ms=" .. ms
  prepared = wrk.format("GET")
end

function request()
  return prepared
end

function done(summary, latency, requests)
  percentiles.print(summary, latency)
  local each = math.floor(summary.duration / 1000 / threads[1]:get("ms"))
  io.write(string.format("a connection can finish %d of them in that time\n", each))
end
