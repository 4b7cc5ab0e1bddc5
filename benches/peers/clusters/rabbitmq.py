"""RabbitMQ: quorum queues, which write to a shared Raft log and fsync it before they confirm.

It is taken out of Debian's packages without being installed. The nodes have a port mapper (epmd) of
their own instead of the machine's, so that no daemon stays behind.
"""

import os
import subprocess

from .cluster import Cluster, listens

COOKIE = "ottlapeers"


class Rabbitmq(Cluster):
    name = "rabbitmq"
    tiers = ("majority-fsync",)
    # The third of the first node is the port mapper's.
    ports_of_a_node = 3

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.epmd_port = self.ports[0][2]
        self.root = self.cache / "debian" / "usr" / "lib"
        (self.server,) = (self.root / "rabbitmq" / "lib").glob("rabbitmq_server-*")
        self.epmd: subprocess.Popen | None = None

    def __enter__(self):
        epmd = next(self.root.glob("erlang/erts-*/bin/epmd"))
        command = [str(epmd), "-port", str(self.epmd_port), "-address", "127.0.0.1"]
        self.epmd = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        return super().__enter__()

    def __exit__(self, *_):
        super().__exit__()
        if self.epmd:
            self.epmd.kill()
            self.epmd.wait()

    def node_name(self, at: int) -> str:
        return f"peer{at + 1}@localhost"

    def prepare(self, at: int) -> None:
        home = self.node_directory(at)
        cookie = home / ".erlang.cookie"
        cookie.write_text(COOKIE)
        cookie.chmod(0o400)
        nodes = "".join(
            f"cluster_formation.classic_config.nodes.{n + 1} = {self.node_name(n)}\n"
            for n in range(len(self.ports))
        )
        (home / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.ports[at][0]}\n"
            "cluster_formation.peer_discovery_backend = classic_config\n"
            "disk_free_limit.absolute = 100MB\n"
            "log.console = true\nlog.file = false\n" + nodes
        )
        (home / "enabled_plugins").write_text("[].\n")

    def environment(self, at: int) -> dict[str, str]:
        home = self.node_directory(at)
        return {
            "HOME": str(home),
            "PATH": f"{self.root}/erlang/bin:{os.environ['PATH']}",
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.node_name(at),
            "RABBITMQ_DIST_PORT": str(self.ports[at][1]),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(home / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-start_epmd false",
        }

    def command(self, at: int) -> list[str]:
        return [str(self.server / "sbin" / "rabbitmq-server")]

    def start(self, at: int) -> None:
        super().start(at)
        # A node that is founded alone is joined by those that come after it.
        self.wait_ready(at)

    def is_ready(self, at: int) -> bool:
        return listens(self.ports[at][0])

    def leader(self) -> int:
        for at, process in enumerate(self.processes):
            if process is None:
                continue
            command = [str(self.server / "sbin" / "rabbitmqctl"), "-q", "--no-table-headers"]
            command += ["-n", self.node_name(at), "list_queues", "name", "leader"]
            environment = os.environ | self.environment(at)
            told = subprocess.run(command, env=environment, capture_output=True, text=True)
            for line in told.stdout.splitlines():
                name, _, leader = line.partition("\t")
                if name.endswith("-0"):
                    return [self.node_name(n) for n in range(len(self.ports))].index(leader)
        raise RuntimeError(f"no node knows who leads the queue: {told.stdout}{told.stderr}")
