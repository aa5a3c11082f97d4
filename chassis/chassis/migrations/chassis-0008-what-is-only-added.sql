-- The log, and the ids of who was erased, are added to and never taken back: whoever gets hold of a service cannot, either
-- depends: chassis-0006-restored

-- migrate: apply

-- Erasing somebody empties the data of what was said of them; who is erased is told under a lock of the whole table.
comment on table event_log is 'insert-only, but for update (data)';
comment on table erased is 'insert-only, but for maintain';

-- migrate: rollback

comment on table event_log is null;
comment on table erased is null;
