"""Reports of aftercare: coverage, claims, visits, custody, attributes, and the service history of a unit.

One file a report; the package is listed to find them.
"""
