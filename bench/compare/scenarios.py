"""What is measured. Each function adds the rows of one scenario; their order is that of issue and report."""

import time
from functools import partial

from measure import Bench, Row
from programs import (
    AXUM,
    BLOCKING,
    MINIHTTP,
    PLAIN,
    SANDPOOL,
    SPAWN_BLOCKING,
    TUNGSTENITE,
    TUNGSTENITE_AS_IT_IS,
    Server,
    load,
    on,
    shown,
)

# Beyond the default of the machine: as many streams as are measured, and some.
POOL = ("--pool-max", "2048", "--pool-min", "16")
# A client's own wish for a session without stages: what is left is the codec.
NO_CHAIN = ("--first-message", '{"command":"config","intensity":0}')
PACKETS_A_SECOND = 50
# To wake a sleeping client, once for each packet, costs a server in a virtual machine up to a tenth of what the packet does.
AWAKE = "--busy-poll"


class Times:
    """How long each measurement takes, in seconds, and how far it goes."""

    def __init__(self, quick: bool):
        self.quick = quick
        self.audio, self.paced, self.echo, self.http = (3, 4, 2, 2) if quick else (8, 12, 5, 6)
        self.soak, self.silence = (10, 20) if quick else (600, 60)
        self.hold, self.handshakes = (3, 2) if quick else (15, 5)
        self.streams = [100] if quick else [100, 1000]
        self.echo_connections = [200, 2000] if quick else [10, 50, 200, 1000, 2000, 5000, 15_000]
        self.audio_connections = [] if quick else [10, 30, 300]
        self.many = 2_000 if quick else 15_000
        self.sleep = [(3, 200, 700)] if quick else [(32, 2_000, 5000), (32, 15_000, 5000)]


def audio(bench: Bench, times: Times) -> None:
    """Target 1: packets a second, beside the bare loop of the same chain."""
    for chain in ("clarity", "none"):
        scenario = f"audio, chain {chain}"
        wish = NO_CHAIN if chain == "none" else ()
        for streams in [*times.audio_connections, *times.streams]:
            bench.say(f"{scenario}, {streams} streams")
            serve = partial(bench.serve, scenario, connections=streams, seconds=times.audio, path="/")
            warm = ["--warm-up", "1s", "--timeout", "30s", AWAKE]
            jobs = [
                partial(bench.loop, scenario, streams, chain, times.audio),
                partial(serve, SANDPOOL, arguments=[*warm, *wish], extra=POOL),
                *(partial(serve, peer, arguments=warm, extra=("--chain", chain)) for peer in (BLOCKING, SPAWN_BLOCKING)),
            ]
            bench.in_turn(scenario, jobs)


def paced(bench: Bench, times: Times) -> None:
    """Target 2: streams in real time, as many as make 50 and 80 % of what the bare loop can do."""
    streams = times.streams[0]
    possible = bench.rate_of("audio, chain clarity", "bare loop", streams)
    if not possible:
        bench.failures.append("paced streams: the bare loop was not measured")
        return
    for share in (50, 80):
        scenario = f"paced, {share} % load"
        clients = max(1, round(possible * share / 100 / PACKETS_A_SECOND))
        bench.say(f"{scenario}: {clients} streams of 20 ms")
        arguments = ["-R", str(clients * PACKETS_A_SECOND), "--warm-up", "2s", "--timeout", "5s", AWAKE]
        serve = partial(bench.serve, scenario, connections=clients, seconds=times.paced, path="/", arguments=arguments)
        peers = (partial(serve, peer, extra=("--chain", "clarity")) for peer in (BLOCKING, SPAWN_BLOCKING))
        bench.in_turn(scenario, [partial(serve, SANDPOOL, extra=POOL), *peers])


def echo(bench: Bench, times: Times) -> None:
    """Target 3: WebSocket messages of 128 bytes."""
    for connections in times.echo_connections:
        bench.say(f"echo, {connections} connections")
        arguments = ["--payload", "128", "--warm-up", "1s", "--timeout", "30s"]
        serve = partial(bench.serve, "echo", path="/echo", arguments=arguments, seconds=times.echo, connections=connections)
        bench.in_turn("echo", [partial(serve, name) for name in (SANDPOOL, TUNGSTENITE, TUNGSTENITE_AS_IT_IS, AXUM)])


