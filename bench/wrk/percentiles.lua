-- What done() of every script prints: percentiles, as wrk's --latency does, and further up.
-- Scripts take it by dofile, beside themselves.

local M = {}

local function time(microseconds)
  if microseconds < 1000 then return string.format("%.0fus", microseconds) end
  if microseconds < 1000000 then return string.format("%.2fms", microseconds / 1000) end
  return string.format("%.2fs", microseconds / 1000000)
end

function M.print(summary, latency)
  local seconds = summary.duration / 1000000
  io.write("------------------------------\n")
  for _, percentile in ipairs({ 50, 75, 90, 95, 99, 99.9, 99.99 }) do
    io.write(string.format("%6g%%  %10s\n", percentile, time(latency:percentile(percentile))))
  end
  io.write(string.format("   max  %10s\n", time(latency.max)))
  io.write(string.format("  mean  %10s, standard deviation %s\n", time(latency.mean), time(latency.stdev)))
  io.write(string.format("%d requests in %.2fs: %.1f a second\n", summary.requests, seconds, summary.requests / seconds))
  local errors = summary.errors
  io.write(string.format("errors: connect %d, read %d, write %d, status %d, timeout %d\n",
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end

return M
