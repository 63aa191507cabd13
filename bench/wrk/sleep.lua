-- Requests that hold a sandbox and do nothing, 5 s each unless told otherwise (in ms, behind --):
--   wrk -t2 -c2000 -d32s --timeout 8s -s bench/wrk/sleep.lua http://127.0.0.1:9501 -- 5000 2000
-- Each connection can finish duration / ms of them, rounded down; that is printed, and how many were finished with a
-- success. wrk does not tell a script how many connections there are: named behind the ms (2000), what all of them can
-- finish is printed too.
-- The server needs as many sandboxes as there are connections: --pool-max 2000 --max-waiters 0 shows it at once if not.

local percentiles = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "percentiles.lua")
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  ms = tonumber(args[1]) or 5000
  connections = tonumber(args[2]) or 0
  wrk.path = "/sleep?ms=" .. ms
  prepared = wrk.format("GET")
end

function request()
  return prepared
end

function done(summary, latency, requests)
  percentiles.print(summary, latency)
  local each = math.floor(summary.duration / 1000 / threads[1]:get("ms"))
  local finished = summary.requests - summary.errors.status
  io.write(string.format("a connection can finish %d of them in that time; finished: %d", each, finished))
  local possible = each * threads[1]:get("connections")
  if possible > 0 then
    io.write(string.format(" of %d (%.1f %%)", possible, 100 * finished / possible))
  end
  io.write("\n")
end
