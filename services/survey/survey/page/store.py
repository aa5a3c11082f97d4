"""The pages of what was published: SQL."""

from collections.abc import Mapping

from chassis.transaction import Transaction


async def save_pages(tx: Transaction, questionnaire: str, step: int, pages: Mapping[str, str]) -> None:
    """Pages by language; those that are there already stay as they are."""
    await tx.connection.executemany(
        "insert into publication_page (questionnaire, step, language, page) values ($1, $2, $3, $4) on conflict do nothing",
        [(questionnaire, step, language, page) for language, page in pages.items()],
    )


async def last_page(tx: Transaction, questionnaire: str | None, language: str) -> str | None:
    """Of the last publication that was drawn, of a questionnaire or of any; None while there is none."""
    return await tx.connection.fetchval(
        "select page from publication_page join publication using (questionnaire, step)"
        " where ($1::text is null or questionnaire = $1) and language = $2 order by published_at desc, step desc limit 1",
        questionnaire,
        language,
    )
