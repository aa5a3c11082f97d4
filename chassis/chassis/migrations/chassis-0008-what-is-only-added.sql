-- The log, and the ids of who was erased, are added to and never taken back: whoever gets hold of a service cannot, either
-- depends: chassis-0005-parked-work

-- migrate: apply

comment on table event_log is 'insert-only, but for data';
comment on table erased is 'insert-only';

-- migrate: rollback

comment on table event_log is null;
comment on table erased is null;
