"""Which ledger entries have no link yet, and what a link of them covers; shared/chaining.py has the rest."""

from shared.chain import Chain
from shared.chaining import Chained

# An entry that is gone before it has a link is covered all the same, by the digest of nothing: so it is found to be
# missing. By OFFSET 0 each is looked up by its key, whatever the planner thinks of how many there are.
_TAKE = """
WITH taken AS (
    DELETE FROM ledger.unchained WHERE company = :company AND first IN (
        SELECT first FROM (
            SELECT first, sum(size) OVER (ORDER BY first) - size AS before
            FROM (SELECT first, size FROM ledger.unchained WHERE company = :company ORDER BY first LIMIT :limit) AS next
        ) AS counted WHERE before < :limit)
    RETURNING company, first, entries
), covered AS (
    SELECT company, first, place, entry_id
    FROM taken CROSS JOIN LATERAL unnest(entries) WITH ORDINALITY AS each (entry_id, place)
)
SELECT array_agg(cast(entry_id AS text) ORDER BY first, place),
    string_agg(sha256(convert_to(coalesce(content, ''), 'UTF8')), cast('' AS bytea) ORDER BY first, place),
    max(recorded_at)
FROM covered LEFT JOIN LATERAL (
    SELECT content, recorded_at FROM ledger.chain_content AS own
    WHERE (own.company, own.covers) = (covered.company, covered.entry_id) OFFSET 0
) AS own ON true
HAVING count(*) > 0
"""

CHAINED = Chained("ledger", Chain.LEDGER, _TAKE)
