-- The feed reads a topic on from a position of the log
-- depends: chassis-0002-log-by-subject

-- migrate: apply

create index event_log_topic on event_log (topic, position);

-- migrate: rollback

drop index event_log_topic;
