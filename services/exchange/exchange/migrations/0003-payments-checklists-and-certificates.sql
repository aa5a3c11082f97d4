-- What is paid for a stay, what has to be done before it, and the code that its certificate is verified with
-- depends: 0002-agreements-and-stays

-- migrate: apply

create table payment (
    payment_id uuid primary key,
    exchange_id uuid not null references exchange on delete cascade,
    payee_id uuid not null,
    kind text not null,
    amount_cents int not null check (amount_cents <> 0),
    due_day date not null,
    unique (exchange_id, kind)
);
create index payment_due on payment (due_day, payment_id);

create table checklist_item (
    exchange_id uuid references exchange on delete cascade,
    item text,
    deadline date not null,
    sender_country text not null,
    host_country text not null,
    done_by text,
    done_at timestamptz,
    reminded_on date,
    over boolean not null default false,
    primary key (exchange_id, item),
    check ((done_by is null) = (done_at is null))
);
create index checklist_item_open on checklist_item (deadline, exchange_id, item) where done_at is null and not over;

create table certificate (
    exchange_id uuid primary key references exchange on delete cascade,
    code text not null unique
);

-- migrate: rollback

drop table certificate, checklist_item, payment;
