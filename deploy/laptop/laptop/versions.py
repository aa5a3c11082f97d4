"""Which Kafka and PostgreSQL run here, embedded or in containers."""

KAFKA = "4.1.1"
POSTGRES = "18"
