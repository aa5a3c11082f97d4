-- A destroyed key is gone from the table's file, and its year is remembered: late answers get no other key, which would make one company two
-- depends: 0006-sink

-- migrate: apply

create table destroyed_cluster_key (
    programme_year int primary key
);

-- As the schema's owner, since the runtime role may not truncate. A deleted row's bytes would stay in their page, which nothing cleans in
-- so small a table.
create function destroy_cluster_keys(before_year int) returns int
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

drop function destroy_cluster_keys;
drop table destroyed_cluster_key;
