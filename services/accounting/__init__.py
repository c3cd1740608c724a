"""Perpetual accounting: it books what the ledger posted as balanced transfers."""
