"""Builds all anew that figures are read from: what is known of companies and exchanges from their topics, what was answered
from our own log.

The topics are compacted: of an exchange's changes of stage the newest stays for good. So a first time that was once heard is
kept, and only an earlier one replaces it.
"""

from collections.abc import AsyncIterator, Iterable, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import structlog
from aiokafka import AIOKafkaConsumer
from chassis.brokers import Brokers
from chassis.inbox import arrival
from chassis.service import Process
from chassis.transaction import Cause, Transaction
from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn
from sojourn_contracts.envelope import Envelope
from sojourn_contracts.exchange import Stage
from sojourn_contracts.match import MatchProposed
from sojourn_contracts.survey import SurveySubmitted

from survey import domain
from survey import store as read_model
from survey.domain import Company, Exchange
from survey.evaluation import store
from survey.questionnaires.published import published

logger = structlog.get_logger(__name__)

FOLLOWED = (
    "CompanyRegistered",
    "CompanyUpdated",
    "CompanyWithdrawn",
    "MatchProposed",
    "MatchDeclined",
    "ExchangeUpdated",
    "ExchangeAgreed",
    "ExchangeCancelled",
    "ExchangeCompleted",
)
"""Events that the read model is made of."""
AT_ONCE = 500
"""Submissions that are counted together."""


@dataclass
class Told:
    """What the topics tell, in whatever order their records come, with repeats."""

    companies: dict[UUID, Company] = field(default_factory=dict[UUID, Company])
    exchanges: dict[UUID, Exchange] = field(default_factory=dict[UUID, Exchange])
    erased: set[UUID] = field(default_factory=set[UUID])

    def hear(self, envelope: Envelope) -> None:
        """The same as the handlers decide, without a word to anybody."""
        subject, event = envelope.subject, envelope.data
        match event:
            case None:
                self.erased.add(subject)
            case CompanyRegistered():
                self.companies[subject] = domain.admitted(domain.update(self._company(subject), event), envelope.time)
            case CompanyUpdated():
                self.companies[subject] = domain.update(self._company(subject), event)
            case CompanyWithdrawn():
                self.companies[subject] = domain.withdraw(self._company(subject))
            case MatchProposed():
                exchange = domain.follow(self._exchange(subject), event)
                self.exchanges[subject] = domain.reached(exchange, Stage.PROPOSED, envelope.time)
            case _:
                self.exchanges[subject] = domain.follow(self._exchange(subject), event)  # pyright: ignore[reportArgumentType]

    def _company(self, company_id: UUID) -> Company:
        return self.companies.get(company_id) or Company(company_id)

    def _exchange(self, exchange_id: UUID) -> Exchange:
        return self.exchanges.get(exchange_id) or Exchange(exchange_id)

    def settled(self, erased: Set[UUID], first_times: Iterable[Exchange]) -> tuple[list[Company], list[Exchange]]:
        """What of it may be known, with the first times that were heard once; each in the order of the ids."""
        gone = self.erased | erased
        companies = {
            id_: domain.without(company, gone) for id_, company in sorted(self.companies.items()) if id_ not in gone
        }
        exchanges = {
            id_: exchange
            for id_, exchange in sorted(self.exchanges.items())
            if exchange.newest is not None and exchange.newest.without(gone) is not None
        }
        for known in first_times:
            for stage, at in known.reached.items():
                if known.exchange_id in exchanges:
                    exchanges[known.exchange_id] = domain.reached(exchanges[known.exchange_id], stage, at)
        for id_, exchange in exchanges.items():
            sender = exchange.newest and companies.get(exchange.newest.sender_id)
            if sender and Stage.PROPOSED in exchange.reached:
                exchanges[id_] = domain.after_registration(exchange, sender.registered_at)
        return list(companies.values()), list(exchanges.values())


@dataclass(frozen=True)
class Rebuilt:
    companies: int
    exchanges: int
    submissions: int
    unknown: tuple[str, ...]
    """Versions of the questionnaire that this code does not know; their submissions are kept and not counted."""


async def rebuild(process: Process) -> Rebuilt:
    """Empties the read model and builds it anew, in one transaction; what serves waits for its end, and goes on.

    Raises:
        KafkaError, OSError: the topics cannot be read; nothing is changed.
    """
    told = Told()
    async with _topics(process.settings.brokers) as topics:
        await _listen(topics, told)
        async with process.open_transaction(Cause()) as tx:
            await store.hold_read_model(tx)
            await _listen(topics, told)  # what was handled until nobody could handle any more
            companies, exchanges = told.settled(await store.erased(tx), await read_model.exchanges(tx))
            await store.empty_read_model(tx)
            await read_model.add_companies(tx, companies)
            await read_model.add_exchanges(tx, exchanges)
            await store.tally_rows(tx)
            submissions, unknown = await _count_submissions(tx)
            await store.summed(tx)
    return Rebuilt(len(companies), len(exchanges), submissions, tuple(sorted(unknown)))


@asynccontextmanager
async def _topics(brokers: Brokers) -> AsyncIterator[AIOKafkaConsumer]:
    """All partitions of the topics, from their beginning, in nobody's group."""
    places = await brokers.partitions(FOLLOWED)
    consumer = AIOKafkaConsumer(
        **brokers.client(),
        client_id="survey-rebuild",
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    try:
        await consumer.start()
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        yield consumer
    finally:
        await consumer.stop()


async def _listen(consumer: AIOKafkaConsumer, told: Told) -> None:
    """To all that is on the topics by now."""
    ends = await consumer.end_offsets(list(consumer.assignment()))
    while [partition for partition, end in ends.items() if await consumer.position(partition) < end]:
        for records in (await consumer.getmany(timeout_ms=200, max_records=5_000)).values():
            for record in records:
                envelope = arrival(record).envelope
                if envelope is None:
                    logger.warning("unreadable record", topic=record.topic, offset=record.offset)
                    continue
                told.hear(envelope)


async def _count_submissions(tx: Transaction) -> tuple[int, set[str]]:
    questionnaires = published()
    number, unknown = 0, set[str]()
    batch: list[SurveySubmitted] = []
    async for event in store.submissions_of_log(tx):
        number += 1
        batch.append(event)
        if event.questionnaire not in questionnaires:
            unknown.add(event.questionnaire)
        if len(batch) == AT_ONCE:
            await _add(tx, batch)
            batch = []
    await _add(tx, batch)
    return number, unknown


async def _add(tx: Transaction, events: Sequence[SurveySubmitted]) -> None:
    await read_model.add_released(tx, events)
    await store.add_submissions(tx, events, published())