def http(bench: Bench, times: Times) -> None:
    """Target 4: plain text through a checkout with an empty reset, and a route of the audio server beside it."""
    bench.say("plain HTTP, 256 connections")
    serve = partial(
        bench.serve, "plain HTTP", scheme="http", arguments=["--warm-up", "1s"], seconds=times.http, connections=256
    )
    jobs = [partial(serve, name, "/") for name in (PLAIN, MINIHTTP, AXUM)]
    bench.in_turn("plain HTTP", [*jobs, partial(serve, SANDPOOL, "/health")])


def sleep(bench: Bench, times: Times) -> None:
    """Target 5: requests that hold a sandbox and wait."""
    for seconds, connections, ms in times.sleep:
        scenario = f"/sleep?ms={ms}"
        bench.say(f"{scenario} for {seconds} s, {connections} connections")
        extra = ("--pool-max", str(connections), "--pool-min", str(connections), "--max-waiters", str(connections))
        job = partial(
            bench.serve, scenario, SANDPOOL, f"/sleep?ms={ms}", ["--timeout", "8s"], seconds,
            scheme="http", connections=connections, extra=extra,
        )
        bench.in_turn(scenario, [job])
        for row in bench.rows:
            if (row.scenario, row.connections) == (scenario, connections):
                row.figures["possible"] = connections * (seconds * 1000 // ms)


def memory(bench: Bench, times: Times) -> None:
    """Target 7: what a connection takes that has spoken once and is idle."""
    bench.say(f"idle connections, {times.many}")
    hold = partial(bench.serve, seconds=times.hold, connections=times.many)
    arguments = ["--hold", "--timeout", "30s"]
    # the lease goes home while it is held, and the pool gives up what it does not need
    home = ("--session-idle", "200ms", "--sandbox-idle", "1s", "--pool-min", "0", "--pool-max", "512", "--acquire-timeout", "10s")
    jobs = [
        partial(hold, "idle at /", SANDPOOL, "/", [*arguments, "--ramp", "64"], extra=home),
        *(partial(hold, "idle at /echo", name, "/echo", arguments) for name in (SANDPOOL, TUNGSTENITE, AXUM)),
    ]
    bench.in_turn("idle", jobs)


def handshakes(bench: Bench, times: Times) -> None:
    """Target 8: new connections, one after the other and all at once."""
    bench.say("handshakes, 64 at a time")
    peers = (SANDPOOL, TUNGSTENITE, AXUM)
    serve = partial(bench.serve, path="/echo", seconds=times.handshakes)
    bench.in_turn(
        "handshakes", [partial(serve, "handshakes", name, arguments=["--handshakes"], connections=64) for name in peers]
    )
    bench.say(f"handshakes, {times.many} at once")
    arguments = ["--handshakes", "--at-once", "--timeout", "20s"]
    at_once = partial(bench.serve, "handshakes at once", path="/echo", arguments=arguments, seconds=20, connections=times.many)
    bench.in_turn("handshakes at once", [partial(at_once, name) for name in peers])


def soak(bench: Bench, times: Times) -> None:
    """Target 9: full load for long, then silence: what is left of it."""
    scenario, connections = f"{times.soak} s of full load", 400
    bench.say(scenario)
    extra = (*POOL, "--sandbox-idle", "5s", "--session-idle", "5s")
    with Server(SANDPOOL, bench.cores, bench.workers, extra) as server:
        streams = ["-t1", f"-c{connections}", "--timeout", "30s"]
        # what is built at the first load, and kept, is no leak
        on([bench.cores.load], load([*streams, "-d2s", server.url("ws", "/")]), 120)
        time.sleep(times.silence)
        before = server.resident_bytes(), server.open_files()
        line = load([*streams, f"-d{times.soak}s", server.url("ws", "/")])
        run = on([bench.cores.load], line, times.soak + 120)
        time.sleep(times.silence)
        after, leased = (server.resident_bytes(), server.open_files()), server.status()["pool"]["leased"]
        commands = [shown(server.command), shown(line)]
    kept = {"memory_after": after[0] / before[0], "files_left": after[1] - before[1], "leases_left": leased}
    bench.say(f"  memory {kept['memory_after']:.3f} of before, {kept['files_left']} files and {leased} leases left over")
    if run.returncode:
        bench.failures.append(f"{scenario}: {run.stdout.strip()} {run.stderr.strip()}")
    bench.rows.append(Row(scenario, SANDPOOL, connections, kept, commands))


ALL = {
    "audio": audio,
    "paced": paced,
    "echo": echo,
    "http": http,
    "sleep": sleep,
    "memory": memory,
    "handshakes": handshakes,
    "soak": soak,
}

# The last takes ten minutes by itself: only when it is named.
USUAL = [name for name in ALL if name != "soak"]
