"""One cell of the table: a load on a cluster, and what the brokers did meanwhile."""

import json
import os
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import fsyncs
from clusters.cluster import TICKS, Cluster, cpu_seconds, written_bytes

LOGS = 6
RECORD_BYTES = 100
# Strace is attached for so long.
TAIL_SECONDS = 3
# Records that may be acknowledged by the same barrier, of a cell: all that are under way at once.
UNDER_WAY = {"single": 64, "batched": 8192}
# Replicas that must have made a barrier.
MAJORITY = 2


def proves(tier: str, cell: str, fsyncs_per_thousand: float) -> bool:
    """Whether as many barriers were made as the tier needs at the least; cache tiers make fewer.

    A barrier covers at most what was under way, and a majority makes its own.
    """
    least = MAJORITY * 1000 / UNDER_WAY[cell]
    return (fsyncs_per_thousand >= least) == (tier == "majority-fsync")


def busy_seconds() -> float:
    user, nice, system, _idle, _wait, irq, soft, *_ = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + soft) / TICKS


class Load:
    """The load program under way; its events come one by one."""

    def __init__(self, program: Path, cluster: Cluster, cell: str, **flags: object):
        command = [str(program), "-system", cluster.name, "-addresses", cluster.addresses()]
        command += ["-tier", cluster.tier, "-cell", cell, "-name", cell]
        for flag, value in flags.items():
            command += [f"-{flag}", str(value)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *_: object) -> None:
        if sys.exc_info()[0]:
            self.process.kill()
        # It may be gone already, and what it was told with it.
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()

    def event(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args[2]}: the load ended with {self.process.wait()}")
        return json.loads(line)

    def tell(self, word: str) -> None:
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()


def measure(program: Path, cluster: Cluster, cell: str, warm: float, seconds: float) -> dict:
    with closing(fsyncs.counter()) as counter:
        return watched(program, cluster, cell, warm, seconds, counter)


def watched(
    program: Path, cluster: Cluster, cell: str, warm: float, seconds: float, counter: fsyncs.Counter
) -> dict:
    pids = cluster.pids()
    counter.watch(pids)
    tail = 0 if counter.in_window else TAIL_SECONDS
    spans = {"warm": f"{max(warm, cluster.warm_seconds_min)}s", "window": f"{seconds}s", "tail": f"{tail}s"}
    with Load(program, cluster, cell, logs=LOGS, **spans) as load:
        begin = load.event()
        client = [load.process.pid]

        def seen() -> tuple[float, float, float, int]:
            return busy_seconds(), cpu_seconds(pids), cpu_seconds(client), written_bytes(pids)

        before = seen()
        if counter.in_window:
            counter.begin()
        end = load.event()
        busy, brokers, clients, written = (now - then for now, then in zip(seen(), before))
        counted_from = begin["acknowledged"]
        if not counter.in_window:
            counted_from = end["acknowledged"]
            counter.begin()
            end = load.event()
        syncs = counter.end()
        result = load.event()
    acknowledged = end["acknowledged"] - counted_from
    if result["records"] == 0:
        raise RuntimeError(f"{cluster.name} {cell}: nothing acknowledged: {result}")
    lost = result["acknowledged_in_all"] - result["stored"]
    if lost > 0:
        raise RuntimeError(f"{cluster.name} {cell}: {lost} acknowledged records are not there")
    millions = result["records"] / 1e6
    per_thousand = 1000 * syncs / max(acknowledged, 1)
    return {
        "system": cluster.name,
        "tier": cluster.tier,
        "cell": cell,
        "records_per_second": result["records"] / result["seconds"],
        "megabytes_per_second": result["records"] * RECORD_BYTES / result["seconds"] / 1e6,
        "p50_ms": result["p50_ms"],
        "p99_ms": result["p99_ms"],
        "broker_cpu_per_million": brokers / millions,
        "client_cpu_per_million": clients / millions,
        "fsyncs_per_thousand": per_thousand,
        "written_per_byte": written / (result["records"] * RECORD_BYTES),
        "tier_proven": proves(cluster.tier, cell, per_thousand),
        # Cores that neither brokers nor load used: other work on the machine, and the kernel's own.
        "others_cores": max(0.0, busy - brokers - clients) / result["seconds"],
        "load_average": os.getloadavg()[0],
        "failed": result["failed"],
        "first_failure": result.get("first_failure"),
    }


def failover(program: Path, cluster: Cluster, kills: int) -> dict:
    gaps = []
    with Load(program, cluster, "failover", logs=1) as load:
        for _ in range(kills):
            leader = load.event()["node"]
            if leader < 0:
                leader = cluster.leader()
            cluster.kill(leader)
            load.tell("killed")
            gaps.append(load.event()["milliseconds"])
            print(f"{cluster.name}: node {leader + 1} killed: {gaps[-1]:.0f} ms", file=sys.stderr)
            cluster.start(leader)
            cluster.wait_ready(leader)
            if len(gaps) < kills:
                load.tell("again")
    return {"system": cluster.name, "tier": cluster.tier, "gaps_ms": sorted(gaps)}
