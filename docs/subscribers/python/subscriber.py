"""Keeps every SurveySubmitted and ExchangeCompleted in SQLite: killed and started again, it loses and repeats none."""

import asyncio
import os
import sqlite3
import ssl

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

TOPICS = ("SurveySubmitted", "ExchangeCompleted")
TABLES = """
pragma journal_mode = wal;
create table if not exists event (topic text, subject text, id text, data text, primary key (topic, subject, id));
create table if not exists position (topic text, partition integer, next integer, primary key (topic, partition));
"""
KEEP = """
insert or ignore into event select ?1, ?2, ?3, ?4
where not exists (select 1 from event where (topic, subject) = (?1, ?2) and data is null)
"""


def handle(store: sqlite3.Connection, record: ConsumerRecord) -> None:
    """What a record does, and that it was read, in one transaction; it may do anything in the same database."""
    store.execute("replace into position values (?, ?, ?)", (record.topic, record.partition, record.offset + 1))
    headers = {name: value.decode() for name, value in record.headers if name.startswith("ce_")}
    if headers.get("ce_type") != f"{record.topic}.v1":  # what another version means is not known here
        print(f"passed over: {headers.get('ce_type')} at {record.topic}/{record.partition}/{record.offset}")
        return
    if record.value is None:  # a tombstone: what is known of its subject is forgotten, for good
        store.execute("delete from event where (topic, subject) = (?, ?)", (record.topic, headers["ce_subject"]))
    # whole, with fields that are not known here
    store.execute(KEEP, (record.topic, headers["ce_subject"], headers["ce_id"], record.value and record.value.decode()))


async def main() -> None:
    store = sqlite3.connect(os.environ.get("STORE", "events.sqlite"))
    store.executescript(TABLES)
    env = os.environ
    consumer = AIOKafkaConsumer(
        *TOPICS,
        bootstrap_servers=env["KAFKA_BOOTSTRAP_SERVERS"],
        security_protocol=env.get("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT"),
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username=env.get("KAFKA_USERNAME"),
        sasl_plain_password=env.get("KAFKA_PASSWORD"),
        ssl_context=ssl.create_default_context(cafile=env.get("KAFKA_CA_FILE")),
        isolation_level="read_committed",
        auto_offset_reset="earliest",
    )
    async with consumer:
        for topic, partition, position in store.execute("select * from position").fetchall():
            consumer.seek(TopicPartition(topic, partition), position)
        while True:
            batches = await consumer.getmany(timeout_ms=1000)
            with store:  # one transaction, which a kill undoes as a whole
                for record in (record for batch in batches.values() for record in batch):
                    handle(store, record)


asyncio.run(main())
