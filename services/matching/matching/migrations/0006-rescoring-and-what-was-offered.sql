-- By which rules edges were scored, and what an offer said when a match was made
-- depends: 0005-spoken-and-liked

-- migrate: apply

-- A digest of all that scores go by besides the ends and the day. None until the first process starts.
create table rules (in_force text not null);
create unique index rules_one on rules ((true));
alter table edges add column rules text;

-- What makes an offer another one; the number of its places does not.
create function offered(terms jsonb) returns text language sql immutable parallel safe
    return md5((terms - 'capacity')::text);
-- None for what was made before this column, and what is known of another service alone: such a pair stays met for good.
alter table matches add column offered text;

-- The pairs that were matched and are not to be proposed again, as the offer still is what it was then.
create view met as
select placement_id, offer_id
from matches left join offers using (offer_id)
where placement_id is not null and (live or offered is null or terms is null or offered = offered(terms));

delete from interests using matches
where matches.placement_id = interests.placement_id and matches.offer_id = interests.offer_id;

-- migrate: rollback

drop view met;
alter table matches drop column offered;
drop function offered;
alter table edges drop column rules;
drop table rules;
