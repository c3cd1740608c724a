-- Tamper evidence: each entry is covered by a link, and the links of a company are a chain: the hash of each stands on
-- that of the one before it. Whoever changes, removes or inserts an entry behind the services' back contradicts a link;
-- whoever makes the links anew contradicts the heads that were published. docs/audit.md has every byte.

-- digest is that of the entry's content; hash = sha256(hash of the link before it, position, digest).
CREATE TABLE ledger.chain (
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
CREATE TABLE ledger.chain_head (
    company text PRIMARY KEY,
    position bigint NOT NULL DEFAULT 0 CHECK (position >= 0),
    hash bytea CHECK (octet_length(hash) = 32),
    recorded_at timestamptz,
    told_position bigint NOT NULL DEFAULT 0 CHECK (told_position >= 0 AND told_position <= position),
    told_at timestamptz NOT NULL DEFAULT '-infinity',
    CONSTRAINT a_hash_is_that_of_a_link CHECK ((position = 0) = (hash IS NULL AND recorded_at IS NULL))
) WITH (fillfactor = 70);

-- Companies whose heads somebody wants told, moved or not; until they are. Who may ask cannot keep one from being told.
CREATE TABLE ledger.head_asked (
    company text PRIMARY KEY
);

-- Entries that have no link yet: one row for all that a statement appended, taken out when they get their links.
CREATE TABLE ledger.unchained (
    company text NOT NULL,
    first uuid NOT NULL,
    size integer NOT NULL CHECK (size > 0),
    entries uuid[] NOT NULL,
    PRIMARY KEY (company, first)
);
-- Ids hardly compress: trying to would cost more than it saves.
ALTER TABLE ledger.unchained ALTER COLUMN entries SET STORAGE EXTERNAL;

INSERT INTO ledger.unchained (company, first, size, entries)
SELECT company, entries[1], cardinality(entries), entries FROM (
    SELECT company, array_agg(entry_id ORDER BY place) AS entries FROM (
        SELECT company, entry_id, row_number() OVER (PARTITION BY company ORDER BY recorded_at, entry_id) - 1 AS place
        FROM ledger.entry) AS placed
    GROUP BY company, place / 1000) AS portion;

CREATE FUNCTION ledger.queue_for_chain() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger.unchained (company, first, size, entries)
    SELECT company, entries[1], cardinality(entries), entries
    FROM (SELECT company, array_agg(entry_id) AS entries FROM came GROUP BY company) AS together;
    RETURN NULL;
END
$$;

CREATE TRIGGER queue_for_chain AFTER INSERT ON ledger.entry
    REFERENCING NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION ledger.queue_for_chain();

CREATE FUNCTION ledger.refuse_gaps() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    gap record;
BEGIN
    SELECT company, min(position) AS first INTO gap FROM came GROUP BY company
    HAVING max(position) - min(position) + 1 <> count(*) OR min(position) > 1 AND NOT EXISTS (
        SELECT FROM ledger.chain AS before
        WHERE (before.company, before.position) = (came.company, min(came.position) - 1))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'a chain has no gaps: %, from %', gap.company, gap.first
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER no_gaps AFTER INSERT ON ledger.chain
    REFERENCING NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_gaps();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.chain
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

CREATE FUNCTION ledger.keep_head() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE TRIGGER keep_head BEFORE UPDATE ON ledger.chain_head
    FOR EACH ROW EXECUTE FUNCTION ledger.keep_head();
CREATE TRIGGER never_forgotten BEFORE DELETE OR TRUNCATE ON ledger.chain_head
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

-- What a digest is made of, to the byte: a JSON array of texts. Its serials stand behind an entry, each with item and
-- cost.
CREATE VIEW ledger.chain_content AS
SELECT company, entry_id AS covers, recorded_at, cast(array_to_json(ARRAY[
    'entry.v1',
    company,
    cast(entry_id AS text),
    source,
    id,
    purpose,
    cast(line AS text),
    item,
    warehouse,
    batch,
    cast(stamp AS text),
    cast(revaluation AS text),
    cast(ordinal AS text),
    cast(trim_scale(quantity) AS text),
    cast(trim_scale(value) AS text),
    cast(trim_scale(worth) AS text),
    cast(trim_scale(quantity_after) AS text),
    cast(trim_scale(value_after) AS text),
    cast(trim_scale(rate) AS text),
    to_char(effective_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    to_char(posting_date, 'YYYY-MM-DD'),
    to_char(dated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    document,
    currency,
    cast(original AS text),
    cast(part_of AS text),
    CASE WHEN true_up THEN 'true' ELSE 'false' END,
    cast(booked AS text)
] || ARRAY(
    SELECT unnest(ARRAY[serial, own.item, cast(trim_scale(cost) AS text)]) FROM ledger.entry_serial AS own
    WHERE (own.company, own.entry_id) = (entry.company, entry.entry_id)
    ORDER BY serial COLLATE "C", own.item COLLATE "C"
)) AS text) AS content
FROM ledger.entry;
COMMENT ON VIEW ledger.chain_content IS
    'Of every entry the text whose SHA-256, in UTF-8, is the digest of the link that covers it.';

CREATE VIEW ledger.chain_heads AS
SELECT head.company, head.position, head.hash, head.recorded_at, head.told_position, head.told_at, coalesce((
    SELECT sum(size) FROM ledger.unchained WHERE unchained.company = head.company), 0) AS waiting
FROM ledger.chain_head AS head;
COMMENT ON VIEW ledger.chain_heads IS
    'How far the chain of each company has come, the last head that was published, and how many entries wait for a '
    'link.';
