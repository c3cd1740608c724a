"""The stock ledger: it posts allocated movements, values them, and revalues what a late one changes."""
