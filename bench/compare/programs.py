"""The programs that are compared: how each is started, pinned to its core, and stopped."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILT = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"

# How long a program may take until it listens, and until it has ended.
PATIENCE_S = 30.0

# Of the most connections that are measured, with room for the descriptors beside them.
MOST_CONNECTIONS = 16_000

SANDPOOL = "sandpool"
TUNGSTENITE = "tokio-tungstenite"
TUNGSTENITE_AS_IT_IS = "tokio-tungstenite, as it is"
AXUM = "axum"
MINIHTTP = "may_minihttp"
BLOCKING = "tokio, in the task"
SPAWN_BLOCKING = "tokio, spawn_blocking"
PLAIN = "sandpool, empty sandbox"
BARE = "bare loop"
BARE_EPOLL = "bare epoll loop"
IDEAL = "ideal queue"


class Cores:
    """The cores that servers get, and the one that the load gets; the same one if there is no other."""

    def __init__(self, workers: int):
        usable = sorted(os.sched_getaffinity(0))
        self.shared = len(usable) < 2
        self.load = usable[-1]
        self.server = usable[: max(1, min(workers, len(usable) - 1))] if not self.shared else usable
        # more workers than cores beside the load's: they share its core, which the report says
        if workers > len(self.server):
            self.server = usable[:workers]
            self.shared = True


def raise_file_limit() -> int:
    """Raises the soft limit of open files to the hard one, for the programs inherit it: which it then is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def listen_counters() -> dict[str, int]:
    """How often, since the system started, a connection found an accept queue full, and how often one was dropped before
    it was accepted (that included). They are of all listeners of this machine."""
    return counters_of(Path("/proc/net/netstat").read_text())


def counters_of(netstat: str) -> dict[str, int]:
    """The two counters of /proc/net/netstat: a line of names, and a line of values."""
    names, values = (line.split() for line in netstat.splitlines() if line.startswith("TcpExt:"))
    of = dict(zip(names, values))
    return {"listen_overflows": int(of["ListenOverflows"]), "listen_drops": int(of["ListenDrops"])}


class BusyNeighbour:
    """Keeps the load's core as busy as the load tool does, for what is measured without load; use it with `with`."""

    COMMAND = ["python3", "-c", "while True: pass"]

    def __init__(self, cores: Cores):
        self.core = cores.load

    def __enter__(self):
        pin = {self.core}
        self.process = subprocess.Popen(
            [sys.executable, *self.COMMAND[1:]], preexec_fn=lambda: os.sched_setaffinity(0, pin)
        )
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(PATIENCE_S)


def command(name: str, port: int, workers: int, extra=()) -> list[str]:
    """The command line of server `name`."""
    listen = f"127.0.0.1:{port}"
    if name == SANDPOOL:
        own = ["serve", "--listen", listen, "--ops", "127.0.0.1:0", "--workers", str(workers)]
        own += ["--max-connections", str(MOST_CONNECTIONS), "--log-level", "error"]
        return [str(BUILT / "sandpool"), *own, *extra]
    program = {
        TUNGSTENITE: ["peer-tungstenite"],
        TUNGSTENITE_AS_IT_IS: ["peer-tungstenite", "--read-buffer", "131072"],
        AXUM: ["peer-axum"],
        MINIHTTP: ["peer-minihttp"],
        BLOCKING: ["peer-transcode", "--blocking"],
        SPAWN_BLOCKING: ["peer-transcode", "--spawn-blocking"],
        PLAIN: ["sandpool-plain"],
        BARE_EPOLL: ["peer-bare"],
    }[name]
    return [str(BUILT / program[0]), *program[1:], "--listen", listen, "--threads", str(workers), *extra]


class Server:
    """A running server; use it with `with`."""

    def __init__(self, name: str, cores: Cores, workers: int, extra=()):
        self.name = name
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.command = command(name, self.port, workers, extra)
        self.cores = cores

    def __enter__(self):
        pin = set(self.cores.server)
        # a file and not a pipe: nobody reads it while the server runs, and a full pipe would stop it
        self.said = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            self.command,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=self.said,
            preexec_fn=lambda: os.sched_setaffinity(0, pin),
        )
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                self.wait_for_sandboxes()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.process.kill()
                    self.said.seek(0)
                    why = self.said.read().decode(errors="replace")
                    raise RuntimeError(f"{' '.join(self.command)} does not listen: {why}") from None
                time.sleep(0.02)

    def wait_for_sandboxes(self) -> None:
        """What --pool-min asks for is built while the server serves already; it is not what is measured."""
        if "--pool-min" not in self.command:
            return
        wanted = int(self.command[self.command.index("--pool-min") + 1])
        deadline = time.monotonic() + 4 * PATIENCE_S
        while self.status()["pool"]["idle"] < wanted and time.monotonic() < deadline:
            time.sleep(0.1)

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(PATIENCE_S)
        self.said.close()

    def resident_bytes(self) -> int:
        """Memory that it has resident."""
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Rss:\s+(\d+) kB", text, re.MULTILINE)[1]) * 1024

    def open_files(self) -> int:
        """Descriptors that it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def status(self) -> dict:
        """What sandpool says of itself."""
        with urllib.request.urlopen(self.url("http", "/status"), timeout=10) as answer:
            return json.load(answer)

    def url(self, scheme: str, path: str) -> str:
        return f"{scheme}://127.0.0.1:{self.port}{path}"


def load(arguments: list[str]) -> list[str]:
    """The command line of the load tool, as it is run and reported."""
    return [str(BUILT / "sandpool-wrk"), *arguments]


def on(core_list, arguments: list[str], timeout_s: float) -> subprocess.CompletedProcess:
    """Runs a program to its end on some cores."""
    pin = set(core_list)
    return subprocess.run(
        arguments,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        preexec_fn=lambda: os.sched_setaffinity(0, pin),
        check=False,
    )


def shown(arguments: list[str], core_list) -> str:
    """A command line as a person would type it, with the cores it is pinned to, without this machine's paths and ports."""
    pinned = ["taskset", "-c", ",".join(map(str, core_list)), *arguments]
    line = " ".join(f"'{word}'" if re.search(r"[\s{}\"?;&]", word) else word for word in pinned)
    line = line.replace(str(BUILT), "target/release").replace(str(ROOT) + "/", "")
    return re.sub(r"--watch \d+", "--watch PID", re.sub(r"127\.0\.0\.1:\d{4,5}", "127.0.0.1:PORT", line))
