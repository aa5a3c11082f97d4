"""A migration that the former release could not live with is refused before it lands."""

from pathlib import Path

import pytest

from tests.deploy.former import REPOSITORY, later_migrations
from tests.deploy.migration_rules import broken_rules


def migration(sql: str, header: str = "") -> str:
    head = f"-- Something\n-- depends: 0001-first\n{header}\n"
    return f"{head}-- migrate: apply\n\n{sql}\n\n-- migrate: rollback\n\ndrop table company;\n"


@pytest.mark.parametrize("file", later_migrations(), ids=lambda file: f"{file.parents[1].name}-{file.stem}")
def test_each_migration_since_the_former_release_keeps_the_rules(file: Path):
    assert list(broken_rules(file.read_text())) == []


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        ("drop table company;", "ban-drop-table"),
        ("alter table company drop column name;", "ban-drop-column"),
        ("alter table company rename column name to title;", "renaming-column"),
        ("alter table company rename to firm;", "renaming-table"),
        ("alter table company alter column name set not null;", "adding-not-nullable-field"),
        ("alter table company add column number int not null;", "adding-required-field"),
        ("alter table company add column id uuid default gen_random_uuid();", "adding-field-with-default"),
        ("alter table company alter column number type bigint;", "changing-column-type"),
        ("alter table company alter column number drop not null;", "ban-drop-not-null"),
        ("alter table company add constraint positive check (number > 0);", "constraint-missing-not-valid"),
        ("create index company_name on company (name);", "require-concurrent-index-creation"),
        ("drop index company_name;", "require-concurrent-index-deletion"),
        ("create table (;", "syntax-error"),
        ("-- squawk-ignore ban-drop-table\ndrop table company;", "no-reason"),
    ],
)
def test_what_the_former_release_could_not_live_with_is_refused(sql: str, rule: str):
    assert rule in list(broken_rules(migration(sql)))


@pytest.mark.parametrize(
    ("sql", "header"),
    [
        ("create table firm (id uuid primary key, company_id uuid references company);", ""),
        ("create table firm (id uuid primary key, name text);\ncreate index firm_name on firm (name);", ""),
        ("alter table company add column own_words boolean not null default false;", ""),
        ("alter table company add constraint positive check (number > 0) not valid;", ""),
        ("create index concurrently company_name on company (name);", "-- transaction: false\n"),
        (
            "-- contract: since 1.2 nothing reads it\n-- squawk-ignore ban-drop-column\nalter table company drop column name;",
            "",
        ),
    ],
)
def test_what_adds_something_is_taken_and_so_is_an_exception_with_its_reason(sql: str, header: str):
    assert list(broken_rules(migration(sql, header))) == []


def test_the_former_release_is_named_with_migrations_that_are_there():
    assert (REPOSITORY / "deploy" / "upgrades" / "former.toml").exists()
    assert all(file.exists() for file in later_migrations())
