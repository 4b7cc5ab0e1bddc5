"""etcd: every acknowledgement is on the disks of a majority; there is no other tier."""

from .cluster import Cluster, answers

QUOTA_BYTES = 8 << 30


class Etcd(Cluster):
    name = "etcd"
    tiers = ("majority-fsync",)

    def command(self, at: int) -> list[str]:
        client, peer = (f"http://127.0.0.1:{port}" for port in self.ports[at])
        peers = (f"node-{n + 1}=http://127.0.0.1:{ports[1]}" for n, ports in enumerate(self.ports))
        return [
            f"{self.cache}/bin/etcd", "--name", f"node-{at + 1}", "--data-dir", "data",
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", ",".join(peers), "--quota-backend-bytes", str(QUOTA_BYTES),
            "--log-level", "error",
        ]  # fmt: skip

    def is_ready(self, at: int) -> bool:
        return answers(f"http://127.0.0.1:{self.ports[at][0]}/health", '"true"')
