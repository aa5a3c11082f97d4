"""The table of released submissions: its schema, its properties, and how it is opened.

One row for each ``SurveySubmitted``, with the event's own names, and where its record stands in Kafka. Optional fields that a
later version of the event brings become columns. Who reads it needs ``catalog`` and ``opened``; only the sink writes.
"""

from contextlib import suppress
from typing import Any

from chassis.database import read_anew
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NamespaceAlreadyExistsError, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import MonthTransform
from pyiceberg.types import DateType, IntegerType, LongType, MapType, NestedField, StringType
from sqlalchemy import event, make_url

from survey.sink.settings import TableSettings

NAMESPACE = "survey"
NAME = (NAMESPACE, "submissions")
DATABASE_SCHEMA = "survey_sink"
"""Of the catalog's own tables in PostgreSQL."""

SCHEMA = Schema(
    NestedField(1, "event_id", StringType(), required=True),
    NestedField(2, "record_id", StringType(), required=True),
    NestedField(3, "questionnaire", StringType(), required=True),
    NestedField(4, "party", StringType(), required=True),
    NestedField(5, "wave", IntegerType(), required=True),
    NestedField(6, "released_on", DateType(), required=True),
    NestedField(7, "exchange_cluster", StringType(), required=True),
    NestedField(8, "company_cluster", StringType(), required=True),
    NestedField(9, "country", StringType(), required=True),
    NestedField(10, "sector_section", StringType(), required=True),
    NestedField(11, "size_class", StringType(), required=True),
    NestedField(12, "duration_band", StringType(), required=True),
    NestedField(13, "training_direction", StringType(), required=True),
    NestedField(14, "answers", MapType(15, StringType(), 16, StringType(), value_required=True), required=True),
    NestedField(17, "kafka_partition", IntegerType(), required=True),
    NestedField(18, "kafka_offset", LongType(), required=True),
)
"""A new field goes to the end, optional, with the name that the event gives it."""

_BY_MONTH = PartitionSpec(PartitionField(6, 1000, MonthTransform(), "released_month"))

_PROPERTIES = {
    # pyiceberg would otherwise append again by itself what another sink has appended already
    "commit.retry.num-retries": "0",
    # an erased id is not to live on as the bound of a column
    "write.metadata.metrics.default": "none",
    "write.metadata.metrics.column.released_on": "full",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
}


def catalog(settings: TableSettings) -> SqlCatalog:
    """The catalog, which lives in a schema of its own in the survey's database.

    Raises:
        sqlalchemy.exc.OperationalError: PostgreSQL cannot be reached.
    """
    _, _, rest = settings.catalog_url.get_secret_value().partition("://")
    url = make_url(f"postgresql+psycopg2://{rest}").update_query_dict({"options": f"-csearch_path={DATABASE_SCHEMA}"})
    password = read_anew(settings.catalog_password_file)
    if password is not None:
        url = url.set(password=password())
    found = SqlCatalog(
        "sojourn",
        uri=url.render_as_string(hide_password=False),
        warehouse=settings.warehouse,
        pool_pre_ping="true",
        **{"py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO"},
        init_catalog_tables="false",
    )
    if password is not None:

        def signs_in(dialect: Any, record: Any, arguments: Any, parameters: dict[str, Any]) -> None:
            parameters["password"] = password()

        event.listen(found.engine, "do_connect", signs_in)
    return found


def opened(found: SqlCatalog) -> Table:
    """The table at its newest snapshot.

    Raises:
        NoSuchTableError: the sink has not made it yet.
    """
    return found.load_table(NAME)


def made(found: SqlCatalog) -> Table:
    """The same, made if it is not there, and with all columns that this code knows."""
    try:
        table = opened(found)
    except NoSuchTableError:
        return _create(found)
    known = {field.name for field in table.schema().fields}
    if any(field.name not in known for field in SCHEMA.fields):
        with table.update_schema() as change:
            change.union_by_name(SCHEMA)
    return table


def _create(found: SqlCatalog) -> Table:
    with suppress(NamespaceAlreadyExistsError):  # also where another sink has just made it
        found.create_namespace(NAMESPACE)
    try:
        return found.create_table(NAME, SCHEMA, partition_spec=_BY_MONTH, properties=_PROPERTIES)
    except TableAlreadyExistsError:
        return opened(found)
