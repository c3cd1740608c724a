-- The gate: masters, what stock there is and where, and every movement's outcome with the outputs that were sent.

CREATE SCHEMA receiving;

-- Masters ---------------------------------------------------------------------------------------------------------

CREATE TABLE receiving.company (
    company text PRIMARY KEY,
    name text NOT NULL,
    currency text NOT NULL,
    time_zone text NOT NULL,
    perpetual boolean NOT NULL,
    lateness integer NOT NULL,
    open_from date,
    issue_expired boolean NOT NULL,
    roles json NOT NULL DEFAULT '{}'
);

CREATE TABLE receiving.account (
    company text NOT NULL,
    account text NOT NULL,
    name text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('asset', 'liability', 'equity', 'income', 'expense')),
    PRIMARY KEY (company, account)
);

CREATE TABLE receiving.source (
    source text PRIMARY KEY,
    mode text NOT NULL CHECK (mode IN ('request', 'fact')),
    patience integer NOT NULL
);

CREATE TABLE receiving.item (
    company text NOT NULL,
    item text NOT NULL,
    name text NOT NULL,
    unit text NOT NULL,
    units json NOT NULL,
    whole_units boolean NOT NULL,
    tracking text NOT NULL CHECK (tracking IN ('none', 'serial', 'batch')),
    serial_series text CHECK (serial_series IS NULL OR tracking = 'serial'),
    batch_series text CHECK (batch_series IS NULL OR tracking = 'batch'),
    create_batches_on_receipt boolean NOT NULL,
    valuation_method text NOT NULL CHECK (valuation_method IN ('fifo', 'lifo', 'moving_average')),
    standard_rate numeric CHECK (standard_rate >= 0),
    shelf_life_days integer,
    warranty_days integer,
    pick text NOT NULL CHECK (pick IN ('fefo', 'fifo', 'lifo', 'explicit')),
    allow_negative_stock boolean NOT NULL CHECK (NOT allow_negative_stock OR tracking = 'none'),
    reuse_serials boolean NOT NULL,
    disabled boolean NOT NULL,
    gtin text,
    attributes json NOT NULL,
    PRIMARY KEY (company, item)
);

CREATE TABLE receiving.warehouse (
    company text NOT NULL,
    warehouse text NOT NULL,
    name text NOT NULL,
    parent text,
    kind text NOT NULL CHECK (kind IN ('store', 'transit', 'quarantine')),
    account text NOT NULL,
    PRIMARY KEY (company, warehouse)
);
-- A movement that names no company takes that of its warehouses.
CREATE INDEX warehouse_by_code ON receiving.warehouse (warehouse);

-- Stock: what allocation judges by --------------------------------------------------------------------------------

-- A bin is one item in one warehouse. last_stamp numbers its movements; rated: a rate is known there.
CREATE TABLE receiving.bin (
    company text NOT NULL,
    item text NOT NULL,
    warehouse text NOT NULL,
    quantity numeric NOT NULL DEFAULT 0 CHECK (quantity >= 0),
    reserved numeric NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    last_stamp bigint NOT NULL DEFAULT 0 CHECK (last_stamp >= 0),
    last_at timestamptz NOT NULL DEFAULT '-infinity',
    last_recorded_at timestamptz NOT NULL DEFAULT '-infinity',
    rated boolean NOT NULL DEFAULT false,
    PRIMARY KEY (company, item, warehouse)
);

-- entered_*: the batch's first entry into the company since it last left, which is what FIFO goes by.
CREATE TABLE receiving.batch (
    company text NOT NULL,
    item text NOT NULL,
    batch text NOT NULL CHECK (batch <> ''),
    manufactured_on date,
    manufactured_at text,
    expires_on date,
    supplier text,
    supplier_batch text,
    attributes json NOT NULL DEFAULT '{}',
    state text NOT NULL DEFAULT 'free' CHECK (state IN ('free', 'held', 'recalled')),
    entered_at timestamptz,
    entered_stamp bigint,
    entered_line integer,
    PRIMARY KEY (company, item, batch)
);

