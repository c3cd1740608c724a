-- What reports of an earlier time add up.

CREATE VIEW ledger.batch_ledger AS
SELECT company, item, warehouse, batch, entry.quantity, entry.value, effective_at, recorded_at
FROM ledger.entry JOIN ledger.bin_batch USING (company, item, warehouse, batch);
COMMENT ON VIEW ledger.batch_ledger IS
    'The entries of items that are kept in batches; where serials name a batch, they count for no batch.';
