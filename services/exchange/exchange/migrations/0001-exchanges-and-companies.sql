-- Exchanges, and what is known of the companies that take part in them
-- depends:

-- migrate: apply

create table company (
    company_id uuid primary key,
    profile jsonb,
    dropped uuid[] not null default '{}',
    gone boolean not null default false,
    check (not gone or profile is null)
);

create table exchange (
    exchange_id uuid primary key,
    revision int not null default 0,
    stage text,
    sender_id uuid,
    host_id uuid,
    traveller_id uuid,
    proposal jsonb,
    accepted_by text[] not null default '{}',
    agreement jsonb,
    training_hours int not null default 0,
    ending jsonb,
    changed_at timestamptz
);
create index exchange_sender on exchange (sender_id, exchange_id);
create index exchange_host on exchange (host_id, exchange_id);
create index exchange_traveller on exchange (traveller_id, exchange_id);

-- migrate: rollback

drop table exchange, company;
