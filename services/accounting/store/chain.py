"""Which journal entries have no link yet, and what a link of them covers; shared/chaining.py has the rest.

An entry is linked when it has its number, and numbers have no gaps: what has no link yet is told by ranges of them.
"""

from shared.chain import Chain
from shared.chaining import Chained

# An entry that is gone before it has a link is covered all the same, by the digest of nothing: so it is found to be
# missing. By OFFSET 0 each is looked up by its key, whatever the planner thinks of how many there are.
_TAKE = """
WITH taken AS (
    DELETE FROM accounting.unchained WHERE company = :company AND (year, first) IN (
        SELECT year, first FROM (
            SELECT year, first, sum(last - first + 1) OVER (ORDER BY year, first) - (last - first + 1) AS before
            FROM (
                SELECT year, first, last FROM accounting.unchained WHERE company = :company
                ORDER BY year, first LIMIT :limit) AS next
        ) AS counted WHERE before < :limit)
    RETURNING company, year, first, last
), covered AS (
    SELECT given.company, given.year, given.number, given.journal_entry
    FROM taken JOIN accounting.journal_number AS given
        ON given.company = taken.company AND given.year = taken.year AND given.number BETWEEN taken.first AND taken.last
)
SELECT array_agg(cast(journal_entry AS text) ORDER BY year, number) AS covers,
    string_agg(sha256(convert_to(coalesce(content, ''), 'UTF8')), cast('' AS bytea) ORDER BY year, number) AS digests,
    max(recorded_at) AS recorded_at
FROM covered LEFT JOIN LATERAL (
    SELECT content, recorded_at FROM accounting.chain_content AS own
    WHERE (own.company, own.covers) = (covered.company, covered.journal_entry) OFFSET 0
) AS own ON true
HAVING count(*) > 0
"""

CHAINED = Chained("accounting", Chain.JOURNAL, _TAKE)
