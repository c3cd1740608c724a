-- What a movement was worth may turn out otherwise: then it has further journal entries, which correct the first.

-- revaluation: by which revaluation of the ledger the entry corrects its movement; null: what the movement itself booked.
-- Each books a movement once.
ALTER TABLE accounting.journal_entry
    ADD COLUMN revaluation text CHECK (revaluation <> ''),
    DROP CONSTRAINT journal_entry_source_id_key,
    ADD CONSTRAINT each_books_a_movement_once UNIQUE NULLS NOT DISTINCT (source, id, revaluation);

-- waits_for_source and waits_for_id name a movement or a revaluation that is not booked; waits_for_item and
-- waits_for_warehouse a bin that is still to be valued anew.
ALTER TABLE accounting.period
    ADD COLUMN waits_for_item text,
    ADD COLUMN waits_for_warehouse text,
    ADD CONSTRAINT waits_for_one_thing CHECK (waits_for_id IS NULL OR waits_for_item IS NULL);

CREATE OR REPLACE VIEW accounting.journal AS
SELECT company, journal_entry, e.source, e.id, e.purpose, e.posting_date, e.effective_at, e.recorded_at, e.document,
    e.currency, t.ordinal, t.line, t.debit_account, t.credit_account, t.amount, t.ledger_entry, n.year, n.number,
    e.revaluation
FROM accounting.journal_entry e LEFT JOIN accounting.transfer t USING (company, journal_entry)
LEFT JOIN accounting.journal_number n USING (company, journal_entry);
COMMENT ON VIEW accounting.journal IS
    'Every transfer of every journal entry; one row without a transfer (ordinal null) for an entry of value zero. number '
    'counts the entries of a year; null: it is given in a moment. revaluation: by which the entry corrects its movement; '
    'null: it is what the movement itself booked.';

CREATE OR REPLACE VIEW accounting.debit_credit AS
SELECT company, journal_entry, e.source, e.id, e.purpose, e.posting_date, e.effective_at, e.recorded_at, e.document,
    t.line, side.account, side.debit, side.credit, t.ledger_entry, t.ordinal, e.revaluation
FROM accounting.journal_entry e JOIN accounting.transfer t USING (company, journal_entry)
CROSS JOIN LATERAL (
    VALUES (t.debit_account, t.amount, 0::numeric), (t.credit_account, 0::numeric, t.amount)
) side (account, debit, credit);
