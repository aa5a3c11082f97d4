-- The best score that each end was ever seen with, which its planner holds out for
-- depends: 0003-interests

-- migrate: apply

alter table edges add column best int not null default 0;

-- migrate: rollback

alter table edges drop column best;
