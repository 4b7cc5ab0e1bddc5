"""Ottla: the release build of this repository; tiers are settings of the topic."""

import os

from .cluster import Cluster, answers


class Ottla(Cluster):
    name = "ottla"
    tiers = ("leader-cache", "majority-cache", "majority-fsync")

    def command(self, at: int) -> list[str]:
        initial = ",".join(f"{n + 1}=127.0.0.1:{ports[1]}" for n, ports in enumerate(self.ports))
        http, peer = self.ports[at]
        return [
            os.environ["PEERS_OTTLA"], "server", "--node-id", str(at + 1), "--data", "data",
            "--http", f"127.0.0.1:{http}", "--peer", f"127.0.0.1:{peer}", "--initial", initial,
        ]  # fmt: skip

    def is_ready(self, at: int) -> bool:
        return answers(f"http://127.0.0.1:{self.ports[at][0]}/v1/cluster/health", '"healthy":true')
