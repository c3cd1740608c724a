-- The account of the broker that alone speaks for a source; none: whoever may publish at all.

ALTER TABLE receiving.source ADD COLUMN user_name text CHECK (user_name <> '');
