"""The numbers by which everything is kept in order have no gaps: stamps, corrections and pieces in each bin, journals.

The gate's messages say which movement has which stamp, also where it takes one and moves nothing. The ledger has
applied a bin's movements up to its last stamp, and no other.
"""

from collections.abc import Iterator

from sqlalchemy import Connection

from services.desk.verify.bodies import answered
from services.desk.verify.checking import OF_COMPANY, Finding, Question, Scope, ask, asking

OF = OF_COMPANY.format("")
_BIN = "company, item, warehouse"

_STAMPED = f"""
stamped AS (
    SELECT accepted.company, item, warehouse, stamp, count(*) AS times, bool_or(outputs IS NOT NULL) AS is_posted
    FROM receiving.movement AS accepted LEFT JOIN ledger.movement AS posted USING (source, id)
    CROSS JOIN LATERAL json_to_recordset(cast(convert_from(allocated, 'UTF8') AS json) -> 'stamps')
        AS each (item text, warehouse text, stamp bigint)
    WHERE allocated IS NOT NULL AND {OF_COMPANY.format("accepted.")}
    GROUP BY accepted.company, item, warehouse, stamp
), counted AS (
    SELECT {_BIN}, count(*) AS stamps, min(stamp) AS first, max(stamp) AS last, max(times) AS times,
        count(*) FILTER (WHERE is_posted) AS posted, max(stamp) FILTER (WHERE is_posted) AS last_posted
    FROM stamped GROUP BY {_BIN}
)"""
_GATE = f"""
WITH {_STAMPED}
SELECT {_BIN}, what, expected, found
FROM counted
FULL JOIN (SELECT * FROM receiving.bin WHERE last_stamp > 0 AND {OF}) AS bin USING ({_BIN})
LEFT JOIN ledger.bin AS posted_to USING ({_BIN})
CROSS JOIN LATERAL (VALUES
    ('last_stamp', cast(coalesce(last, 0) AS text), cast(bin.last_stamp AS text),
        bin.last_stamp IS DISTINCT FROM coalesce(last, 0)),
    ('stamps', concat('1 to ', last, ', each once'),
        concat(stamps, ' from ', first, CASE WHEN times > 1 THEN ', one more than once' END),
        stamps <> last OR first <> 1 OR times > 1),
    ('last_stamp in the ledger', cast(coalesce(last_posted, 0) AS text), cast(posted_to.last_stamp AS text),
        coalesce(posted_to.last_stamp, 0) <> coalesce(last_posted, 0)),
    ('stamps posted', concat('1 to ', last_posted), cast(posted AS text), posted <> last_posted)
) AS part (what, expected, found, is_wrong)
WHERE is_wrong
"""
_PIECES = f"""
SELECT {_BIN}, what, expected, found
FROM (SELECT * FROM ledger.bin WHERE {OF}) AS bin
FULL JOIN (
    SELECT {_BIN}, count(*) AS pieces, max(number) AS last FROM ledger.revaluation WHERE {OF} GROUP BY {_BIN}
) AS told USING ({_BIN})
CROSS JOIN LATERAL (VALUES
    ('pieces', cast(coalesce(last, 0) AS text), cast(bin.pieces AS text),
        bin.pieces IS DISTINCT FROM coalesce(last, 0)),
    ('numbers of revaluations', concat('1 to ', last), concat(told.pieces, ' of them'), told.pieces <> last)
) AS part (what, expected, found, is_wrong)
WHERE is_wrong
"""
_CORRECTIONS = f"""
SELECT {_BIN}, 'numbers of corrections' AS what, concat('1 to ', max(revaluation)) AS expected,
    concat(count(DISTINCT revaluation), ' of them') AS found
FROM ledger.entry WHERE revaluation > 0 AND {OF} GROUP BY {_BIN}
HAVING count(DISTINCT revaluation) <> max(revaluation)
"""
_NUMBERS = f"""
SELECT company, year, 'numbers' AS what, concat('1 to ', max(number)) AS expected,
    concat(count(DISTINCT number), ' from ', min(number)) AS found
FROM accounting.journal_number WHERE {OF} GROUP BY company, year
HAVING count(DISTINCT number) <> max(number) OR min(number) <> 1
"""
_NUMBERED = f"""
SELECT company, journal_entry, what, expected, found
FROM (SELECT * FROM accounting.journal_entry WHERE {OF}) AS entry
FULL JOIN (SELECT company, journal_entry, year, number FROM accounting.journal_number WHERE {OF}) AS given
    USING (company, journal_entry)
FULL JOIN (SELECT company, journal_entry, year AS noted_year FROM accounting.unnumbered WHERE {OF}) AS noted
    USING (company, journal_entry)
CROSS JOIN LATERAL (VALUES
    ('journal entry', 'one', 'nothing', entry.source IS NULL),
    ('number', 'one, or a note that it has none yet', 'both', number IS NOT NULL AND noted_year IS NOT NULL),
    ('number', 'one, or a note that it has none yet', 'neither', number IS NULL AND noted_year IS NULL),
    ('year', cast(extract(year FROM posting_date) AS text), cast(coalesce(year, noted_year) AS text),
        coalesce(year, noted_year) <> extract(year FROM posting_date))
) AS part (what, expected, found, is_wrong)
WHERE is_wrong AND (entry.source IS NULL OR (number IS NULL) = (noted_year IS NULL)
    OR coalesce(year, noted_year) <> extract(year FROM posting_date))
"""


def stamps_have_no_gaps(connection: Connection, scope: Scope) -> Iterator[Finding]:
    """In each bin the stamps are 1 to the last, each of one movement; so are the numbers of what changed its past."""
    yield from answered(connection, scope, Question("receiving.bin", _GATE))
    yield from ask(connection, scope, Question("ledger.bin", _PIECES))
    yield from ask(connection, scope, Question("ledger.entry", _CORRECTIONS))


journal_is_numbered = asking(
    Question("accounting.journal_number", _NUMBERS), Question("accounting.journal_number", _NUMBERED)
)