CREATE TABLE receiving.batch_stock (
    company text NOT NULL,
    item text NOT NULL,
    warehouse text NOT NULL,
    batch text NOT NULL,
    quantity numeric NOT NULL CHECK (quantity >= 0),
    reserved numeric NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    PRIMARY KEY (company, item, warehouse, batch)
);
CREATE INDEX batch_stock_by_batch ON receiving.batch_stock (company, item, batch);

-- A serialized unit: where it is now, or null when it is nowhere in stock. (last_at, last_tie) is its last event.
CREATE TABLE receiving.serial (
    company text NOT NULL,
    item text NOT NULL,
    serial text NOT NULL CHECK (serial <> ''),
    status text NOT NULL CHECK (status IN ('inactive', 'active', 'in_transit', 'held', 'delivered', 'in_use', 'consumed',
        'returned_to_supplier', 'scrapped', 'missing')),
    warehouse text,
    batch text,
    supplier text,
    supplier_document text,
    customer text,
    customer_document text,
    warranty_until date,
    end_of_life date,
    custodian text,
    place text,
    attributes json NOT NULL DEFAULT '{}',
    reserved_for text,
    entered_at timestamptz,
    entered_stamp bigint,
    entered_line integer,
    entered_place integer,
    last_at timestamptz,
    last_tie integer,
    PRIMARY KEY (company, item, serial),
    CHECK ((warehouse IS NULL) = (status NOT IN ('active', 'in_transit', 'held'))),
    CHECK (warehouse IS NULL OR entered_at IS NOT NULL)
);
CREATE INDEX serial_in_pick_order
    ON receiving.serial (company, item, warehouse, entered_at, entered_stamp, entered_line, entered_place, serial)
    WHERE warehouse IS NOT NULL;

-- A serial's stays in warehouses. The keys keep it from beginning, or ending, two stays at once.
CREATE TABLE receiving.stay (
    company text NOT NULL,
    item text NOT NULL,
    serial text NOT NULL,
    from_at timestamptz NOT NULL,
    from_tie integer NOT NULL,
    until_at timestamptz NOT NULL DEFAULT 'infinity',
    until_tie integer NOT NULL DEFAULT 0,
    warehouse text NOT NULL,
    in_source text NOT NULL,
    in_id text NOT NULL,
    out_source text,
    out_id text,
    PRIMARY KEY (company, item, serial, from_at, from_tie),
    UNIQUE (company, item, serial, until_at, until_tie),
    CHECK ((from_at, from_tie) < (until_at, until_tie)),
    CHECK ((until_at = 'infinity') = (out_id IS NULL))
);

-- The stock of a serialized item is the count of its serials: a bin's quantity follows them, nothing else writes it.
CREATE FUNCTION receiving.count_new_serials() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    missing integer;
BEGIN
    WITH change AS (
        SELECT company, item, warehouse, count(*) AS units FROM came WHERE warehouse IS NOT NULL
        GROUP BY company, item, warehouse
    ), counted AS (
        UPDATE receiving.bin SET quantity = bin.quantity + change.units FROM change
        WHERE (bin.company, bin.item, bin.warehouse) = (change.company, change.item, change.warehouse)
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM change) - (SELECT count(*) FROM counted) INTO missing;
    IF missing > 0 THEN
        RAISE EXCEPTION 'a serial stands in a bin that does not exist' USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION receiving.count_moved_serials() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    missing integer;
