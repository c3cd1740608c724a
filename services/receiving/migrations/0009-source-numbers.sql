-- What sources number, and what they say that they sent: so that it can be told what did not arrive.

-- Every movement that came with a number of its source's own sequence, whatever became of it; written when it comes for
-- the first time, and never changed. quantity, net and tax are sums over its lines as they were sent.
CREATE TABLE receiving.numbered (
    source text NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    id text NOT NULL,
    recorded_at timestamptz NOT NULL,
    purpose text,
    quantity numeric NOT NULL,
    net numeric NOT NULL,
    tax numeric NOT NULL,
    PRIMARY KEY (source, number, id)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON receiving.numbered
    FOR EACH STATEMENT EXECUTE FUNCTION receiving.refuse_change();

-- Manifests that could be compared. unused: the spans of numbers that no movement has, as pairs. request: what was said.
-- due_at: when it is looked at again, null where it was answered and told. answer: the last one.
CREATE TABLE receiving.manifest (
    source text NOT NULL,
    id text NOT NULL,
    digest bytea NOT NULL,
    day date NOT NULL,
    first_number bigint NOT NULL CHECK (first_number > 0),
    last_number bigint NOT NULL,
    unused json NOT NULL,
    request bytea NOT NULL,
    trace text,
    recorded_at timestamptz NOT NULL,
    due_at timestamptz,
    answered_at timestamptz,
    result text CHECK (result IN ('agrees', 'not_accepted', 'differs')),
    answer bytea,
    PRIMARY KEY (source, id),
    CHECK (last_number >= first_number - 1),
    CHECK ((answered_at IS NULL) = (answer IS NULL) AND (answered_at IS NULL) = (result IS NULL))
);
CREATE INDEX manifest_by_day ON receiving.manifest (source, day, recorded_at);
CREATE INDEX manifest_by_due_time ON receiving.manifest (due_at) WHERE due_at IS NOT NULL;

-- Which movements of a source stand refused: few, so nobody has to look at those that do not.
CREATE INDEX movement_refused ON receiving.movement (source, id) WHERE allocated IS NULL;

CREATE VIEW receiving.numbers AS
    SELECT source, number, id, recorded_at, purpose, quantity, net, tax FROM receiving.numbered;
COMMENT ON VIEW receiving.numbers IS
    'Every movement that came with a number of its source''s own sequence, whatever became of it.';

-- The latest manifest of each day holds.
CREATE VIEW receiving.manifests AS
    SELECT DISTINCT ON (source, day) source, id, day, first_number, last_number, unused, recorded_at, answered_at, result,
        convert_from(answer, 'UTF8')::json AS answer
    FROM receiving.manifest ORDER BY source, day, recorded_at DESC, id DESC;
COMMENT ON VIEW receiving.manifests IS
    'What sources say that they sent, the latest of each day, and the last answer to it.';
