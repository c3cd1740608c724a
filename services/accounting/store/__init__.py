"""Accounting's tables: the journal with its inbox, its numbers, and the periods that are closed."""
