"""What is measured. Each function adds the rows of one scenario; their order is that of issue and report."""

import time
from functools import partial

from measure import Bench
from programs import (
    AXUM,
    BARE,
    BARE_EPOLL,
    BLOCKING,
    MINIHTTP,
    PLAIN,
    SANDPOOL,
    SPAWN_BLOCKING,
    TUNGSTENITE,
    TUNGSTENITE_AS_IT_IS,
    Server,
)

# Beyond the default of the machine: as many streams as are measured, and some.
POOL = ("--pool-max", "2048", "--pool-min", "16")
# A client's own wish for a session without stages: what is left is the codec.
NO_CHAIN = ("--first-message", '{"command":"config","intensity":0}')
PACKETS_A_SECOND = 50
# To wake a sleeping client, once for each packet, costs a server in a virtual machine up to a tenth of what the packet does.
AWAKE = "--busy-poll"


def awake(bench: Bench) -> tuple[str, ...]:
    """Where the load has a core of its own. Elsewhere it would take the server's time and not its own."""
    return () if bench.cores.shared else (AWAKE,)


class Times:
    """How long each measurement takes, in seconds, and how far it goes. `quick`: short, and few points; `few`: few points."""

    def __init__(self, quick: bool, few: bool = False):
        few = few or quick
        self.audio, self.paced, self.echo, self.http = (3, 4, 2, 2) if quick else (8, 12, 5, 6)
        # one round alone may fall into a bad moment of the machine, and a tail has more chance in it than a mean
        self.rounds_of_targets = 1 if few else 3
        self.soak, self.silence = (10, 20) if quick else (600, 60)
        # the load before the soak: long enough for each client to recognise its voice
        self.short = 10
        self.hold, self.handshakes = (3, 2) if quick else (15, 5)
        self.streams = [100] if few else [10, 30, 100, 300, 1000]
        self.paced_like = 100
        self.echo_connections = [200, 2000] if few else [10, 50, 200, 1000, 2000, 5000, 15_000]
        self.many = 2_000 if quick else 15_000
        self.sleep = [(3, 200, 700)] if quick else [(32, 2_000, 5000), (32, 15_000, 5000)]

    def rounds(self, connections: int, named: tuple[int, ...]) -> int:
        """How often rows of so many connections are measured, where a target compares those that are `named`."""
        return self.rounds_of_targets if connections in named else 1

    def audio_of(self, streams: int) -> int:
        """Longer for many: a client recognises its voice in 75 packets, which take a core 13 s for a thousand of them."""
        return self.audio if streams < 1000 else 15


def floor(bench: Bench) -> tuple[str, ...]:
    """What the kernel alone costs, with libopus for audio. It has one thread: it is no floor of servers with more workers."""
    return (BARE_EPOLL,) if bench.workers == 1 else ()


def transcoders(bench: Bench, chain: str) -> list[tuple[str, tuple[str, ...]]]:
    """Who transcodes beside sandpool, each with its options."""
    chosen = ("--chain", chain)
    return [(BLOCKING, chosen), (SPAWN_BLOCKING, chosen), *((name, ("--transcode", *chosen)) for name in floor(bench))]


def audio(bench: Bench, times: Times) -> None:
    """Target 1: packets a second, beside the bare loop of the same chain, and the bare epoll loop around it."""
    for chain in ("clarity", "none"):
        scenario = f"audio, chain {chain}"
        wish = NO_CHAIN if chain == "none" else ()
        for streams in times.streams:
            bench.say(f"{scenario}, {streams} streams")
            seconds = times.audio_of(streams)
            serve = partial(bench.serve, scenario, connections=streams, seconds=seconds, path="/")
            warm = ["--warm-up", "1s", "--timeout", "30s", *awake(bench)]
            jobs = [
                partial(bench.loop, scenario, streams, chain, seconds),
                partial(serve, SANDPOOL, arguments=[*warm, *wish], extra=POOL),
                *(partial(serve, peer, arguments=warm, extra=options) for peer, options in transcoders(bench, chain)),
            ]
            bench.in_turn(scenario, jobs, least_rounds=times.rounds(streams, (100, 1000)))


