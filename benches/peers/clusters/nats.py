"""NATS JetStream: streams of three replicas in files.

By default a server syncs its files every two minutes, so an acknowledgement says page caches of a
majority; with `sync_interval: always` it says disks.
"""

from .cluster import Cluster, answers


class Nats(Cluster):
    name = "nats"
    tiers = ("majority-cache", "majority-fsync")
    ports_of_a_node = 3

    def prepare(self, at: int) -> None:
        client, peer, monitor = self.ports[at]
        routes = ", ".join(f"nats://127.0.0.1:{ports[1]}" for ports in self.ports)
        sync = "sync_interval: always" if self.tier == "majority-fsync" else ""
        (self.node_directory(at) / "server.conf").write_text(f"""
            server_name: node-{at + 1}
            listen: 127.0.0.1:{client}
            http: 127.0.0.1:{monitor}
            jetstream {{ store_dir: data, max_file: 16G, {sync} }}
            cluster {{ name: peers, listen: 127.0.0.1:{peer}, routes: [{routes}] }}
        """)

    def command(self, at: int) -> list[str]:
        return [f"{self.cache}/bin/nats-server", "-c", "server.conf"]

    def is_ready(self, at: int) -> bool:
        return answers(f"http://127.0.0.1:{self.ports[at][2]}/healthz", '"ok"')
