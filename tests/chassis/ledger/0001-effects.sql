-- What the handlers of these tests leave behind
-- depends:

-- migrate: apply

create table effect (
    place bigint generated always as identity primary key,
    subject uuid not null,
    note text not null,
    number int not null default 0
);

-- migrate: rollback

drop table effect;
