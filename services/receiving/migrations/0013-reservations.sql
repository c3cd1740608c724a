-- Reservations: goods kept back for an order until a moment. How much that is in all stands where the goods do: of an
-- untracked item, of any batch and of serials in `bin.reserved`, of a named batch in `batch_stock.reserved`, of a named
-- unit in `serial.reserved_for` (`source:id`). So nobody reads reservations but by their names, and what has expired in
-- the bins at hand.

CREATE TABLE receiving.reservation (
    source text NOT NULL,
    id text NOT NULL,
    company text NOT NULL,
    document text,
    customer text,
    actor text,
    reason text,
    recorded_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    released_at timestamptz,
    PRIMARY KEY (source, id)
);

-- Covered by the lock of its bin. open: what it still keeps back; none, once it was delivered, released, or found to
-- have expired. Of named serials it is how many of them were not delivered. batch '' is none, or any.
CREATE TABLE receiving.reservation_line (
    source text NOT NULL,
    id text NOT NULL,
    line integer NOT NULL,
    company text NOT NULL,
    item text NOT NULL,
    warehouse text NOT NULL,
    batch text NOT NULL,
    serials text[] NOT NULL,
    quantity numeric NOT NULL CHECK (quantity > 0),
    delivered numeric NOT NULL DEFAULT 0 CHECK (delivered >= 0),
    open numeric NOT NULL CHECK (open >= 0),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (source, id, line),
    CONSTRAINT no_more_than_was_asked_for CHECK (open + delivered <= quantity)
);
CREATE INDEX reservation_line_by_expiry
    ON receiving.reservation_line (company, item, warehouse, expires_at) WHERE open > 0;

-- reserved_until: nothing that is reserved there expires before this.
ALTER TABLE receiving.bin ADD COLUMN reserved_until timestamptz NOT NULL DEFAULT 'infinity';
CREATE INDEX bin_by_expiry ON receiving.bin (reserved_until) WHERE reserved_until < 'infinity';

CREATE VIEW receiving.reservations AS
    SELECT source, id, line, reservation.company, document, customer, actor, reason, item, warehouse, batch, serials,
        quantity, delivered, open, recorded_at, reservation.expires_at, released_at
    FROM receiving.reservation JOIN receiving.reservation_line USING (source, id);
COMMENT ON VIEW receiving.reservations IS
    'The lines of all reservations. What is open of one that has expired is kept back no more, whatever stands here.';

CREATE VIEW receiving.batch_places AS
    SELECT company, item, warehouse, batch, quantity, reserved FROM receiving.batch_stock;
COMMENT ON VIEW receiving.batch_places IS
    'How much of every batch stands in which warehouse, and how much of that is reserved.';

CREATE VIEW receiving.reserved_serials AS
    SELECT company, item, warehouse, serial, reserved_for FROM receiving.serial WHERE reserved_for IS NOT NULL;
COMMENT ON VIEW receiving.reserved_serials IS
    'Units that are reserved by their names; reserved_for is `source:id` of the reservation.';
