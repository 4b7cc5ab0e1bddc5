"""Installs each system from its package registry, by name and pinned version, into the cache.

NATS and etcd are Go modules (`servers/go.mod`), Kafka is Maven artefacts (`servers/pom.xml`),
RabbitMQ and the Erlang it runs on are Debian's packages, unpacked but not installed. What is in the
cache is not fetched again.
"""

import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
SERVERS = HERE / "servers"

GO = {"nats": "github.com/nats-io/nats-server/v2", "etcd": "go.etcd.io/etcd/server/v3"}
GO_BINARY = {"nats": "nats-server", "etcd": "etcd"}
# What the broker needs of Erlang, and no more: no shell, no documentation, no windows.
DEBIAN = (
    "asn1 base crypto eldap ftp inets mnesia os-mon parsetools public-key runtime-tools snmp ssl"
    " syntax-tools tftp tools xmerl"
)


def run(*command: str | Path, cwd: Path = HERE) -> str:
    done = subprocess.run([str(one) for one in command], cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def load(cache: Path) -> Path:
    """Builds the load program; Go looks whether anything changed."""
    run("go", "build", "-o", cache / "bin" / "load", ".", cwd=HERE / "load")
    return cache / "bin" / "load"


def install(name: str, cache: Path) -> str:
    """Installs a system and returns its version."""
    return {"ottla": ottla, "kafka": kafka, "rabbitmq": rabbitmq}.get(name, go)(name, cache)


def ottla(_: str, __: Path) -> str:
    if "PEERS_OTTLA" in os.environ:
        return f"({os.environ['PEERS_OTTLA']})"
    run("cargo", "build", "--release", "--bin", "ottla", cwd=REPOSITORY)
    os.environ["PEERS_OTTLA"] = str(REPOSITORY / "target" / "release" / "ottla")
    return run("git", "rev-parse", "--short", "HEAD", cwd=REPOSITORY).strip()


def go(name: str, cache: Path) -> str:
    run("go", "build", "-o", cache / "bin" / GO_BINARY[name], GO[name], cwd=SERVERS)
    return run("go", "list", "-m", "-f", "{{.Version}}", GO[name], cwd=SERVERS).strip()


def kafka(_: str, cache: Path) -> str:
    target = cache / "kafka"
    if not list(target.glob("kafka_2.13-*.jar")):
        partial = cache / "kafka.partial"
        shutil.rmtree(partial, ignore_errors=True)
        run(
            "mvn", "-q", "-B", "-f", SERVERS / "pom.xml", "dependency:copy-dependencies",
            f"-DoutputDirectory={partial}", "-DincludeScope=runtime",
        )  # fmt: skip
        partial.rename(target)
    (jar,) = target.glob("kafka_2.13-*.jar")
    return jar.stem.removeprefix("kafka_2.13-")


def rabbitmq(_: str, cache: Path) -> str:
    target = cache / "debian"
    if not target.exists():
        partial = cache / "debian.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        packages = [f"erlang-{part}" for part in DEBIAN.split()] + ["rabbitmq-server"]
        run("apt-get", "download", *packages, cwd=partial)
        for package in partial.glob("*.deb"):
            run("dpkg", "-x", package, partial)
            package.unlink()
        partial.rename(target)
        # Debian's script does not look where it is.
        for script in target.glob("usr/lib/erlang/**/bin/erl"):
            if not script.is_symlink():
                text = script.read_text().replace("/usr/lib/erlang", f"{target}/usr/lib/erlang")
                script.write_text(text)
    (server,) = target.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*")
    return server.name.removeprefix("rabbitmq_server-")
