"""Counts the calls with which processes make their writes durable.

With tracefs (root; `mount -t tracefs nodev /sys/kernel/tracing`) the kernel counts during the
measured window itself and nobody notices: only these calls are events, and only their number is
read. Without it strace is attached for a short tail after the window, because it slows what it
watches.
"""

import os
import re
import signal
import subprocess
import tempfile
from pathlib import Path

CALLS = ("fsync", "fdatasync", "syncfs", "sync_file_range", "msync")
TRACING = Path("/sys/kernel/tracing")


class Tracefs:
    """An instance of the kernel's tracer, of our own; it is removed at the end."""

    name = "tracefs"
    in_window = True

    def __init__(self) -> None:
        self.instance = TRACING / "instances" / f"ottla-peers-{os.getpid()}"

    def watch(self, pids: list[int]) -> None:
        """Before the load begins, since the kernel takes its time over it."""
        self.instance.mkdir()
        try:
            # Threads that come later are watched with those that made them.
            (self.instance / "options" / "event-fork").write_text("1")
            threads = [task.name for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()]
            (self.instance / "set_event_pid").write_text(" ".join(threads))
            syscalls = self.instance / "events" / "syscalls"
            for call in CALLS:
                (syscalls / f"sys_enter_{call}" / "enable").write_text("1")
        except BaseException:
            self.close()
            raise

    def begin(self) -> None:
        self.before = self.seen()

    def end(self) -> int:
        return self.seen() - self.before

    def seen(self) -> int:
        # Events are kept until others overwrite them; those that are gone are counted too.
        count = 0
        for stats in self.instance.glob("per_cpu/cpu*/stats"):
            fields = dict(line.split(": ") for line in stats.read_text().splitlines())
            count += sum(int(fields[field]) for field in ("entries", "overrun", "dropped events"))
        return count

    def close(self) -> None:
        self.instance.rmdir()


class Strace:
    """Attached for a while; it tells at its end."""

    name = "strace"
    in_window = False

    def watch(self, pids: list[int]) -> None:
        self.pids = pids

    def begin(self) -> None:
        self.output = tempfile.NamedTemporaryFile(mode="r")
        command = ["strace", "-f", "-q", "-c", "-o", self.output.name]
        command += ["-e", f"trace={','.join(CALLS)}"]
        for pid in self.pids:
            command += ["-p", str(pid)]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        rows = re.findall(rf"(\d+)\s+(?:\d+\s+)?(?:{'|'.join(CALLS)})$", self.output.read(), re.M)
        return sum(map(int, rows))

    def close(self) -> None:
        """Nothing is left."""


Counter = Tracefs | Strace


def counter() -> Counter:
    return Tracefs() if os.access(TRACING / "instances", os.W_OK) else Strace()
