-- A recording, enhanced: POST /process with a WAV file (the one of the tests, or the one named behind --):
--   wrk -t1 -c8 -d10s --timeout 10s -s bench/wrk/process.lua http://127.0.0.1:9501 -- voice.wav

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local percentiles = dofile(here .. "percentiles.lua")

function init(args)
  local path = args[1] or (here .. "../../sandbox/tests/audio/voice_16k.wav")
  local file = assert(io.open(path, "rb"))
  wrk.body = file:read("*a")
  file:close()
  wrk.method = "POST"
  wrk.path = "/process"
  wrk.headers["Content-Type"] = "audio/wav"
  prepared = wrk.format()
end

function request()
  return prepared
end

function done(summary, latency, requests)
  percentiles.print(summary, latency)
end
