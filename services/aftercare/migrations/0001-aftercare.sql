-- Aftercare: what is known of units beside their stock life, and by what they are covered. Facts only ever grow: the
-- movements of units, and the statements about them. All else follows from these.

CREATE SCHEMA aftercare;

-- Facts -----------------------------------------------------------------------------------------------------------

-- The inbox of movements: one whose key stands here has been taken in.
CREATE TABLE aftercare.movement (
    source text NOT NULL,
    id text NOT NULL,
    company text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (source, id)
);

-- A unit that has moved, or of which something was said; whoever adds to its facts locks its row. changes: how often what
-- covers it was told.
CREATE TABLE aftercare.unit (
    company text NOT NULL,
    item text NOT NULL,
    serial text NOT NULL CHECK (serial <> ''),
    has_moved boolean NOT NULL,
    changes bigint NOT NULL DEFAULT 0 CHECK (changes >= 0),
    PRIMARY KEY (company, item, serial)
);

-- What a movement did to a unit: the warehouse that it left, that to which it came, or both.
CREATE TABLE aftercare.move (
    company text NOT NULL,
    item text NOT NULL,
    serial text NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    purpose text NOT NULL,
    effective_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    day date NOT NULL,
    stamp bigint NOT NULL CHECK (stamp > 0),
    left_from text,
    came_to text,
    party text,
    document text,
    actor text,
    warranty_days integer CHECK (warranty_days >= 0),
    PRIMARY KEY (company, item, serial, source, id),
    CHECK (left_from IS NOT NULL OR came_to IS NOT NULL)
);

-- Movements that were cancelled, and by which: they may be told before what they cancel.
CREATE TABLE aftercare.cancelled (
    source text NOT NULL,
    id text NOT NULL,
    by_source text NOT NULL,
    by_id text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (source, id)
);

-- Statements that were accepted, as they were made. day: that of happened_at in the company's time zone. remarks: what the
-- source was told. other_*: the unit that replaced this one, where it says so.
CREATE TABLE aftercare.statement (
    source text NOT NULL,
    id text NOT NULL,
    kind text NOT NULL,
    company text NOT NULL,
    item text NOT NULL,
    serial text NOT NULL,
    happened_at timestamptz NOT NULL,
    day date NOT NULL,
    recorded_at timestamptz NOT NULL,
    said bytea NOT NULL,
    remarks bytea NOT NULL,
    claim text,
    other_item text,
    other_serial text,
    PRIMARY KEY (source, id),
    CHECK ((other_item IS NULL) = (other_serial IS NULL))
);
CREATE INDEX statement_by_unit ON aftercare.statement (company, item, serial);
CREATE UNIQUE INDEX one_claim_of_a_name ON aftercare.statement (company, claim) WHERE kind = 'claim.opened.v1';
CREATE UNIQUE INDEX replaces_one_unit ON aftercare.statement (company, other_item, other_serial)
    WHERE other_serial IS NOT NULL;

CREATE FUNCTION aftercare.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%.% is append-only: % refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON aftercare.move
    FOR EACH STATEMENT EXECUTE FUNCTION aftercare.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON aftercare.cancelled
    FOR EACH STATEMENT EXECUTE FUNCTION aftercare.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON aftercare.statement
    FOR EACH STATEMENT EXECUTE FUNCTION aftercare.refuse_change();

-- What follows: by what each unit is covered as it is known now ------------------------------------------------------

CREATE TABLE aftercare.cover (
    company text NOT NULL,
    item text NOT NULL,
    serial text NOT NULL,
    ordinal integer NOT NULL CHECK (ordinal > 0),
    kind text NOT NULL CHECK (kind IN ('manufacturer', 'seller', 'extension', 'service_contract')),
    reference text NOT NULL,
    first_day date NOT NULL,
    last_day date,
    terms text NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    inherited_item text,
    inherited_from text,
    PRIMARY KEY (company, item, serial, ordinal),
    CHECK (last_day >= first_day)
);

-- Units whose coverage may have changed, and is still to be told: of a movement of very many, beyond the first of them.
CREATE TABLE aftercare.untold (
    company text NOT NULL,
    item text NOT NULL,
    serial text NOT NULL,
    PRIMARY KEY (company, item, serial)
);

-- Answers, and who waits for one ------------------------------------------------------------------------------------

-- The inbox of statements: what was asked, and the answer.
CREATE TABLE aftercare.answer (
    source text NOT NULL,
    id text NOT NULL,
    kind text NOT NULL,
    digest bytea NOT NULL,
    accepted boolean NOT NULL,
    company text,
    recorded_at timestamptz NOT NULL,
    outcome bytea NOT NULL,
    PRIMARY KEY (source, id)
);

