-- When an item is to be ordered again, and what reports need to know of accounts and their roles.

-- reorder_level: at this quantity or below it is to be ordered again; reorder_quantity: no less than this at a time.
ALTER TABLE receiving.item
    ADD COLUMN reorder_level numeric CHECK (reorder_level >= 0),
    ADD COLUMN reorder_quantity numeric CHECK (reorder_quantity > 0);

CREATE OR REPLACE VIEW receiving.items AS
    SELECT company, item, name, unit, tracking, valuation_method, pick, standard_rate, shelf_life_days, warranty_days, disabled, gtin,
           attributes, reorder_level, reorder_quantity
    FROM receiving.item;

CREATE OR REPLACE VIEW receiving.companies AS
    SELECT company, name, currency, time_zone, perpetual, lateness, open_from, closed_through, roles
    FROM receiving.company;
COMMENT ON VIEW receiving.companies IS
    'Every company. roles: which account plays which role, where that is not the account of the role''s own name.';

CREATE VIEW receiving.accounts AS
    SELECT company, account, name, kind FROM receiving.account;
COMMENT ON VIEW receiving.accounts IS
    'The accounts that were defined. One of the name of a role needs no definition, and has the kind of the role.';
