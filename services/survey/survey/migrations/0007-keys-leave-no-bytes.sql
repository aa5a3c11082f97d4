-- A destroyed key is gone from the table's file: a deleted row's bytes would stay in their page, and nothing cleans so small a table
-- depends: 0006-sink

-- migrate: apply

-- As the schema's owner, since the runtime role may not truncate.
create function destroy_cluster_keys(before_year int) returns int
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

-- migrate: rollback

drop function destroy_cluster_keys;
