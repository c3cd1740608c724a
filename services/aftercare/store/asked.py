"""What reports ask for: every unit as of a time, and the day by which it is judged, in its company's time zone."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from services.aftercare.decide.facts import Dossier, Dossiers, Unit
from services.aftercare.store.facts import all_dossiers
from services.aftercare.store.gate import time_zones
from shared.db import query
from shared.report import Filters

_NOW = "SELECT now() AS now"


@dataclass(frozen=True, slots=True)
class Asked:
    """A unit, with all units that it may have replaced, and the day by which it is judged."""

    unit: Unit
    dossiers: Dossiers
    day: date

    @property
    def dossier(self) -> Dossier:
        """All that is known of it."""
        return self.dossiers.of(self.unit)


def asked(connection: Connection, filters: Filters) -> Iterator[Asked]:
    """The units that are asked for; on a day, as they stood at its end."""
    now: datetime = query(connection, _NOW)[0].now
    for company, name in sorted(time_zones(connection).items()):
        if filters.company is not None and filters.company != company:
            continue
        zone = ZoneInfo(name)
        day = filters.on or (filters.as_of or now).astimezone(zone).date()
        as_of = filters.as_of
        if as_of is None and filters.on is not None:
            as_of = datetime.combine(filters.on, time.max, zone)
        for unit, dossiers in all_dossiers(connection, company, filters.item, filters.serial, as_of, filters.known_at):
            yield Asked(unit, dossiers, day)
