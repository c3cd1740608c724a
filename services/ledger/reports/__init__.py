"""Reports of the ledger: what is in stock, what it is worth, and the entries behind it.

One file a report; the package is listed to find them.
"""