CREATE TABLE aftercare.waiting (
    source text NOT NULL,
    id text NOT NULL,
    kind text NOT NULL,
    digest bytea NOT NULL,
    request bytea NOT NULL,
    trace text,
    lacks text[] NOT NULL,
    since timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    deadline timestamptz NOT NULL,
    PRIMARY KEY (source, id)
);
CREATE INDEX waiting_by_due_time ON aftercare.waiting (due_at);
CREATE INDEX waiting_by_lack ON aftercare.waiting USING gin (lacks);

-- What hangs on no unacknowledged input: told of coverage, and answers to those who waited.
CREATE TABLE aftercare.outbox (
    source text NOT NULL,
    id text NOT NULL,
    kind text NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (source, id, kind)
);

-- A replay that is due, one row at most: as in accounting.replay.
CREATE TABLE aftercare.replay (
    is_due boolean PRIMARY KEY DEFAULT true CHECK (is_due),
    since timestamptz NOT NULL DEFAULT now(),
    began_at timestamptz NOT NULL DEFAULT now(),
    source text NOT NULL DEFAULT '',
    id text NOT NULL DEFAULT '',
    found bigint NOT NULL DEFAULT 0
);

CREATE TABLE aftercare.parked (
    parked_id uuid PRIMARY KEY,
    reason text NOT NULL,
    error text NOT NULL,
    kind text,
    source text,
    id text,
    headers json NOT NULL,
    body bytea NOT NULL,
    times integer NOT NULL DEFAULT 1,
    first_seen timestamptz NOT NULL DEFAULT now(),
    last_seen timestamptz NOT NULL DEFAULT now(),
    discarded_at timestamptz,
    discarded_by text CHECK (discarded_by <> ''),
    discarded_because text CHECK (discarded_because <> ''),
    CONSTRAINT who_discards_says_why CHECK (
        (discarded_at IS NULL) = (discarded_by IS NULL) AND (discarded_at IS NULL) = (discarded_because IS NULL))
);

CREATE TABLE aftercare.parked_edit (
    parked_id uuid NOT NULL,
    edited_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL CHECK (actor <> ''),
    because text NOT NULL CHECK (because <> ''),
    body_before bytea NOT NULL,
    body_after bytea NOT NULL,
    PRIMARY KEY (parked_id, edited_at)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON aftercare.parked_edit
    FOR EACH STATEMENT EXECUTE FUNCTION aftercare.refuse_change();

-- What people may read ------------------------------------------------------------------------------------------------

CREATE VIEW aftercare.coverage AS
    SELECT company, item, serial, kind, reference, first_day, last_day, terms, source, id, inherited_item, inherited_from
    FROM aftercare.cover;
COMMENT ON VIEW aftercare.coverage IS 'By what every unit is covered, as it is known now; a day without end is null.';

CREATE VIEW aftercare.outcome AS
    SELECT source, id, kind, accepted, company, recorded_at, convert_from(outcome, 'UTF8')::json AS outcome
    FROM aftercare.answer;
COMMENT ON VIEW aftercare.outcome IS 'The answer to every statement.';

CREATE VIEW aftercare.waiters AS
    SELECT source, id, kind, lacks, since, due_at, deadline FROM aftercare.waiting;
COMMENT ON VIEW aftercare.waiters IS 'Statements that wait for what they know of, and what that is.';

CREATE VIEW aftercare.units AS
    SELECT company, item, serial, has_moved FROM aftercare.unit;
COMMENT ON VIEW aftercare.units IS 'Every unit that has moved, or of which something was said.';

CREATE VIEW aftercare.moves AS
    SELECT company, item, serial, source, id, purpose, effective_at, move.recorded_at, day, stamp, left_from, came_to, party,
        document, actor, warranty_days, by_source, by_id, cancelled.recorded_at AS cancelled_at
    FROM aftercare.move LEFT JOIN aftercare.cancelled USING (source, id);
COMMENT ON VIEW aftercare.moves IS 'What every movement did to each of its units, and by which it was cancelled.';

CREATE VIEW aftercare.statements AS
    SELECT source, id, kind, company, item, serial, happened_at, day, recorded_at,
        convert_from(said, 'UTF8')::json AS said, convert_from(remarks, 'UTF8')::json AS remarks, claim, other_item,
        other_serial
    FROM aftercare.statement;
COMMENT ON VIEW aftercare.statements IS
    'Every statement that was accepted, as it was made. other_item, other_serial: the unit that replaced the one it is about.';
