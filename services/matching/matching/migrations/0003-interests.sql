-- Whom companies ask for themselves, and since when somebody waits
-- depends: 0002-changes-and-edges

-- migrate: apply

-- A pair that one side wants, whose slot somebody else has: tried first as soon as it is free.
create table interests (
    placement_id uuid not null,
    offer_id uuid not null,
    side text not null check (side in ('sender', 'host')),
    at timestamptz not null,
    primary key (placement_id, offer_id)
);
create index interests_offer on interests (offer_id);

-- Programme time of the first word of it; null for what was there before this column.
alter table placements add column since timestamptz;
alter table offers add column since timestamptz;

-- migrate: rollback

alter table offers drop column since;
alter table placements drop column since;
drop table interests;