BEGIN
    WITH change AS (
        SELECT company, item, warehouse, sum(unit) AS units FROM (
            SELECT company, item, warehouse, 1 AS unit FROM came
            UNION ALL SELECT company, item, warehouse, -1 FROM went
        ) AS moved
        WHERE warehouse IS NOT NULL
        GROUP BY company, item, warehouse HAVING sum(unit) <> 0
    ), counted AS (
        UPDATE receiving.bin SET quantity = bin.quantity + change.units FROM change
        WHERE (bin.company, bin.item, bin.warehouse) = (change.company, change.item, change.warehouse)
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM change) - (SELECT count(*) FROM counted) INTO missing;
    IF missing > 0 THEN
        RAISE EXCEPTION 'a serial stands in a bin that does not exist' USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER count_new AFTER INSERT ON receiving.serial
    REFERENCING NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION receiving.count_new_serials();
CREATE TRIGGER count_moved AFTER UPDATE ON receiving.serial
    REFERENCING OLD TABLE AS went NEW TABLE AS came
    FOR EACH STATEMENT EXECUTE FUNCTION receiving.count_moved_serials();

-- The counter behind each text that numbers are made from.
CREATE TABLE receiving.series (
    company text NOT NULL,
    prefix text NOT NULL,
    last bigint NOT NULL DEFAULT 0 CHECK (last >= 0),
    PRIMARY KEY (company, prefix)
);

-- Inboxes: what was asked, and the outputs that answer it ----------------------------------------------------------

CREATE TABLE receiving.movement (
    source text NOT NULL,
    id text NOT NULL,
    digest bytea NOT NULL,
    company text,
    purpose text,
    recorded_at timestamptz NOT NULL,
    effective_at timestamptz,
    allocated bytea,
    outcome bytea NOT NULL,
    attempt integer NOT NULL DEFAULT 1,
    PRIMARY KEY (source, id),
    CHECK ((allocated IS NULL) = (effective_at IS NULL))
);

CREATE TABLE receiving.definition (
    source text NOT NULL,
    id text NOT NULL,
    kind text NOT NULL,
    digest bytea NOT NULL,
    accepted boolean NOT NULL,
    recorded_at timestamptz NOT NULL,
    outcome bytea NOT NULL,
    PRIMARY KEY (source, id)
);

CREATE TABLE receiving.parked (
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

-- What people and the services behind may read ----------------------------------------------------------------------

CREATE VIEW receiving.allocated AS
    SELECT source, id, company, recorded_at, allocated FROM receiving.movement WHERE allocated IS NOT NULL;

CREATE VIEW receiving.outcome AS
    SELECT source, id, 'movement.requested' AS kind, allocated IS NOT NULL AS accepted, company, purpose, recorded_at,
           effective_at, convert_from(outcome, 'UTF8')::json AS outcome
    FROM receiving.movement
    UNION ALL
    SELECT source, id, kind, accepted, NULL, NULL, recorded_at, NULL, convert_from(outcome, 'UTF8')::json
    FROM receiving.definition;

CREATE VIEW receiving.stock AS
    SELECT company, item, warehouse, quantity, reserved, last_stamp FROM receiving.bin;

CREATE VIEW receiving.serial_status AS
    SELECT company, item, serial, status, warehouse, batch, supplier, supplier_document, customer, customer_document,
           warranty_until, end_of_life, custodian, place, attributes
    FROM receiving.serial;

CREATE VIEW receiving.batch_status AS
    SELECT company, item, batch, state, manufactured_on, manufactured_at, expires_on, supplier, supplier_batch, attributes,
           coalesce((SELECT sum(quantity) FROM receiving.batch_stock AS stock
                     WHERE (stock.company, stock.item, stock.batch) = (batch.company, batch.item, batch.batch)), 0) AS quantity
    FROM receiving.batch;

CREATE VIEW receiving.warehouses AS
    SELECT company, warehouse, name, parent, kind, account FROM receiving.warehouse;

CREATE VIEW receiving.items AS
    SELECT company, item, name, unit, tracking, valuation_method, pick, standard_rate, shelf_life_days, warranty_days, disabled, gtin,
           attributes
    FROM receiving.item;

CREATE VIEW receiving.companies AS
    SELECT company, name, currency, time_zone, perpetual, lateness, open_from FROM receiving.company;
