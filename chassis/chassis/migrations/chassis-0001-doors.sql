-- What the chassis keeps in each service's schema: outbox, log, inbox, due work, dead letters, leases, answers
-- depends:

-- migrate: apply

create table outbox (
    id bigint generated always as identity primary key,
    event_id uuid not null,
    topic text not null,
    type text not null,
    dataschema text not null,
    subject uuid not null,
    time timestamptz not null,
    data text,
    correlation_id text,
    causation_id text,
    traceparent text,
    written_at timestamptz not null default clock_timestamp()
) with (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 20000);

create table event_log (
    position bigint primary key,
    generation int not null,
    topic text not null,
    sequence bigint not null,
    event_id uuid not null,
    type text not null,
    dataschema text not null,
    subject uuid not null,
    time timestamptz not null,
    data text,
    correlation_id text,
    causation_id text,
    traceparent text,
    written_at timestamptz not null,
    unique (topic, sequence)
);

create table log_generation (
    single boolean primary key default true check (single),
    generation int not null
);
insert into log_generation (generation) values (1);

create table inbox (
    event_id uuid primary key,
    handled_at timestamptz not null default clock_timestamp()
);
create index inbox_handled_at on inbox using brin (handled_at);

create table erased (
    subject uuid primary key,
    erased_at timestamptz not null default clock_timestamp()
);

create table due (
    id uuid primary key,
    kind text not null,
    subject text not null,
    at timestamptz not null,
    not_before timestamptz,
    data jsonb not null,
    correlation_id text,
    causation_id text,
    traceparent text,
    attempts int not null default 0,
    claimed_until timestamptz,
    parked_at timestamptz,
    cause text,
    unique (kind, subject)
);
create index due_open on due (at, kind, subject) where parked_at is null;

create table dead_letter (
    id uuid primary key,
    topic text not null,
    partition int not null,
    record_offset bigint not null,
    recorded_at timestamptz not null,
    key bytea,
    value bytea,
    headers json not null,
    event_id uuid not null,
    cause text not null,
    detail text not null,
    state text not null default 'dead' check (state in ('dead', 'replayed', 'discarded')),
    dead_at timestamptz not null default clock_timestamp(),
    settled_at timestamptz
);
create index dead_letter_state on dead_letter (state, dead_at);

create table lease (
    name text primary key,
    holder uuid not null,
    epoch bigint not null,
    until timestamptz not null
);

create table answer (
    scope text not null,
    key text not null,
    digest bytea not null,
    body jsonb,
    made_at timestamptz not null default clock_timestamp(),
    primary key (scope, key)
);
create index answer_made_at on answer using brin (made_at);

-- migrate: rollback

drop table answer, lease, dead_letter, due, erased, inbox, log_generation, event_log, outbox;
