-- Accounting: which movements were booked, and their journal entries as sets of transfers.
--
-- A transfer takes an amount above zero from one account to another: an entry balances by construction, no
-- constraint over several rows is needed. What is booked is never changed: a correction is another entry.

CREATE SCHEMA accounting;

-- The inbox: a movement whose key stands here has been booked. `outputs` is what was said of it, to be said again when
-- it is delivered again; null where its company keeps no perpetual accounting.
CREATE TABLE accounting.movement (
    source text NOT NULL,
    id text NOT NULL,
    company text NOT NULL,
    recorded_at timestamptz NOT NULL,
    outputs bytea,
    PRIMARY KEY (source, id)
);

CREATE TABLE accounting.journal_entry (
    company text NOT NULL,
    journal_entry uuid NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    purpose text NOT NULL,
    posting_date date NOT NULL,
    effective_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    document text,
    currency text NOT NULL,
    PRIMARY KEY (company, journal_entry),
    UNIQUE (source, id)
);

-- No foreign key to journal_entry: both are written by one transaction, and checking each row costs more than writing it.
-- The upper limit refuses NaN and infinity, which are greater than any number.
CREATE TABLE accounting.transfer (
    company text NOT NULL,
    journal_entry uuid NOT NULL,
    ordinal integer NOT NULL CHECK (ordinal > 0),
    debit_account text NOT NULL CHECK (debit_account <> ''),
    credit_account text NOT NULL CHECK (credit_account <> ''),
    amount numeric NOT NULL CHECK (amount > 0 AND amount < 1e15),
    line integer,
    ledger_entry uuid,
    PRIMARY KEY (company, journal_entry, ordinal)
);

CREATE TABLE accounting.parked (
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
    last_seen timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION accounting.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%.% is append-only: % refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON accounting.journal_entry
    FOR EACH STATEMENT EXECUTE FUNCTION accounting.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON accounting.transfer
    FOR EACH STATEMENT EXECUTE FUNCTION accounting.refuse_change();

CREATE VIEW accounting.journal AS
SELECT company, journal_entry, e.source, e.id, e.purpose, e.posting_date, e.effective_at, e.recorded_at, e.document,
    e.currency, t.ordinal, t.line, t.debit_account, t.credit_account, t.amount, t.ledger_entry
FROM accounting.journal_entry e LEFT JOIN accounting.transfer t USING (company, journal_entry);
COMMENT ON VIEW accounting.journal IS
    'Every transfer of every journal entry; one row without a transfer (ordinal null) for an entry of value zero.';

CREATE VIEW accounting.debit_credit AS
SELECT company, journal_entry, e.source, e.id, e.purpose, e.posting_date, e.effective_at, e.recorded_at, e.document,
    t.line, side.account, side.debit, side.credit, t.ledger_entry, t.ordinal
FROM accounting.journal_entry e JOIN accounting.transfer t USING (company, journal_entry)
CROSS JOIN LATERAL (
    VALUES (t.debit_account, t.amount, 0::numeric), (t.credit_account, 0::numeric, t.amount)
) side (account, debit, credit);
COMMENT ON VIEW accounting.debit_credit IS 'The classical view: a debit line and a credit line of each transfer.';

CREATE VIEW accounting.trial_balance AS
SELECT company, side.account, sum(side.debit) AS debit, sum(side.credit) AS credit,
    sum(side.debit - side.credit) AS balance
FROM accounting.transfer t
CROSS JOIN LATERAL (
    VALUES (t.debit_account, t.amount, 0::numeric), (t.credit_account, 0::numeric, t.amount)
) side (account, debit, credit)
GROUP BY company, side.account;
COMMENT ON VIEW accounting.trial_balance IS
    'All debits, all credits and their difference, by company and account; the balances of a company add up to zero.';
