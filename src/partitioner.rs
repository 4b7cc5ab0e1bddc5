//! Which partition a record goes to: Kafka's murmur2 of the key, else round-robin.
