"""How long something waits that may only be early: at growing intervals, until its source's patience ends."""

from datetime import datetime, timedelta

SHORTEST_INTERVAL = timedelta(seconds=1)
LONGEST_INTERVAL = timedelta(seconds=60)


def next_try(since: datetime, patience: timedelta, now: datetime) -> datetime | None:
    """When what came `since` is looked at again; None where its source's patience has ended.

    Until its next try it waits as long again as it has waited: whoever is often woken in vain is not late for that.
    """
    deadline = since + patience
    if deadline <= now:
        return None
    interval = min(max(now - since, SHORTEST_INTERVAL), LONGEST_INTERVAL)
    return min(now + interval, deadline)
