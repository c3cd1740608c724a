"""The messages: what travels between upstreams, services and listeners, version 1.

Every message is a CloudEvent in JSON (`envelope`); its `data` is one of the structs here, found by the event's type
(`registry`). A struct's fields are the contract: unknown extra fields are ignored, wrong ones are refused with
their path.
"""
