-- Whether somebody said themselves what they are called and where they are written to: then their company does not
-- depends: 0006-erasures

-- migrate: apply

alter table person add column own_words boolean not null default false;

-- migrate: rollback

alter table person drop column own_words;
