"""Three nodes of one system on loopback, each a process of ours with its own ports and directory.

Only processes that were started here, and their children, are ever ended, by their ids. What a
system needs of its own (configuration, what ready means) is in its subclass.
"""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

NODES = 3
READY_WITHIN = 120.0
LOOK_AGAIN = 0.1
TICKS = os.sysconf("SC_CLK_TCK")


class Cluster:
    """One cluster; a context manager, so that its processes are gone whatever happens."""

    #: What the table calls it.
    name: str
    #: Where a record can be when this system acknowledges it.
    tiers: tuple[str, ...]
    #: How long it is loaded at the least before it is measured.
    warm_seconds_min = 0.0
    #: Ports that a node needs; the first is the one clients use.
    ports_of_a_node = 2

    def __init__(self, cache: Path, directory: Path, tier: str):
        self.cache, self.directory, self.tier = cache, directory, tier
        self.ports = free_ports(NODES, self.ports_of_a_node)
        self.processes: list[subprocess.Popen | None] = [None] * NODES

    # What a system says of itself.

    def prepare(self, at: int) -> None:
        """Writes the node's configuration."""

    def command(self, at: int) -> list[str]:
        raise NotImplementedError

    def environment(self, at: int) -> dict[str, str]:
        return {}

    def is_ready(self, at: int) -> bool:
        raise NotImplementedError

    def leader(self) -> int:
        """Asked when the client cannot know who leads the first log."""
        raise NotImplementedError

    # What is the same for all.

    def node_directory(self, at: int) -> Path:
        return self.directory / f"node-{at + 1}"

    def log_path(self, at: int) -> Path:
        return self.directory / f"node-{at + 1}.log"

    def addresses(self) -> str:
        return ",".join(f"127.0.0.1:{ports[0]}" for ports in self.ports)

    def __enter__(self) -> "Cluster":
        try:
            for at in range(NODES):
                self.node_directory(at).mkdir(parents=True)
                self.prepare(at)
            for at in range(NODES):
                self.start(at)
            for at in range(NODES):
                self.wait_ready(at)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for at in range(NODES):
            self.kill(at)

    def start(self, at: int) -> None:
        with self.log_path(at).open("ab") as log:
            self.processes[at] = subprocess.Popen(
                self.command(at),
                cwd=self.node_directory(at),
                env=os.environ | self.environment(at),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait_ready(self, at: int) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while not self.is_ready(at):
            process = self.processes[at]
            if process is None or process.poll() is not None or time.monotonic() > deadline:
                tail = self.log_path(at).read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{self.name}: node {at + 1} does not become ready:\n{tail}")
            time.sleep(LOOK_AGAIN)

    def kill(self, at: int) -> None:
        """kill -9, of the node's process and of what it started."""
        process = self.processes[at]
        if process is None:
            return
        if process.poll() is None:
            for pid in tree(process.pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        process.wait()
        self.processes[at] = None

    def pids(self) -> list[int]:
        return [pid for process in self.processes if process for pid in tree(process.pid)]


def free_ports(nodes: int, each: int) -> list[list[int]]:
    # All are held until all are known, so no two are the same.
    held = [socket.socket() for _ in range(nodes * each)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return [ports[at * each : (at + 1) * each] for at in range(nodes)]


def tree(root: int) -> list[int]:
    """A process and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def cpu_seconds(pids: list[int]) -> float:
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS


def written_bytes(pids: list[int]) -> int:
    """What the processes caused to be sent to the disk."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/io").read_text().splitlines():
            if line.startswith("write_bytes:"):
                total += int(line.split()[1])
    return total


def answers(url: str, part: str = "") -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return part in answer.read().decode()
    except (urllib.error.URLError, OSError):
        return False


def listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
