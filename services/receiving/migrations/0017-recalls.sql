-- Recalls: which goods are recalled by which, who was told of it, and how it ended.

-- recalls: how many recalls in force keep it from leaving. was_held: it is held again when the last of them lets it go.
ALTER TABLE receiving.batch
    ADD COLUMN recalls integer NOT NULL DEFAULT 0,
    ADD COLUMN was_held boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT recalled_by_recalls CHECK ((state = 'recalled') = (recalls > 0)),
    ADD CONSTRAINT was_held_before_a_recall CHECK (recalls > 0 OR NOT was_held);
ALTER TABLE receiving.serial
    ADD COLUMN recalls integer NOT NULL DEFAULT 0,
    ADD CONSTRAINT recalls_are_counted CHECK (recalls >= 0);

-- Its row is the lock of all that belongs to it. since: when it was asked for; evidence: the SHA-256 of the file that
-- closed it; released_*: what it is about was let go, when it was closed or later.
CREATE TABLE receiving.recall (
    source text NOT NULL,
    id text NOT NULL,
    company text NOT NULL,
    mock boolean NOT NULL,
    document text,
    actor text NOT NULL,
    reason text NOT NULL,
    since timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    closed_at timestamptz,
    closed_by text,
    closed_reason text,
    evidence text,
    released_at timestamptz,
    released_by text,
    released_reason text,
    released_evidence text,
    PRIMARY KEY (source, id),
    CONSTRAINT closed_with_evidence CHECK ((closed_at IS NULL) = (evidence IS NULL)),
    CONSTRAINT released_with_evidence CHECK ((released_at IS NULL) = (released_evidence IS NULL)),
    CONSTRAINT released_when_closed CHECK (released_at IS NULL OR closed_at IS NOT NULL)
);

-- What is recalled: what it began with (named; the units of a batch too, as they were its then), and what was made of that. number: of a batch or a serial, as `tracking`
-- says; empty for untracked goods, which nobody can tell from others of their kind and which stay free.
CREATE TABLE receiving.recall_goods (
    source text NOT NULL,
    id text NOT NULL,
    company text NOT NULL,
    item text NOT NULL,
    tracking text NOT NULL CHECK (tracking IN ('none', 'serial', 'batch')),
    number text NOT NULL,
    named boolean NOT NULL,
    PRIMARY KEY (source, id, item, tracking, number),
    CONSTRAINT untracked_goods_have_no_number CHECK ((tracking = 'none') = (number = ''))
);
CREATE INDEX recall_goods_by_goods ON receiving.recall_goods (company, item, number) WHERE number <> '';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON receiving.recall_goods
    FOR EACH STATEMENT EXECUTE FUNCTION receiving.refuse_change();

-- Who was told, and what they answered, by which event.
CREATE TABLE receiving.recall_reached (
    source text NOT NULL,
    id text NOT NULL,
    by_source text NOT NULL,
    by_id text NOT NULL,
    customer text NOT NULL,
    reached_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    answer text NOT NULL,
    actor text,
    PRIMARY KEY (by_source, by_id)
);
CREATE INDEX recall_reached_of_recall ON receiving.recall_reached (source, id);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON receiving.recall_reached
    FOR EACH STATEMENT EXECUTE FUNCTION receiving.refuse_change();

CREATE VIEW receiving.recalls AS
    SELECT source, id, company, mock, document, actor, reason, since, recorded_at, closed_at, closed_by, closed_reason,
           evidence, released_at, released_by, released_reason, released_evidence,
           CASE WHEN closed_at IS NULL THEN 'open' ELSE 'closed' END AS state
    FROM receiving.recall;

CREATE VIEW receiving.recalled_goods AS
    SELECT source, id, company, item, tracking, number, named FROM receiving.recall_goods;

CREATE VIEW receiving.recalls_reached AS
    SELECT source, id, customer, reached_at, recorded_at, answer, actor, by_source, by_id FROM receiving.recall_reached;
