"""The ledger's decisions: what is next, what it is worth, what is said of it."""
