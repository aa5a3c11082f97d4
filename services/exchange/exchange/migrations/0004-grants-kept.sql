-- What was granted for a stay whose parties are erased: the accounts of public money have to be kept for years
-- depends: 0001-exchanges-and-companies

-- migrate: apply

-- Under the exchange's bare id, which stands on the payment as its reference; whom it was paid to, the accounts know.
create table grant_kept (
    exchange_id uuid primary key,
    host_country text not null,
    days int not null,
    allowance_cents bigint not null,
    stage text not null,
    last_day date not null
);

-- migrate: rollback

drop table grant_kept;
