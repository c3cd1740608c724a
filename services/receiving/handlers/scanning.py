"""Scanned codes of requested movements, read before anything is locked: what they mean says what must be."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from services.receiving.decide.case import Limits, Request
from services.receiving.decide.scanning import Codes, fill_in, has_scans, note_named, wanted
from services.receiving.store.scanning import companies_of, load_codes


def read_scans(connection: Connection, requests: Sequence[Request], limits: Limits) -> list[Request]:
    """The requests, with the fields that their codes hold in place of the codes; nearly always there are none."""
    scanned = {
        (each.source, each.id): each.movement
        for each in requests
        if each.movement is not None and has_scans(each.movement)
    }
    if not scanned:
        return list(requests)
    companies = companies_of(connection, scanned)
    named = [each.movement for each in requests if each.movement is not None]
    codes: dict[str, Codes] = {}
    for company in sorted(set(companies.values())):
        plain, gtins = wanted({key: scanned[key] for key, owner in companies.items() if owner == company})
        codes[company] = load_codes(connection, company, plain, gtins)
        note_named(named, plain, codes[company], limits.serials)
    return [_read(each, codes.get(companies.get((each.source, each.id), ""), Codes(""))) for each in requests]


def _read(request: Request, codes: Codes) -> Request:
    if request.movement is None or not has_scans(request.movement):
        return request
    movement, reasons = fill_in(request.movement, codes)
    return replace(request, movement=movement, unread=reasons)
