-- What changed on the market, for the index that each process keeps in memory; and whom searches found
-- depends: 0001-market

-- migrate: apply

-- Written in the transaction of the change, by triggers, so that nothing that touches the market can forget it. A reader goes by
-- what its snapshot shows: ids are given before the commit, so by ids alone it would pass over those that commit late.
create table changes (
    id bigint generated always as identity primary key,
    xid xid8 not null default pg_current_xact_id(),
    end_id uuid,
    at timestamptz not null default now()
);
create index changes_xid on changes (xid) include (end_id);
create index changes_at on changes using brin (at);
-- The log is never empty: its oldest row tells how far back it reaches.
insert into changes default values;

create function note_placements() returns trigger language plpgsql set search_path from current as $$
begin
    insert into changes (end_id) select placement_id from changed;
    return null;
end $$;

create function note_offers() returns trigger language plpgsql set search_path from current as $$
begin
    insert into changes (end_id) select offer_id from changed;
    return null;
end $$;

create function note_matches() returns trigger language plpgsql set search_path from current as $$
begin
    insert into changes (end_id)
    select placement_id from changed where placement_id is not null
    union
    select offer_id from changed where offer_id is not null;
    return null;
end $$;

create trigger placements_added after insert on placements
    referencing new table as changed for each statement execute function note_placements();
create trigger placements_changed after update on placements
    referencing new table as changed for each statement execute function note_placements();
create trigger placements_removed after delete on placements
    referencing old table as changed for each statement execute function note_placements();
create trigger offers_added after insert on offers
    referencing new table as changed for each statement execute function note_offers();
create trigger offers_changed after update on offers
    referencing new table as changed for each statement execute function note_offers();
create trigger offers_removed after delete on offers
    referencing old table as changed for each statement execute function note_offers();
create trigger matches_added after insert on matches
    referencing new table as changed for each statement execute function note_matches();
create trigger matches_changed after update on matches
    referencing new table as changed for each statement execute function note_matches();
-- An erased match names its ends no more: those that it named change.
create trigger matches_changed_from after update on matches
    referencing old table as changed for each statement execute function note_matches();
create trigger matches_removed after delete on matches
    referencing old table as changed for each statement execute function note_matches();

-- Of each placement and offer that was searched for, whom it fits best, best first. A row an end, since a search replaces all
-- that the one before it found.
create table edges (
    end_id uuid primary key,
    company_id uuid not null,
    others uuid[] not null,
    scores int[] not null
);
create index edges_company on edges (company_id);

-- The view ``fit`` is not asked any more. It stays for processes of the release before, until a later migration drops it.

-- migrate: rollback

drop table edges;
drop trigger matches_removed on matches;
drop trigger matches_changed_from on matches;
drop trigger matches_changed on matches;
drop trigger matches_added on matches;
drop trigger offers_removed on offers;
drop trigger offers_changed on offers;
drop trigger offers_added on offers;
drop trigger placements_removed on placements;
drop trigger placements_changed on placements;
drop trigger placements_added on placements;
drop function note_matches, note_offers, note_placements;
drop table changes;
