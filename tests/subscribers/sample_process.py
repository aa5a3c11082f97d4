"""A subscriber of the samples as a process on a topic of its own: its state stands in a file after each batch."""

import asyncio
import json
import os
import sys
from pathlib import Path

from aiokafka import AIOKafkaConsumer
from sojourn_contracts.kit.history import Record

from tests.subscribers.samples import BROKEN, Right


async def main(kind: str, file: Path) -> None:
    subscriber = BROKEN.get(kind, Right)()
    consumer = AIOKafkaConsumer(
        os.environ["TOPIC"],
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        auto_offset_reset="earliest",
        fetch_max_wait_ms=20,
    )
    await consumer.start()
    try:
        while True:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                subscriber.feed([_read(record) for record in records])
                written = file.with_suffix(".new")
                written.write_text(json.dumps(subscriber.state()))
                written.replace(file)
    finally:
        await consumer.stop()


def _read(record) -> Record:
    topic = dict(record.headers)["ce_type"].decode().partition(".v")[0]
    return Record(topic, record.key, record.value, record.headers, record.partition, record.offset, record.timestamp)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
