-- What people are to be told by e-mail, and what became of each mail; addresses and texts are made anew for every attempt
-- depends: 0004-sessions

-- migrate: apply

create table notice (
    notice_id uuid primary key,
    asked_by text not null,
    recipient_id uuid not null,
    template text not null,
    parameters jsonb not null,
    asked_at timestamptz not null,
    revision int not null default 0,
    outcome text check (outcome in ('accepted', 'refused')),
    reason text,
    answered_at timestamptz
);
create index notice_recipient on notice (recipient_id);
create index notice_refused on notice (asked_at, notice_id) where outcome = 'refused';

-- No foreign key to person: who is erased is no longer written to, and what became of the mail stays known.
create table mail (
    notice_id uuid not null references notice on delete cascade,
    person_id uuid not null,
    state text not null default 'waiting' check (state in ('waiting', 'accepted', 'refused')),
    reason text,
    tried_since timestamptz not null default clock_timestamp(),
    answered_at timestamptz,
    primary key (notice_id, person_id)
);
create index mail_person on mail (person_id);
create index mail_refused on mail (notice_id) where state = 'refused';

-- migrate: rollback

drop table mail, notice;
