"""The systems of the table, in its order."""

from .cluster import Cluster
from .etcd import Etcd
from .kafka import Kafka
from .nats import Nats
from .ottla import Ottla
from .rabbitmq import Rabbitmq

ALL: dict[str, type[Cluster]] = {kind.name: kind for kind in (Ottla, Kafka, Nats, Rabbitmq, Etcd)}
