"""Pure decisions of aftercare: what follows from all that is known of a unit, and which statements are refused."""
