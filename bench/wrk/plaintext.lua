-- The shortest answer there is, through the whole HTTP front:
--   wrk -t2 -c256 -d10s -s bench/wrk/plaintext.lua http://127.0.0.1:9501

local percentiles = dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "percentiles.lua")

function init(args)
  wrk.path = args[1] or "/health"
  prepared = wrk.format("GET")
end

function request()
  return prepared
end

function done(summary, latency, requests)
  percentiles.print(summary, latency)
end
