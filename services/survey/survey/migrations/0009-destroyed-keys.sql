-- A year whose key was destroyed is remembered, so that late answers do not get another one and make one company two clusters
-- depends: 0008-pages

-- migrate: apply

create table destroyed_cluster_key (
    programme_year int primary key
);

create or replace function destroy_cluster_keys(before_year int) returns int
language plpgsql security definer set search_path = survey, pg_temp as $$
declare
    kept cluster_key[];
    gone int;
begin
    lock table cluster_key;
    insert into destroyed_cluster_key (programme_year)
    select programme_year from cluster_key where programme_year < before_year on conflict do nothing;
    select coalesce(array_agg(each) filter (where programme_year >= before_year), '{}'),
           count(*) filter (where programme_year < before_year)
    into kept, gone from cluster_key as each;
    if gone > 0 then
        truncate cluster_key;
        insert into cluster_key (programme_year, key) select programme_year, key from unnest(kept);
    end if;
    return gone;
end
$$;

-- migrate: rollback

create or replace function destroy_cluster_keys(before_year int) returns int
language plpgsql security definer set search_path = survey, pg_temp as $$
declare
    kept cluster_key[];
    gone int;
begin
    lock table cluster_key;
    select coalesce(array_agg(each) filter (where programme_year >= before_year), '{}'),
           count(*) filter (where programme_year < before_year)
    into kept, gone from cluster_key as each;
    if gone > 0 then
        truncate cluster_key;
        insert into cluster_key (programme_year, key) select programme_year, key from unnest(kept);
    end if;
    return gone;
end
$$;
drop table destroyed_cluster_key;
