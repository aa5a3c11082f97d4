-- The market: companies as heard of, their placements and offers, matches, and which pairs may fit
-- depends:

-- migrate: apply

create table companies (
    company_id uuid primary key,
    revision bigint not null default 0,
    kind text,
    payload jsonb,
    withdrawn boolean not null default false
);

create table placements (
    placement_id uuid primary key,
    company_id uuid not null,
    country text not null,
    sector text not null,
    first_day date not null,
    last_day date not null,
    min_days int not null,
    max_days int not null,
    destinations text[] not null,
    working_languages text[] not null,
    skills_sought text[] not null,
    skills_brought text[] not null,
    terms jsonb not null
);
create index placements_company on placements (company_id);

create table offers (
    offer_id uuid primary key,
    company_id uuid not null,
    country text not null,
    sector text not null,
    first_day date not null,
    last_day date not null,
    min_days int not null,
    max_days int not null,
    capacity int not null,
    working_languages text[] not null,
    skills_taught text[] not null,
    skills_needed text[] not null,
    terms jsonb not null
);
create index offers_company on offers (company_id);

-- What an offer holds is counted from here under the offer's lock, and stored nowhere else: a counter could drift.
create table matches (
    match_id uuid primary key,
    state text not null default 'blank'
        check (state in ('blank', 'proposed', 'agreed', 'declined', 'cancelled', 'completed', 'erased')),
    live boolean not null generated always as (state in ('proposed', 'agreed')) stored,
    made_here boolean not null default false,
    revision bigint not null default 0,
    placement_id uuid,
    offer_id uuid,
    sender_id uuid,
    host_id uuid,
    proposed_at timestamptz,
    proposal jsonb,
    kind text,
    payload jsonb
);
-- Only what was reserved here: after a restore exchange may tell of a second one, and what it tells is true.
create unique index matches_one_live on matches (placement_id) where live and made_here;
create index matches_placement on matches (placement_id, offer_id);
create index matches_offer on matches (offer_id, live);
create index matches_sender on matches (sender_id);
create index matches_host on matches (host_id);

-- The pairs that may fit by what they say, with the days that they share: every pair that the score accepts, and a few more.
create view fit as
select placement.placement_id,
       placement.company_id as sender_id,
       offer.offer_id,
       offer.company_id as host_id,
       offer.capacity,
       greatest(placement.first_day, offer.first_day) as first_day,
       least(placement.last_day, offer.last_day) as last_day,
       greatest(placement.min_days, offer.min_days) as min_days
from placements placement
join offers offer
  on offer.country = any (placement.destinations)
 and offer.country <> placement.country
 and offer.working_languages && placement.working_languages
 and (offer.skills_taught && placement.skills_sought or offer.skills_needed && placement.skills_brought)
 and greatest(placement.min_days, offer.min_days) <= least(placement.max_days, offer.max_days);

-- migrate: rollback

drop view fit;
drop table matches, offers, placements, companies;
