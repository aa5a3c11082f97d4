-- Drafts and what is decided upon, the contact points' queue, the chain of decisions, what VIES said
-- depends: 0002-people

-- migrate: apply

alter table company
    add column status text not null default 'admitted' check (status in (
        'draft', 'submitted', 'needs_changes', 'admitted', 'rejected', 'withdrawn', 'excluded')),
    add column draft jsonb,
    add column said jsonb,
    add column basis int not null default 0,
    add column decisions int not null default 0,
    add column last_hash text not null default '',
    alter column profile drop not null,
    alter column name drop not null;
alter table company alter column status set default 'draft';
-- What was registered before there were rules is as it was declared; the rules see it when it is changed.
update company set
    status = case withdrawn when 'left' then 'withdrawn' when 'excluded' then 'excluded' else 'admitted' end,
    basis = revision,
    profile = profile - 'size_class' || jsonb_build_object('resting', '{}'::jsonb, 'enterprise', jsonb_build_object(
        'claimed', profile -> 'size_class', 'accounts', '[]'::jsonb, 'related', '[]'::jsonb, 'vat', null,
        'learning_only', true));
update company set said = profile;
alter table company drop column withdrawn;

create table review (
    company_id uuid primary key references company,
    country text not null,
    revision int not null,
    unclear jsonb not null,
    since timestamptz not null
);
create index review_queue on review (country, since, company_id);
create index review_oldest on review (since, company_id);

create table decision (
    company_id uuid not null,
    number int not null,
    content text not null,
    hash text not null,
    primary key (company_id, number)
);
comment on table decision is 'insert-only';
create function decision_is_insert_only() returns trigger language plpgsql as $$
begin
    raise exception 'decisions are only added, never altered or removed' using errcode = 'insufficient_privilege';
end
$$;
create trigger decision_is_insert_only before update or delete or truncate on decision
    for each statement execute function decision_is_insert_only();

create table decision_words (
    company_id uuid not null,
    number int not null,
    salt text not null,
    words jsonb not null,
    primary key (company_id, number),
    foreign key (company_id, number) references decision
);

create table vat_check (
    number text primary key,
    outcome text not null check (outcome in ('valid', 'invalid')),
    checked_at timestamptz not null default clock_timestamp()
);
create index vat_check_age on vat_check (checked_at);

-- migrate: rollback

drop table vat_check, decision_words, decision, review;
drop function decision_is_insert_only;
alter table company add column withdrawn text;
update company set withdrawn = case status when 'withdrawn' then 'left' when 'excluded' then 'excluded' end;
delete from person where company_id in (select company_id from company where profile is null);
delete from company where profile is null;
update company set name = coalesce(name, ''),
    profile = profile - 'enterprise' - 'resting' || jsonb_build_object('size_class', profile #> '{enterprise,claimed}');
alter table company
    drop column status, drop column draft, drop column said, drop column basis, drop column decisions, drop column last_hash,
    alter column profile set not null, alter column name set not null;
