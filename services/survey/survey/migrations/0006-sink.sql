-- What the sink keeps: the catalog of its table, as pyiceberg's SqlCatalog has it, and records that could not be read
-- depends: 0005-evaluation

-- migrate: apply

create schema survey_sink;

create table survey_sink.iceberg_tables (
    catalog_name varchar(255) not null,
    table_namespace varchar(255) not null,
    table_name varchar(255) not null,
    metadata_location varchar(1000),
    previous_metadata_location varchar(1000),
    iceberg_type varchar(5),
    primary key (catalog_name, table_namespace, table_name)
);

create table survey_sink.iceberg_namespace_properties (
    catalog_name varchar(255) not null,
    namespace varchar(255) not null,
    property_key varchar(255) not null,
    property_value varchar(1000) not null,
    primary key (catalog_name, namespace, property_key)
);

-- Where a record stands in Kafka is its name: set aside twice, it is there once. One that a later version could read stays, as the
-- only copy below the table's offsets.
create table survey_sink.set_aside (
    kafka_partition int not null,
    kafka_offset bigint not null,
    key bytea,
    value bytea,
    headers jsonb not null,
    cause text not null,
    set_aside_at timestamptz not null default clock_timestamp(),
    read_at timestamptz,
    primary key (kafka_partition, kafka_offset)
);

do $$
begin
    if to_regrole('sojourn_survey') is not null then
        grant usage on schema survey_sink to sojourn_survey;
        grant select, insert, update, delete on all tables in schema survey_sink to sojourn_survey;
    end if;
end
$$;

-- migrate: rollback

drop schema survey_sink cascade;
