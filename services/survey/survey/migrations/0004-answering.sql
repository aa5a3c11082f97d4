-- Drafts, declined invitations, what people wrote in their own words, and the year whose key a later wave's clusters are made with
-- depends: 0003-unlinked

-- migrate: apply

alter table invitation
    add column started boolean not null default false,
    add column programme_year int,
    drop constraint invitation_state_check,
    add constraint invitation_state_check check (state in ('open', 'submitted', 'declined', 'closed'));
update invitation set started = true where state = 'submitted';

alter table unlinked
    add column started int not null default 0,
    add column declined int not null default 0;
update unlinked set started = submitted;

create table draft (
    invitation_id uuid primary key references invitation on delete cascade,
    answers jsonb not null
);

-- It goes with its invitation, and says of no released answer whose it was: neither has an id of the other, nor a day in common.
create table remark (
    remark_id uuid primary key,
    invitation_id uuid not null references invitation on delete cascade,
    question text not null,
    text text not null,
    readable_on date not null
);
create index remark_invitation on remark (invitation_id);

-- migrate: rollback

drop table remark, draft;
alter table unlinked drop column started, drop column declined;
update invitation set state = 'closed' where state = 'declined';
alter table invitation
    drop column started,
    drop column programme_year,
    drop constraint invitation_state_check,
    add constraint invitation_state_check check (state in ('open', 'submitted', 'closed'));
