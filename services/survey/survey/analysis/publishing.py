"""Publications that can be made again: which snapshot, which code, and with it all that is not in the snapshot.

Of a publication is kept what was known of the programme (invitations, the funnel, hosts), the threshold, and what the public had
been told before; the answers are in the snapshot, which a tag keeps from expiring. Only an erasure takes the tag away, with
the snapshot: then what was published stands, and cannot be made again.
"""

import asyncio
from dataclasses import replace

from chassis.transaction import Transaction
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table

from survey.analysis.evaluation import code_version, of_snapshot
from survey.analysis.snapshot import snapshot_of
from survey.evaluation import store
from survey.evaluation.evaluate import evaluate
from survey.evaluation.figures import Counts, encoded
from survey.evaluation.steps import step
from survey.evaluation.store import Publication
from survey.questionnaires.questionnaire import Questionnaire

ATTEMPTS = 20
"""At tagging, while the sink commits to the same table."""


async def publish(
    tx: Transaction, table: Table, snapshot_id: int, counts: Counts, questionnaire: Questionnaire, threshold: int
) -> Publication:
    """Tells the public what the snapshot comes to. ``counts`` are the snapshot's.

    The tag is set before the commit: what is published is tagged, whatever happens in between.

    Raises:
        StepTooSmall: fewer than ``threshold`` submissions came since the last publication.
        UnknownSnapshot: the table does not have it any more.
        CommitFailedException: others committed to the table again and again.
    """
    await store.summed(tx)
    programme = (await store.counts(tx, questionnaire.version)).programme
    publication = await store.publish(
        tx, replace(counts, programme=programme), questionnaire, str(snapshot_id), code_version(), threshold
    )
    await asyncio.to_thread(_keep, table, snapshot_id)
    return publication


def _keep(table: Table, snapshot_id: int) -> None:
    tag = f"published-{snapshot_id}"
    for attempt in range(ATTEMPTS):
        table.refresh()
        snapshot_of(table, snapshot_id)
        if tag in table.refs():
            return
        try:
            table.manage_snapshots().create_tag(snapshot_id, tag).commit()
        except CommitFailedException:
            if attempt + 1 == ATTEMPTS:
                raise
        else:
            return


def made_again(
    publication: Publication, before: Publication | None, table: Table, questionnaire: Questionnaire
) -> bytes:
    """The figures that this code makes of what a publication was made from; ``before`` is the step before it.

    With the code version of the publication they are the published ones, byte for byte.

    Raises:
        UnknownSnapshot: something was erased since, and the snapshot with it.
    """
    counted = of_snapshot(table, int(publication.snapshot_id), questionnaire)
    counts = replace(counted.counts, programme=publication.released.programme)
    released = step(before.released if before else None, counts, questionnaire, publication.threshold)
    return encoded(evaluate(released.told, questionnaire))
