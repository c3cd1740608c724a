"""Explaining: what the value of an entry came from, found by going through the history of its bins again."""
