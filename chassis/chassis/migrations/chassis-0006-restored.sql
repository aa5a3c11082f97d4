-- A log that was restored takes back what was published and forgotten, and the revisions that went with it
-- depends: chassis-0005-parked-work

-- migrate: apply

alter table event_log add column adopted int;
comment on column event_log.adopted is 'generation of the log in which it took its place, where that is not its own';

create table raised (
    subject uuid primary key,
    revision bigint not null
);
comment on table raised is 'added to the revisions of what is told of a subject: so far it had been told of before a restore';

-- migrate: rollback

drop table raised;
alter table event_log drop column adopted;
