-- What was paid is kept when its exchange is forgotten: the accounts of public money have to be, for years
-- depends: 0003-payments-checklists-and-certificates

-- migrate: apply

-- Under the exchange's bare id. A payee who is erased is named by the accounts alone, to which the payment's id is the reference.
alter table payment drop constraint payment_exchange_id_fkey, alter column payee_id drop not null;
create index payment_payee on payment (payee_id);

-- migrate: rollback

drop index payment_payee;
delete from payment where payee_id is null or exchange_id not in (select exchange_id from exchange);
alter table payment
    alter column payee_id set not null,
    add constraint payment_exchange_id_fkey foreign key (exchange_id) references exchange on delete cascade;
