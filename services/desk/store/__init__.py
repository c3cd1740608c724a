"""What the desk reads of the services' tables: how far things are, what came of them, and what needs a person."""

from services.desk.store.progress import (
    CompanyValue,
    Outcome,
    companies_of_warehouse,
    is_revaluing,
    missing_migrations,
    outcomes,
    stock_values,
    unfinished,
)

__all__ = [
    "CompanyValue",
    "Outcome",
    "companies_of_warehouse",
    "is_revaluing",
    "missing_migrations",
    "outcomes",
    "stock_values",
    "unfinished",
]
