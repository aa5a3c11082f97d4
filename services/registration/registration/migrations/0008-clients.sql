-- What other systems prove themselves with where they get their tokens
-- depends: 0007-own-words

-- migrate: apply

-- The digest of 256 random bits: nobody finds them by trying.
create table client_secret (
    client text primary key,
    digest bytea not null,
    made_at timestamptz not null default clock_timestamp()
);

-- migrate: rollback

drop table client_secret;
