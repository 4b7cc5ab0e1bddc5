"""Apache Kafka in KRaft mode: each node is broker and controller, as its quick start has it.

The heap and the collector's flags are those of Kafka's own start script. The fsync tier is a
setting of the topic (`flush.messages=1`), which every replica obeys.
"""

import subprocess

from .cluster import NODES, Cluster, listens

CLUSTER_ID = "b3R0bGEtcGVlcnMtMDAwMQ"
JVM = [
    "-Xms1G", "-Xmx1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent",
]  # fmt: skip


class Kafka(Cluster):
    name = "kafka"
    # Its compiler is at work for as long.
    warm_seconds_min = 15.0
    tiers = ("leader-cache", "majority-cache", "majority-fsync")

    def java(self, main: str, *arguments: str, flags: list[str]) -> list[str]:
        return ["java", *flags, "-cp", f"{self.cache}/kafka/*", main, *arguments]

    def prepare(self, at: int) -> None:
        broker, controller = self.ports[at]
        voters = ",".join(f"{n + 1}@127.0.0.1:{ports[1]}" for n, ports in enumerate(self.ports))
        settings = {
            "process.roles": "broker,controller",
            "node.id": at + 1,
            "controller.quorum.voters": voters,
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}",
            "log.dirs": self.node_directory(at) / "data",
            "offsets.topic.replication.factor": NODES,
            "transaction.state.log.replication.factor": NODES,
            "transaction.state.log.min.isr": 2,
        }
        path = self.node_directory(at) / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        command = self.java(
            "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(path), flags=[]
        )
        formatted = subprocess.run(command, capture_output=True, text=True)
        if formatted.returncode != 0:
            raise RuntimeError(f"kafka: formatting: {formatted.stdout}{formatted.stderr}")

    def command(self, at: int) -> list[str]:
        return self.java("kafka.Kafka", "server.properties", flags=JVM)

    def is_ready(self, at: int) -> bool:
        return listens(self.ports[at][0])
