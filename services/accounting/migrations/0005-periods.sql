-- Closed books: which days of a company are locked, and the numbers of its journal entries.

-- One row a company that keeps a journal or closed its books. locked_through: nothing is booked any more up to this day,
-- and on it. changes: closings and reopenings have taken effect up to this number.
CREATE TABLE accounting.books (
    company text PRIMARY KEY,
    locked_through date,
    changes bigint NOT NULL DEFAULT 0 CHECK (changes >= 0)
) WITH (fillfactor = 70);

CREATE FUNCTION accounting.keep_locks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.locked_through IS NOT NULL AND NEW.changes <= OLD.changes
        AND coalesce(NEW.locked_through < OLD.locked_through, true)
    THEN
        RAISE EXCEPTION 'the books of % are locked through %, only a reopening unlocks them', OLD.company,
            OLD.locked_through USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER keep_locks BEFORE UPDATE ON accounting.books
    FOR EACH ROW EXECUTE FUNCTION accounting.keep_locks();
CREATE TRIGGER never_forgotten BEFORE DELETE OR TRUNCATE ON accounting.books
    FOR EACH STATEMENT EXECUTE FUNCTION accounting.refuse_change();

-- Every closing (through, which ends at ends_at) and reopening (open_from), as the gate numbered them. locked_at: when the
-- closing became a lock. ended_by: the number of the reopening that ended it. waits_for_*: a movement without which it
-- cannot be locked.
CREATE TABLE accounting.period (
    company text NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    source text NOT NULL,
    id text NOT NULL,
    through date,
    ends_at timestamptz,
    open_from date,
    actor text NOT NULL CHECK (actor <> ''),
    reason text NOT NULL,
    recorded_at timestamptz NOT NULL,
    locked_at timestamptz CHECK (locked_at IS NULL OR through IS NOT NULL),
    ended_by bigint CHECK (ended_by IS NULL OR ended_by > number AND through IS NOT NULL),
    waits_for_source text,
    waits_for_id text,
    PRIMARY KEY (company, number),
    UNIQUE (source, id),
    CHECK ((through IS NULL) <> (open_from IS NULL)),
    CHECK ((through IS NULL) = (ends_at IS NULL)),
    CONSTRAINT who_reopens_says_why CHECK (open_from IS NULL OR reason <> '')
);

CREATE FUNCTION accounting.keep_periods() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.company, OLD.number, OLD.source, OLD.id, OLD.through, OLD.ends_at, OLD.open_from, OLD.actor, OLD.reason,
            OLD.recorded_at)
        IS DISTINCT FROM
        (NEW.company, NEW.number, NEW.source, NEW.id, NEW.through, NEW.ends_at, NEW.open_from, NEW.actor, NEW.reason,
            NEW.recorded_at)
        OR OLD.locked_at IS NOT NULL AND NEW.locked_at IS DISTINCT FROM OLD.locked_at
        OR OLD.ended_by IS NOT NULL AND NEW.ended_by IS DISTINCT FROM OLD.ended_by
    THEN
        RAISE EXCEPTION 'closing or reopening % of % is history: change refused', OLD.number, OLD.company
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER keep_periods BEFORE UPDATE ON accounting.period
    FOR EACH ROW EXECUTE FUNCTION accounting.keep_periods();
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON accounting.period
    FOR EACH STATEMENT EXECUTE FUNCTION accounting.refuse_change();

CREATE VIEW accounting.periods AS
SELECT period.company, period.number, period.source, period.id, period.through, period.ends_at, period.recorded_at,
    period.actor, period.reason, period.locked_at, ended.open_from AS reopened_from, ended.recorded_at AS reopened_at,
    ended.actor AS reopened_by, ended.reason AS reopened_because
FROM accounting.period LEFT JOIN accounting.period AS ended
    ON (ended.company, ended.number) = (period.company, period.ended_by)
