-- What was given up is counted whenever somebody reads the metrics
-- depends: chassis-0004-log-by-topic
-- transaction: false

-- migrate: apply

drop index concurrently if exists due_parked;
create index concurrently due_parked on due (parked_at) where parked_at is not null;

-- migrate: rollback

drop index due_parked;
