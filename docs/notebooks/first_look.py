# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A first look at the stream
#
# Reads the whole topic of released submissions and looks at it with DuckDB. It needs `KAFKA_BOOTSTRAP_SERVERS`, a user
# who was granted the topic, and `pip install sojourn-contracts aiokafka duckdb pyarrow`. What a field means is said in
# `sojourn_contracts.survey`, what a code means in the codebook.

# %%
import os
import ssl

import duckdb
import pyarrow as pa
from aiokafka import AIOKafkaConsumer, TopicPartition
from sojourn_contracts import catalogue, envelope
from sojourn_contracts.survey import SurveySubmitted

# %% [markdown]
# The newest event of each key counts. One without data is a tombstone: that record is erased, and has to be forgotten
# here as well. `read_committed` leaves out what was written and never committed.

# %%
topic = catalogue.BY_NAME[SurveySubmitted.__name__]
consumer = AIOKafkaConsumer(
    bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
    security_protocol=os.environ.get("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT"),
    sasl_mechanism="SCRAM-SHA-512",
    sasl_plain_username=os.environ.get("KAFKA_USERNAME"),
    sasl_plain_password=os.environ.get("KAFKA_PASSWORD"),
    ssl_context=ssl.create_default_context(cafile=os.environ.get("KAFKA_CA_FILE")),
    isolation_level="read_committed",
    enable_auto_commit=False,
)
await consumer.start()
try:
    partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    consumer.assign(partitions)
    await consumer.seek_to_beginning(*partitions)
    ends = await consumer.end_offsets(partitions)
    newest: dict[object, SurveySubmitted | None] = {}
    while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
        for records in (await consumer.getmany(timeout_ms=500)).values():
            for record in records:
                event = envelope.decode(record.value, record.headers)
                newest[event.subject] = event.data
finally:
    await consumer.stop()
submissions = [event for event in newest.values() if event is not None]
print(f"{len(submissions)} submissions, {len(newest) - len(submissions)} erased")

# %% [markdown]
# One row for each submission, and one for each answer.

# %%
dimensions = ("country", "sector_section", "size_class", "duration_band", "training_direction")
submission = pa.Table.from_pylist(
    [event.model_dump(mode="json", exclude={"answers"}) | {"released_on": event.released_on} for event in submissions]
)
answer = pa.Table.from_pylist(
    [
        {"record_id": str(event.record_id), "question": question, "answer": given}
        for event in submissions
        for question, given in event.answers.items()
    ]
)
duckdb.sql("describe select * from submission").show()

# %% [markdown]
# How many of whom, and when they were released. The day of a release is the only time there is: answers wait for the
# night, and for others.

# %%
duckdb.sql("""
    select party, wave, questionnaire, count(*) as submissions, count(distinct company_cluster) as companies,
           min(released_on) as first_day, max(released_on) as last_day
    from submission group by all order by wave, party, questionnaire
""").show()

# %% [markdown]
# How each question was answered. 97, 98 and 99 are no opinions (prefer not to say, don't know, not applicable): they
# are counted apart and are no part of a share's base.

# %%
answered = duckdb.sql("""
    select question, answer, missing, number, round(number / sum(number) over (partition by question, missing), 3) as share
    from (
        select question, answer, answer in ('97', '98', '99') as missing, count(*) as number from answer group by all
    ) order by question, missing, answer
""")
answered.show(max_rows=200)

# %% [markdown]
# A company whose people answered several times is one cluster, not as many independent answers. How many gave how many:

# %%
duckdb.sql("""
    select submissions, count(*) as companies
    from (select company_cluster, count(*) as submissions from submission group by all) group by all order by all
""").show()

# %% [markdown]
# How small cells become as dimensions are put together: in how many combinations there are fewer than five. What is
# passed on to others is shown by one dimension at a time, without small cells, and without what gives them away.

# %%
for number in range(1, len(dimensions) + 1):
    together = ", ".join(dimensions[:number])
    small, cells = duckdb.sql(
        f"select count(*) filter (n < 5), count(*) from (select count(*) as n from submission group by {together})"
    ).fetchall()[0]
    print(f"{small:>5} of {cells:>5} cells have fewer than five: {together}")
