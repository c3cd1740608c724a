"""The numbers of journal entries: 1, 2, 3 without gaps in each year of a company, and never changed.

Every entry is written with a note that it has no number yet. Whoever gives numbers holds the row of the company's
books, so there is one at a time in each company; the notes go, and the numbers come, in one transaction.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from shared.db import query, run

_TAKE_BOOKS = """
SELECT company FROM accounting.books WHERE company IN (SELECT company FROM accounting.unnumbered)
ORDER BY company FOR NO KEY UPDATE SKIP LOCKED
"""
# A statement of its own: it has to see what those left who held the books before. What was reached is looked up once: a
# look for each row would go over all the numbers that the statement itself has given.
_GIVE = """
WITH taken AS (
    DELETE FROM accounting.unnumbered WHERE (company, recorded_at, journal_entry) IN (
        SELECT company, recorded_at, journal_entry FROM accounting.unnumbered WHERE company = ANY(:company)
        ORDER BY recorded_at, journal_entry LIMIT :limit)
    RETURNING company, year, recorded_at, journal_entry
), reached AS MATERIALIZED (
    SELECT company, year, coalesce((
        SELECT max(number) FROM accounting.journal_number AS given
        WHERE (given.company, given.year) = (each.company, each.year)), 0) AS last
    FROM (SELECT DISTINCT company, year FROM taken) AS each
)
INSERT INTO accounting.journal_number (company, year, number, journal_entry)
SELECT company, year, last + row_number() OVER (PARTITION BY company, year ORDER BY recorded_at, journal_entry),
    journal_entry
FROM taken JOIN reached USING (company, year)
"""


def take_books(connection: Connection) -> Sequence[str]:
    """The companies that have entries without a number, and whose books nobody else holds; they are held now."""
    return [row.company for row in query(connection, _TAKE_BOOKS)]


def give_numbers(connection: Connection, companies: Sequence[str], limit: int) -> int:
    """Number the entries that were recorded first, `limit` at most, of companies whose books are held; how many."""
    return run(connection, _GIVE, company=list(companies), limit=limit) if companies else 0
