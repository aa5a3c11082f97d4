-- How people sign in: links that go out by e-mail, sessions with their refresh tokens, and how often one may try
-- depends: 0002-people

-- migrate: apply

-- No secret: it is made of the id and a signing key.
create table link (
    link_id uuid primary key,
    person_id uuid not null references person on delete cascade,
    purpose text not null check (purpose in ('sign_in', 'invitation', 'address')),
    email text not null,
    expires_at timestamptz not null,
    used_at timestamptz
);
create index link_person on link (person_id);
create index link_expires on link (expires_at);

-- Of a person, whose part is looked up for each token; or, with a role of its own, of somebody whom an OpenID provider knows.
create table session (
    session_id uuid primary key,
    subject uuid not null,
    person_id uuid references person on delete cascade,
    role text check (role in ('contact_point', 'operator', 'analyst')),
    country text,
    opened_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    revoked_at timestamptz,
    check ((person_id is null) = (role is not null)),
    check (person_id = subject)
);
create index session_subject on session (subject);
create index session_person on session (person_id);
create index session_ended on session (least(expires_at, revoked_at));

create table refresh_token (
    digest bytea primary key,
    session_id uuid not null references session on delete cascade,
    rotated_at timestamptz
);
create index refresh_token_session on refresh_token (session_id);

-- A bucket is a keyed hash of what is limited; one whose time has passed says nothing any more.
create table rate_limit (
    bucket text primary key,
    used_until timestamptz not null
);
create index rate_limit_used_until on rate_limit (used_until);

create table oidc_sign_in (
    sign_in_id uuid primary key,
    expires_at timestamptz not null
);
create index oidc_sign_in_expires on oidc_sign_in (expires_at);

-- migrate: rollback

drop table oidc_sign_in, rate_limit, refresh_token, session, link;
