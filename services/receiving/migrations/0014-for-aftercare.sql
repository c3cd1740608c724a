-- What aftercare reads: who speaks for a source and how patient it is, which units are registered, and the accepted
-- movements of serialized units, as they were told. (In JSON quotes inside a text are escaped, so no text looks like this.)

CREATE VIEW receiving.sources AS
    SELECT source, mode, patience, user_name FROM receiving.source;
COMMENT ON VIEW receiving.sources IS 'Every source that was defined.';

CREATE VIEW receiving.units_allocated AS
    SELECT source, id, company, recorded_at, allocated FROM receiving.movement
    WHERE allocated IS NOT NULL AND position('"tracking":"serial"'::bytea IN allocated) > 0;
COMMENT ON VIEW receiving.units_allocated IS 'The accepted movements of serialized units, with what was told of each.';
