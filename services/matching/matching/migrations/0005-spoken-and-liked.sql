-- What the index is built from and the terms hold: parsed once, when they are written, and not whenever a process starts
-- depends: 0004-aspirations

-- migrate: apply

-- Working languages with the rank of their best level, as ``en4``.
create function spoken(terms jsonb) returns text[] language sql immutable parallel safe return array(
    select (each->>'language') || max(array_position(array['A1', 'A2', 'B1', 'B2', 'C1', 'C2'], each->>'level') - 1)
    from jsonb_array_elements(terms->'languages') as each
    where each->>'level' >= 'B1'
    group by each->>'language'
);
create function liked(terms jsonb) returns text[] language sql immutable parallel safe return array(
    select distinct jsonb_array_elements_text(terms->'preferred_sectors')
);
alter table placements
    add column spoken text[] not null generated always as (spoken(terms)) stored,
    add column liked text[] not null generated always as (liked(terms)) stored;
alter table offers
    add column spoken text[] not null generated always as (spoken(terms)) stored,
    add column liked text[] not null generated always as (liked(terms)) stored;

-- migrate: rollback

alter table offers drop column liked, drop column spoken;
alter table placements drop column liked, drop column spoken;
drop function liked, spoken;
