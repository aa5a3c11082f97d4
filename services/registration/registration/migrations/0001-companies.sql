-- Companies with what they say about themselves, and the people whom they send
-- depends:

-- migrate: apply

create table company (
    company_id uuid primary key,
    revision int not null,
    name text not null,
    profile jsonb not null,
    withdrawn text,
    registered_at timestamptz not null
);

create table traveller (
    traveller_id uuid primary key,
    company_id uuid not null references company,
    name text not null
);
create index traveller_company on traveller (company_id);

-- migrate: rollback

drop table traveller, company;
