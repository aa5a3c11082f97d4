-- How many were asked and answered whose invitations are erased: numbers that lead back to nobody
-- depends: 0002-sent

-- migrate: apply

create table unlinked (
    party text not null,
    wave int not null,
    invited int not null,
    sent int not null,
    submitted int not null,
    never_released int not null,
    primary key (party, wave)
);
create index exchange_parties on exchange using gin (
    (array[payload->>'sender_id', payload->>'host_id', payload->>'traveller_id'])
);

-- migrate: rollback

drop index exchange_parties;
drop table unlinked;
