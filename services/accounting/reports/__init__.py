"""Reports of accounting: the journal and what it adds up to.

One file a report; the package is listed to find them.
"""
