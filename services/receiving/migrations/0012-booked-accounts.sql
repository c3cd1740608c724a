-- To which accounts movements book, beside those that hold stock: such an account keeps its kind, and holds no stock ever.

CREATE TABLE receiving.booked_account (
    company text NOT NULL,
    account text NOT NULL,
    PRIMARY KEY (company, account)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON receiving.booked_account
    FOR EACH STATEMENT EXECUTE FUNCTION receiving.refuse_change();

INSERT INTO receiving.booked_account (company, account)
SELECT company, account
FROM (SELECT company, convert_from(allocated, 'UTF8')::json AS told
      FROM receiving.movement WHERE allocated IS NOT NULL) AS accepted
CROSS JOIN LATERAL (
    SELECT value AS account FROM json_each_text(told -> 'accounts')
    UNION ALL SELECT cost ->> 'account' FROM json_array_elements(told -> 'additional_costs') AS cost
    UNION ALL SELECT each ->> 'account' FROM json_array_elements(told -> 'money' -> 'debits') AS each
    UNION ALL SELECT each ->> 'account' FROM json_array_elements(told -> 'money' -> 'credits') AS each
) AS named
WHERE coalesce(cast(told ->> 'perpetual' AS boolean), true)
EXCEPT SELECT company, account FROM receiving.warehouse
EXCEPT SELECT company, coalesce(roles ->> 'stock', 'stock') FROM receiving.company;

-- The gate lets neither happen; who writes past it is stopped here.
CREATE FUNCTION receiving.refuse_double_use() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM receiving.booked_account JOIN receiving.warehouse USING (company, account)
               WHERE (company, account) = (NEW.company, NEW.account)) THEN
        RAISE EXCEPTION 'the account % of % holds stock, and is booked to otherwise', NEW.account, NEW.company;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER of_stock_alone AFTER INSERT ON receiving.booked_account
    FOR EACH ROW EXECUTE FUNCTION receiving.refuse_double_use();
CREATE TRIGGER of_stock_alone AFTER INSERT OR UPDATE ON receiving.warehouse
    FOR EACH ROW EXECUTE FUNCTION receiving.refuse_double_use();
