-- Scanned codes: an item is found by its GTIN, however many digits of it were given; a serial and a batch by their
-- number alone.
CREATE INDEX item_by_gtin ON receiving.item (company, lpad(gtin, 14, '0')) WHERE gtin IS NOT NULL;
CREATE INDEX serial_by_number ON receiving.serial (company, serial);
CREATE INDEX batch_by_number ON receiving.batch (company, batch);
