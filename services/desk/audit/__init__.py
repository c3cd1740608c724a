"""Tamper evidence as people see it: the export of an audit file, its check by itself, and the check of the tables."""

from services.desk.store.chains import BrokenLink, broken_links

__all__ = ["BrokenLink", "broken_links"]
