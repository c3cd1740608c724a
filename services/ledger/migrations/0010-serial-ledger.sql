-- What reports tell of single units.

CREATE VIEW ledger.serial_ledger AS
    SELECT company, item, serial, entry_id, cost FROM ledger.entry_serial;
COMMENT ON VIEW ledger.serial_ledger IS
    'The serials of each entry, with the cost with which each came or left, or stands after a revaluation.';
