-- Who speaks for a company and who travels, with where they are written to
-- depends: 0001-companies

-- migrate: apply

alter table traveller rename to person;
alter table person rename column traveller_id to person_id;
alter index traveller_company rename to person_company;
alter table person
    add column part text not null default 'traveller' check (part in ('admin', 'member', 'traveller')),
    add column email text not null default '',
    add column reads text not null default 'en' check (reads in ('en', 'it', 'de', 'fr'));
alter table person alter column part drop default, alter column email drop default, alter column reads drop default;
create index person_email on person (email);

-- migrate: rollback

drop index person_email;
delete from person where part <> 'traveller';
alter table person drop column part, drop column email, drop column reads;
alter index person_company rename to traveller_company;
alter table person rename column person_id to traveller_id;
alter table person rename to traveller;
