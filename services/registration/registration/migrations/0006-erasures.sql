-- Who was to be forgotten, by the bare id, and which services have
-- depends: 0005-notices

-- migrate: apply

create table erasure (
    erasure_id uuid primary key,
    kind text not null check (kind in ('person', 'company')),
    erased_id uuid not null unique,
    requested_at timestamptz not null
);

create table erasure_answer (
    erasure_id uuid not null references erasure,
    service text not null,
    done_at timestamptz not null,
    primary key (erasure_id, service)
);

-- migrate: rollback

drop table erasure_answer, erasure;
