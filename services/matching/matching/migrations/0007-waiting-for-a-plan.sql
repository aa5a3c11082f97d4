-- Since when the market waits for a plan: one row at most
-- depends: 0006-rescoring-and-what-was-offered

-- migrate: apply

create table plan_asked (
    single boolean primary key default true check (single),
    at timestamptz not null
);

-- migrate: rollback

drop table plan_asked;
