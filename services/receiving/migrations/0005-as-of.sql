-- What reports of an earlier time look up.

CREATE VIEW receiving.serial_event AS
SELECT stay.company, item, serial, from_at AS effective_at, from_tie AS tie, warehouse, source, id, purpose, recorded_at
FROM receiving.stay JOIN receiving.movement ON (source, id) = (in_source, in_id)
UNION ALL
SELECT stay.company, item, serial, until_at, until_tie, NULL, source, id, purpose, recorded_at
FROM receiving.stay JOIN receiving.movement ON (source, id) = (out_source, out_id);
COMMENT ON VIEW receiving.serial_event IS
    'Every arrival of a serial in a warehouse, and every departure from one (warehouse null), by which movement. Of one '
    'effective_at and tie, the departure comes first.';
