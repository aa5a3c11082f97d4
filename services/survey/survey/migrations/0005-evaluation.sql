-- What the evaluation reads: numbers that are kept up with each change, so that a figure costs the same however much is stored
-- depends: 0004-answering

-- migrate: apply

alter table company add column registered_at timestamptz;
alter table exchange
    add column reached jsonb not null default '{}',
    add column days jsonb not null default '{}';

create table tally (
    kind text not null,
    cell text[] not null,
    number bigint not null,
    primary key (kind, cell)
);

-- What came since: who changes something only appends, so that nobody waits for anybody. Who reads adds it up first.
create table tally_change (
    kind text not null,
    cell text[] not null,
    number bigint not null
) with (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000);

create table tally_version (
    single boolean primary key default true check (single),
    version bigint not null
);

-- Released answers by a digest of the keyed hash that stands in the public record, for intervals that know of clusters
create table company_answers (
    questionnaire text not null,
    wave int not null,
    indicator text not null,
    company bytea not null,
    valid int not null,
    favourable int not null,
    primary key (questionnaire, wave, indicator, company)
);

-- What the public was told, step by step
create table publication (
    questionnaire text not null,
    step int not null,
    snapshot_id text not null,
    code_version text not null,
    threshold int not null,
    published_at timestamptz not null,
    released jsonb not null,
    figures text not null,
    primary key (questionnaire, step)
);

create function counted(of invitation) returns table (kind text, cell text[], number bigint)
language sql immutable strict as $$
    select 'response', array[of.wave::text, of.party, what], 1::bigint
    from (values
        ('invited', true), ('sent', of.sent_at is not null), ('started', of.started),
        ('complete', of.state = 'submitted'), ('declined', of.state = 'declined')
    ) as each(what, holds)
    where holds
$$;

create function counted(of unlinked) returns table (kind text, cell text[], number bigint)
language sql immutable strict as $$
    select 'response', array[of.wave::text, of.party, what], each.number::bigint
    from (values
        ('invited', of.invited), ('sent', of.sent), ('started', of.started),
        ('complete', of.submitted), ('declined', of.declined)
    ) as each(what, number)
$$;

create function counted(of company) returns table (kind text, cell text[], number bigint)
language sql immutable strict as $$
    select 'company', array[what], 1::bigint
    from (values ('registered', of.profile is not null), ('left', of.withdrawn)) as each(what, holds)
    where holds
    union all
    select 'places', array[of.profile->>'country', what], each.number
    from (values
        ('companies', 1::bigint),
        ('placements', jsonb_array_length(of.profile->'placements')::bigint),
        ('hosting_offers', jsonb_array_length(of.profile->'offers')::bigint),
        ('hosting_places', (
            select coalesce(sum((offer->>'capacity')::bigint), 0)::bigint
            from jsonb_array_elements(of.profile->'offers') as offers(offer)
        ))
    ) as each(what, number)
    where of.profile is not null and not of.withdrawn
    union all
    select 'places', array[destination, 'wanted'], count(*)
    from jsonb_array_elements(of.profile->'placements') as placements(placement),
        jsonb_array_elements_text(placement->'destinations') as destinations(destination)
    where not of.withdrawn
    group by destination
$$;

create function counted(of exchange) returns table (kind text, cell text[], number bigint)
language sql immutable strict as $$
    select 'exchange', array[of.furthest, of.stage], 1::bigint where of.stage is not null
    union all
    select 'flow', array[of.payload->>'sender_country', of.payload->>'host_country'], 1
    where of.event = 'ExchangeCompleted'
    union all
    select 'days', array[stage, days], 1 from jsonb_each_text(of.days) as taken(stage, days)
$$;

create function tally_what_changed() returns trigger
language plpgsql set search_path from current as $$
begin
    insert into tally_change (kind, cell, number)
    select kind, cell, sum(number)
    from (
        select kind, cell, number from counted(new)
        union all
        select kind, cell, -number from counted(old)
    ) as moved
    group by kind, cell having sum(number) <> 0;
    return null;
end
$$;

create trigger tallied after insert or update or delete on invitation for each row execute function tally_what_changed();
create trigger tallied after insert or update or delete on unlinked for each row execute function tally_what_changed();
create trigger tallied after insert or update or delete on company for each row execute function tally_what_changed();
create trigger tallied after insert or update or delete on exchange for each row execute function tally_what_changed();

insert into tally_change (kind, cell, number)
select counts.kind, counts.cell, counts.number from invitation, counted(invitation) as counts
union all select counts.kind, counts.cell, counts.number from unlinked, counted(unlinked) as counts
union all select counts.kind, counts.cell, counts.number from company, counted(company) as counts
union all select counts.kind, counts.cell, counts.number from exchange, counted(exchange) as counts;

-- migrate: rollback

drop trigger tallied on exchange;
drop trigger tallied on company;
drop trigger tallied on unlinked;
drop trigger tallied on invitation;
drop function tally_what_changed();
drop function counted(exchange);
drop function counted(company);
drop function counted(unlinked);
drop function counted(invitation);
drop table publication, company_answers, tally_version, tally_change, tally;
alter table exchange drop column reached, drop column days;
alter table company drop column registered_at;
