"""Conformance: recorded histories played through the services, and what came of them compared with the record.

`scenario` reads the files, `translate` turns a scenario into events, `playing` publishes them and reads what came of
it, `compare` says what differs. Translating and comparing are pure.
"""
