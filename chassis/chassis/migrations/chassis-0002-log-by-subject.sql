-- The log is asked what it tells of a subject: to export it, and to empty it
-- depends: chassis-0001-doors

-- migrate: apply

create index event_log_subject on event_log (subject);

-- migrate: rollback

drop index event_log_subject;
