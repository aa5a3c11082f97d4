-- When an invitation was sent, as registration tells: that the mail server accepted it does not say that it arrived
-- depends: 0001-survey

-- migrate: apply

alter table invitation
    add column notice_id uuid,
    add column sent_at timestamptz,
    add column sent_revision int not null default 0;
create unique index invitation_notice on invitation (notice_id);

-- migrate: rollback

alter table invitation drop column notice_id, drop column sent_at, drop column sent_revision;
