-- Agreements in versions, what is known of stays, the days that travellers are promised, and alerts
-- depends: 0001-exchanges-and-companies

-- migrate: apply

alter table exchange
    drop column training_hours,
    add column amendment jsonb,
    add column stay jsonb not null default '{}',
    add column sender_country text generated always as (proposal ->> 'sender_country') stored,
    add column host_country text generated always as (proposal ->> 'host_country') stored;
create index exchange_sender_country on exchange (sender_country, exchange_id);
create index exchange_host_country on exchange (host_country, exchange_id);

-- Versions that another one replaced; those that are in force or being signed stand with their exchange.
create table former_version (
    exchange_id uuid not null references exchange on delete cascade,
    version int not null,
    agreement jsonb not null,
    primary key (exchange_id, version)
);

-- Days of stays that are agreed and have not ended. A person is the range of one id: such a range has an index method of its
-- own, an id alone would need an extension.
create type people as range (subtype = uuid);
create table held_days (
    exchange_id uuid not null references exchange on delete cascade,
    traveller_id uuid not null,
    sender_id uuid not null,
    offer_id uuid not null,
    days daterange not null,
    constraint one_place_at_a_time exclude using gist (people(traveller_id, traveller_id, '[]') with &&, days with &&)
);
create index held_days_exchange on held_days (exchange_id);
create index held_days_sender on held_days (sender_id);
create index held_days_offer on held_days (offer_id);

create table alert (
    alert_id uuid primary key,
    exchange_id uuid not null references exchange on delete cascade,
    raised_by text not null,
    raised_at timestamptz not null,
    sender_country text not null,
    host_country text not null,
    acknowledged_by text[] not null default '{}'
);
create index alert_exchange on alert (exchange_id);
create index alert_sender_country on alert (sender_country, alert_id);
create index alert_host_country on alert (host_country, alert_id);

-- migrate: rollback

drop table alert, held_days, former_version;
drop type people;
alter table exchange
    drop column sender_country, drop column host_country, drop column amendment, drop column stay,
    add column training_hours int not null default 0;
