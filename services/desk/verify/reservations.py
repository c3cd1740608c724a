"""What is reserved, as it stands in bins, of batches and on units: what the reservations come to that keep it back."""

from services.desk.verify.checking import OF_COMPANY, Question, asking

_OF = OF_COMPANY.format("")
_BIN = "company, item, warehouse"

_IN_BINS = f"""
SELECT {_BIN}, 'reserved' AS what, cast(coalesce(kept.quantity, 0) AS text) AS expected,
    cast(trim_scale(bin.reserved) AS text) AS found
FROM receiving.bin LEFT JOIN (
    SELECT {_BIN}, trim_scale(sum(quantity)) AS quantity FROM (
        SELECT {_BIN}, open AS quantity FROM receiving.reservation_line
        WHERE open > 0 AND batch = '' AND serials = '{{}}' AND {_OF}
        UNION ALL SELECT {_BIN}, 1 FROM receiving.serial WHERE reserved_for IS NOT NULL AND {_OF}
    ) AS each GROUP BY {_BIN}
) AS kept USING ({_BIN})
WHERE {_OF} AND bin.reserved <> coalesce(kept.quantity, 0)
"""
_OF_BATCHES = f"""
SELECT {_BIN}, batch, 'reserved' AS what, cast(coalesce(kept.quantity, 0) AS text) AS expected,
    cast(trim_scale(stock.reserved) AS text) AS found
FROM receiving.batch_stock AS stock LEFT JOIN (
    SELECT {_BIN}, batch, trim_scale(sum(open)) AS quantity FROM receiving.reservation_line
    WHERE open > 0 AND batch <> '' AND {_OF} GROUP BY {_BIN}, batch
) AS kept USING ({_BIN}, batch)
WHERE {_OF} AND stock.reserved <> coalesce(kept.quantity, 0)
"""
# A unit that was lost is reserved no more; whoever is reserved is so for a line that names it where it stands.
_UNITS = f"""
SELECT company, item, serial, 'reserved_for' AS what, NULL AS expected, reserved_for AS found FROM receiving.serial
WHERE reserved_for IS NOT NULL AND {_OF} AND NOT EXISTS (
    SELECT FROM receiving.reservation_line AS line
    WHERE (line.company, line.item, line.warehouse) = (serial.company, serial.item, serial.warehouse)
        AND serial.serial = ANY(serials) AND open > 0 AND reserved_for = source || ':' || id)
"""
# What expires before its bin says so is found by nobody.
_EXPIRIES = f"""
SELECT {_BIN}, 'reserved_until' AS what, cast(min(expires_at) AS text) AS expected,
    cast(reserved_until AS text) AS found
FROM receiving.reservation_line JOIN receiving.bin USING ({_BIN})
WHERE open > 0 AND expires_at < reserved_until AND {_OF}
GROUP BY {_BIN}, reserved_until
"""

reserved_is_what_is_kept_back = asking(
    Question("receiving.bin", _IN_BINS),
    Question("receiving.batch_stock", _OF_BATCHES),
    Question("receiving.serial", _UNITS),
    Question("receiving.bin", _EXPIRIES),
)
