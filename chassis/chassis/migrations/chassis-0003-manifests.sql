-- Up to where each topic's events are covered by manifests: the last manifest of each
-- depends: chassis-0002-log-by-subject

-- migrate: apply

create table manifest (
    topic text primary key,
    generation int not null,
    hour timestamptz not null,
    last_sequence bigint not null,
    manifest_id uuid not null
);

-- migrate: rollback

drop table manifest;
