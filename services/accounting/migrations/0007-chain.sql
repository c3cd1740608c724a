-- Tamper evidence: each journal entry is covered by a link, and the links of a company are a chain: the hash of each
-- stands on that of the one before it. docs/audit.md has every byte.
--
-- An entry is linked once it has its number, which is part of what is covered. Numbers have no gaps, so what has no
-- link yet is told by ranges of them, and a journal entry itself costs nothing more than before.

-- digest is that of the entry's content; hash = sha256(hash of the link before it, position, digest).
CREATE TABLE accounting.chain (
    company text NOT NULL,
    position bigint NOT NULL CHECK (position > 0),
    covers uuid NOT NULL,
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (company, position),
    UNIQUE (company, covers)
);

-- How far a company's chain has come: held by whoever appends to it. told_*: the last head that was published. No hash:
-- there is no link yet.
CREATE TABLE accounting.chain_head (
    company text PRIMARY KEY,
    position bigint NOT NULL DEFAULT 0 CHECK (position >= 0),
    hash bytea CHECK (octet_length(hash) = 32),
    recorded_at timestamptz,
    told_position bigint NOT NULL DEFAULT 0 CHECK (told_position >= 0 AND told_position <= position),
    told_at timestamptz NOT NULL DEFAULT '-infinity',
    CONSTRAINT a_hash_is_that_of_a_link CHECK ((position = 0) = (hash IS NULL AND recorded_at IS NULL))
) WITH (fillfactor = 70);

-- Companies whose heads somebody wants told, moved or not; until they are. Who may ask cannot keep one from being told.
CREATE TABLE accounting.head_asked (
    company text PRIMARY KEY
);

-- Numbers of a year, from the first to the last, whose entries have no link yet: written with the numbers, taken out
-- when the entries get their links.
CREATE TABLE accounting.unchained (
    company text NOT NULL,
    year smallint NOT NULL,
    first bigint NOT NULL,
    last bigint NOT NULL CHECK (last >= first),
    PRIMARY KEY (company, year, first)
);

INSERT INTO accounting.unchained (company, year, first, last)
SELECT company, year, min(number), max(number) FROM accounting.journal_number
GROUP BY company, year, (number - 1) / 1000;

CREATE FUNCTION accounting.queue_for_chain() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO accounting.unchained (company, year, first, last)
    SELECT company, year, min(number), max(number) FROM came GROUP BY company, year, (number - 1) / 1000;
    RETURN NULL;
END
$$;

CREATE TRIGGER queue_for_chain AFTER INSERT ON accounting.journal_number
    REFERENCING NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION accounting.queue_for_chain();

CREATE FUNCTION accounting.refuse_gaps_in_chain() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    gap record;
BEGIN
    SELECT company, min(position) AS first INTO gap FROM came GROUP BY company
    HAVING max(position) - min(position) + 1 <> count(*) OR min(position) > 1 AND NOT EXISTS (
        SELECT FROM accounting.chain AS before
        WHERE (before.company, before.position) = (came.company, min(came.position) - 1))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'a chain has no gaps: %, from %', gap.company, gap.first
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER no_gaps AFTER INSERT ON accounting.chain
    REFERENCING NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION accounting.refuse_gaps_in_chain();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON accounting.chain
    FOR EACH STATEMENT EXECUTE FUNCTION accounting.refuse_change();

CREATE FUNCTION accounting.keep_head() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.company <> OLD.company OR NEW.position < OLD.position
        OR NEW.position = OLD.position AND (NEW.hash, NEW.recorded_at) IS DISTINCT FROM (OLD.hash, OLD.recorded_at)
    THEN
        RAISE EXCEPTION 'the chain of % has come to %, and only grows', OLD.company, OLD.position
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER keep_head BEFORE UPDATE ON accounting.chain_head
    FOR EACH ROW EXECUTE FUNCTION accounting.keep_head();
CREATE TRIGGER never_forgotten BEFORE DELETE OR TRUNCATE ON accounting.chain_head
    FOR EACH STATEMENT EXECUTE FUNCTION accounting.refuse_change();

-- What a digest is made of, to the byte: a JSON array of texts. An entry's transfers stand behind it.
CREATE VIEW accounting.chain_content AS
SELECT company, journal_entry AS covers, recorded_at, cast(array_to_json(ARRAY[
    'journal.v1',
    company,
    cast(journal_entry AS text),
    cast(given.year AS text),
    cast(given.number AS text),
    source,
    id,
    revaluation,
    purpose,
    to_char(posting_date, 'YYYY-MM-DD'),
    to_char(effective_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    document,
    currency
] || ARRAY(
    SELECT unnest(ARRAY[
        cast(ordinal AS text), debit_account, credit_account, cast(trim_scale(amount) AS text), cast(line AS text),
        cast(ledger_entry AS text)])
    FROM accounting.transfer AS own
    WHERE (own.company, own.journal_entry) = (entry.company, entry.journal_entry) ORDER BY ordinal
)) AS text) AS content
FROM accounting.journal_entry AS entry LEFT JOIN accounting.journal_number AS given USING (company, journal_entry);
COMMENT ON VIEW accounting.chain_content IS
    'Of every journal entry the text whose SHA-256, in UTF-8, is the digest of the link that covers it.';

CREATE VIEW accounting.chain_heads AS
SELECT head.company, head.position, head.hash, head.recorded_at, head.told_position, head.told_at, coalesce((
    SELECT sum(last - first + 1) FROM accounting.unchained WHERE unchained.company = head.company), 0) AS waiting
FROM accounting.chain_head AS head;
COMMENT ON VIEW accounting.chain_heads IS
    'How far the chain of each company has come, the last head that was published, and how many entries wait for a '
    'link.';
