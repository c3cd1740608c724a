-- Closing of the books: how far each company's are closed, and who closed and reopened them, when and why.

-- closed_through: the last closed day. The books are open from the day after it, or from open_from where that is later.
-- period_changes: the number of the company's last closing or reopening.
ALTER TABLE receiving.company
    ADD COLUMN closed_through date,
    ADD COLUMN period_changes bigint NOT NULL DEFAULT 0 CHECK (period_changes >= 0);

-- Every closing (through) and reopening (open_from), with what accounting was told of it. The key has no gaps.
CREATE TABLE receiving.period_change (
    company text NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    source text NOT NULL,
    id text NOT NULL,
    kind text NOT NULL,
    through date,
    open_from date,
    actor text NOT NULL CHECK (actor <> ''),
    reason text NOT NULL,
    recorded_at timestamptz NOT NULL,
    told bytea NOT NULL,
    PRIMARY KEY (company, number),
    UNIQUE (source, id),
    CHECK ((through IS NULL) <> (open_from IS NULL)),
    CONSTRAINT who_reopens_says_why CHECK (open_from IS NULL OR reason <> '')
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON receiving.period_change
    FOR EACH STATEMENT EXECUTE FUNCTION receiving.refuse_change();

CREATE VIEW receiving.period_changes AS
    SELECT company, number, source, id, kind, through, open_from, actor, reason, recorded_at, told
    FROM receiving.period_change;
COMMENT ON VIEW receiving.period_changes IS
    'Every closing and reopening of books, with the message that was sent of each.';

CREATE VIEW receiving.accepted AS
    SELECT source, id, company, recorded_at, effective_at FROM receiving.movement WHERE allocated IS NOT NULL;
COMMENT ON VIEW receiving.accepted IS 'The movements that were accepted, and when: recorded, and effective.';

CREATE OR REPLACE VIEW receiving.companies AS
    SELECT company, name, currency, time_zone, perpetual, lateness, open_from, closed_through FROM receiving.company;