WHERE period.through IS NOT NULL;
COMMENT ON VIEW accounting.periods IS
    'Every closing: since when it is a lock (null: not yet, or it was reopened before), and what ended it.';

-- The numbers of journal entries: 1, 2, 3 without gaps in each year (of the posting date) of a company.
CREATE TABLE accounting.journal_number (
    company text NOT NULL,
    year smallint NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    journal_entry uuid NOT NULL,
    PRIMARY KEY (company, year, number),
    UNIQUE (company, journal_entry)
);

-- Entries that have no number yet: written with each entry, taken out when it gets its number.
CREATE TABLE accounting.unnumbered (
    company text NOT NULL,
    year smallint NOT NULL,
    recorded_at timestamptz NOT NULL,
    journal_entry uuid NOT NULL,
    PRIMARY KEY (company, recorded_at, journal_entry)
);

INSERT INTO accounting.books (company) SELECT DISTINCT company FROM accounting.journal_entry;
INSERT INTO accounting.journal_number (company, year, number, journal_entry)
SELECT company, extract(year FROM posting_date),
    row_number() OVER (PARTITION BY company, extract(year FROM posting_date) ORDER BY recorded_at, journal_entry),
    journal_entry
FROM accounting.journal_entry;

CREATE FUNCTION accounting.refuse_gaps() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    gap record;
BEGIN
    SELECT company, year, min(number) AS first INTO gap FROM came GROUP BY company, year
    HAVING max(number) - min(number) + 1 <> count(*) OR min(number) > 1 AND NOT EXISTS (
        SELECT FROM accounting.journal_number AS before
        WHERE (before.company, before.year, before.number) = (came.company, came.year, min(came.number) - 1))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the numbers of journal entries have no gaps: %, %, from %', gap.company, gap.year, gap.first
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER no_gaps AFTER INSERT ON accounting.journal_number
    REFERENCING NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION accounting.refuse_gaps();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON accounting.journal_number
    FOR EACH STATEMENT EXECUTE FUNCTION accounting.refuse_change();

-- Nothing is booked on a locked day; what is booked is to be numbered.
CREATE FUNCTION accounting.keep_books() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    refused record;
BEGIN
    SELECT came.company, came.posting_date, came.source, came.id, books.locked_through INTO refused
    FROM came JOIN accounting.books USING (company)
    WHERE came.posting_date <= books.locked_through LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the books of % are locked through %: % % of % refused', refused.company,
            refused.locked_through, refused.source, refused.id, refused.posting_date
            USING ERRCODE = 'restrict_violation';
    END IF;
    INSERT INTO accounting.books (company)
    SELECT DISTINCT company FROM came
    WHERE NOT EXISTS (SELECT FROM accounting.books WHERE books.company = came.company) ORDER BY company
    ON CONFLICT (company) DO NOTHING;
    INSERT INTO accounting.unnumbered (company, year, recorded_at, journal_entry)
    SELECT company, extract(year FROM posting_date), recorded_at, journal_entry FROM came;
    RETURN NULL;
END
$$;

CREATE TRIGGER keep_books AFTER INSERT ON accounting.journal_entry
    REFERENCING NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION accounting.keep_books();

CREATE OR REPLACE VIEW accounting.journal AS
SELECT company, journal_entry, e.source, e.id, e.purpose, e.posting_date, e.effective_at, e.recorded_at, e.document,
    e.currency, t.ordinal, t.line, t.debit_account, t.credit_account, t.amount, t.ledger_entry, n.year, n.number
FROM accounting.journal_entry e LEFT JOIN accounting.transfer t USING (company, journal_entry)
LEFT JOIN accounting.journal_number n USING (company, journal_entry);
COMMENT ON VIEW accounting.journal IS
    'Every transfer of every journal entry; one row without a transfer (ordinal null) for an entry of value zero. number '
    'counts the entries of a year; null: it is given in a moment.';
