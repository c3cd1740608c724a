-- Bins in which an accepted movement cannot be applied for a reason that trying again does not cure. It waits, with its
-- stamps, and all that come after it in these bins wait behind it; everything else goes on. Deleting the rows has it
-- tried again.

CREATE TABLE ledger.stuck (
    company text NOT NULL,
    item text NOT NULL,
    warehouse text NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    reason text NOT NULL,
    error text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (company, item, warehouse)
);

CREATE VIEW ledger.stuck_bins AS
SELECT company, item, warehouse, source, id, reason, error, since,
    (SELECT count(*) FROM ledger.waiting_stamp
     WHERE (waiting_stamp.company, waiting_stamp.item, waiting_stamp.warehouse) =
         (stuck.company, stuck.item, stuck.warehouse)) AS waiting
FROM ledger.stuck;
COMMENT ON VIEW ledger.stuck_bins IS 'The bins that an operator has to look at, and how many movements wait there.';

CREATE VIEW ledger.waiters AS
SELECT waiting_stamp.company, waiting_stamp.item, waiting_stamp.warehouse, stamp, last_stamp, source, id
FROM ledger.waiting_stamp JOIN ledger.bin USING (company, item, warehouse);
COMMENT ON VIEW ledger.waiters IS 'The movements that arrived before their turn, in each of their bins.';
