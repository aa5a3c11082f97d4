-- What is known of companies and exchanges, invitations, answers that wait, answers that were released
-- depends:

-- migrate: apply

create table company (
    company_id uuid primary key,
    profile jsonb,
    withdrawn boolean not null default false,
    erased boolean not null default false
);

create table exchange (
    exchange_id uuid primary key,
    event text,
    payload jsonb,
    stage text,
    furthest text
);

create table invitation (
    invitation_id uuid primary key,
    exchange_id uuid not null,
    party text not null,
    wave int not null,
    questionnaire text not null,
    company_id uuid not null,
    respondent_id uuid not null,
    days int not null,
    training_direction text not null,
    invited_at timestamptz not null,
    closes_at timestamptz not null,
    state text not null check (state in ('open', 'submitted', 'closed')),
    unique (exchange_id, party, wave)
);
create index invitation_company on invitation (company_id);
create index invitation_respondent on invitation (respondent_id);

create table waiting (
    invitation_id uuid primary key references invitation on delete cascade,
    answers jsonb not null
);

create table cluster_key (
    programme_year int primary key,
    key bytea not null
);

-- No id and no time of its own: nothing here leads back to an invitation, nor to the public record.
create table released (
    questionnaire text not null,
    party text not null,
    wave int not null,
    answers jsonb not null
);

-- migrate: rollback

drop table released, cluster_key, waiting, invitation, exchange, company;