def paced(bench: Bench, times: Times) -> None:
    """Target 2: streams in real time, as many as make 50 and 80 % of what the bare loop can do just before."""
    for share in (50, 80):
        scenario = f"paced, {share} % load"
        loop = partial(bench.loop, scenario, times.paced_like, "clarity", times.audio)
        bench.say(f"{scenario}: what the bare loop can do")
        bench.in_turn(scenario, [loop], least_rounds=times.rounds_of_targets)
        possible = bench.rate_of(scenario, BARE, times.paced_like)
        if not possible:
            continue
        clients = max(1, round(possible * share / 100 / PACKETS_A_SECOND))
        bench.say(f"{scenario}: {clients} streams of 20 ms")
        arguments = ["-R", str(clients * PACKETS_A_SECOND), "--warm-up", "2s", "--timeout", "5s", *awake(bench)]
        serve = partial(bench.serve, scenario, connections=clients, seconds=times.paced, path="/", arguments=arguments)
        peers = (partial(serve, peer, extra=options) for peer, options in transcoders(bench, "clarity"))
        ideal = partial(bench.ideal_queue, scenario, clients, clients * PACKETS_A_SECOND, 1 / possible, times.paced)
        jobs = [ideal, partial(serve, SANDPOOL, extra=POOL), *peers]
        bench.in_turn(scenario, jobs, least_rounds=times.rounds_of_targets)


def echo(bench: Bench, times: Times) -> None:
    """Target 3: WebSocket messages of 128 bytes."""
    for connections in times.echo_connections:
        bench.say(f"echo, {connections} connections")
        arguments = ["--payload", "128", "--warm-up", "1s", "--timeout", "30s"]
        names = (SANDPOOL, TUNGSTENITE, TUNGSTENITE_AS_IT_IS, AXUM, *floor(bench))
        serve = partial(bench.serve, "echo", path="/echo", arguments=arguments, seconds=times.echo, connections=connections)
        jobs = [partial(serve, name) for name in names]
        bench.in_turn("echo", jobs, least_rounds=times.rounds(connections, (200, 2000)))


def http(bench: Bench, times: Times) -> None:
    """Target 4: plain text through a checkout with an empty reset, and a route of the audio server beside it."""
    bench.say("plain HTTP, 256 connections")
    serve = partial(
        bench.serve, "plain HTTP", scheme="http", arguments=["--warm-up", "1s"], seconds=times.http, connections=256
    )
    jobs = [partial(serve, name, "/") for name in (PLAIN, MINIHTTP, AXUM, *floor(bench))]
    jobs.append(partial(serve, SANDPOOL, "/health"))
    bench.in_turn("plain HTTP", jobs, least_rounds=times.rounds_of_targets)


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
    peers = (SANDPOOL, TUNGSTENITE, AXUM, *floor(bench))
    serve = partial(bench.serve, path="/echo", seconds=times.handshakes)
    jobs = [partial(serve, "handshakes", name, arguments=["--handshakes"], connections=64) for name in peers]
    bench.in_turn("handshakes", jobs, least_rounds=times.rounds_of_targets)
    bench.say(f"handshakes, {times.many} at once")
    # one that hangs is noticed while the run lasts
    arguments = ["--handshakes", "--at-once", "--timeout", "15s"]
    at_once = partial(bench.serve, "handshakes at once", path="/echo", arguments=arguments, seconds=20, connections=times.many)
    bench.in_turn("handshakes at once", [partial(at_once, name) for name in peers])


def soak(bench: Bench, times: Times) -> None:
    """Target 9: full load for long, then silence: what is left of it."""
    scenario, connections = f"{times.soak} s of full load", 400
    bench.say(scenario)
    flags = (*POOL, "--sandbox-idle", "5s", "--session-idle", "5s")
    with Server(SANDPOOL, bench.cores, bench.workers, flags) as server:
        drive = partial(bench.drive, server, path="/", arguments=["--timeout", "30s"], connections=connections)
        fresh = server.resident_bytes()
        # what is built at the first load, and kept, is no leak
        short = drive(f"{scenario}: the short load before it", seconds=times.short)
        time.sleep(times.silence)
        before = server.resident_bytes(), server.open_files()
        row = drive(scenario, seconds=times.soak)
        time.sleep(times.silence)
        after, leased = (server.resident_bytes(), server.open_files()), server.status()["pool"]["leased"]
    # the server first, then what it was asked for
    row.commands = [*short.commands, *row.commands[1:]]
    row.figures |= {
        "bytes_fresh": fresh,
        "bytes_before": before[0],
        "bytes_after": after[0],
        "after_to_fresh": after[0] / fresh,
        "after_to_before": after[0] / before[0],
        "files_left": after[1] - before[1],
        "leases_left": leased,
    }
    kept = row.figures
    bench.say(
        f"  memory {kept['after_to_fresh']:.3f} of fresh, {kept['after_to_before']:.3f} of before, "
        f"{kept['files_left']} files and {leased} leases left over"
    )
    row.about = (
        f"Fresh: the server without any load yet. Before: after {times.short} s of the same load and {times.silence} s of "
        "silence, so what is built at the first load and kept is in it. After: when there had been "
        f"silence for {times.silence} s again."
    )
    bench.rows.append(row)


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
# With several workers: what shows how they scale.
SCALING = ["audio", "echo", "http"]
