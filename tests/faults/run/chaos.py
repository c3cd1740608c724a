"""Chaos: one fault after another under a load that does not end, chosen by a seed; judged when it is over."""

import math
import subprocess
import time
from collections.abc import Callable

from shared.db import query, transaction
from shared.parked import discard_parked
from tests.faults.run.catalogue import catalogue, chance
from tests.faults.run.fault import two_of_each
from tests.faults.run.running import Row, finish
from tests.faults.run.scene import Scene, opened
from tests.faults.run.sites import Kind, Sites

RATE = 150.0
"""Movements in a second: far less than the workers can do, for they are not there all the time."""


def chaos(sites: Sites, minutes: float, seed: int, say: Callable[[str], None]) -> Row:
    """Strike for so many minutes, then wait until all is at rest; the row tells the longest recovery."""
    faults = [each for each in catalogue() if each.repeatable]
    row = Row(f"chaos for {minutes:g} minutes, seed {seed}")
    began = time.monotonic()
    with opened(sites, sites.get(Kind.ALONE), seed, {}) as scene:
        scene.parkable |= {reason for each in faults for reason in each.parkable}
        scene.upstream.rate = RATE
        two_of_each(scene)
        scene.upstream.begin_endless(chance.endless(scene))
        scene.until(lambda: scene.count("accounting.movement") > 200, "the load is under way", 90)
        for number, (fault, peace) in enumerate(chance.choices(faults, seed), 1):
            fault.strike(scene)
            seconds = scene.recovery()
            row.seconds = max(row.seconds, seconds)
            at = time.monotonic() - began
            say(f"{at:7.0f} s  {number:>4}  {fault.name:<50} {scene.upstream.count:>8} movements, {seconds:5.1f} s")
            if at > minutes * 60:
                break
            time.sleep(peace)
        scene.upstream.stop()
        stopped = time.monotonic()
        finish(scene, row)
        say(f"at rest {time.monotonic() - stopped:.0f} s after the last movement")
        verified = _verified(scene, minutes)
        say(f"stockbook verify: exit code {verified.returncode}\n{verified.stdout}")
        if verified.returncode:
            row.failure = "stockbook verify finds what is wrong"
    row.took = time.monotonic() - began
    return row


def _verified(scene: Scene, minutes: float) -> subprocess.CompletedProcess[str]:
    """What the operator's own command says of these books, when he has put aside what was parked."""
    _put_aside(scene)
    command = scene.stockbook("verify", "--late", f"{math.ceil(minutes) + 60}m")
    said = command.communicate(timeout=900)[0].decode().strip()
    return subprocess.CompletedProcess(command.args, command.returncode, said)


def _put_aside(scene: Scene) -> None:
    """Whatever is parked is the poison of the faults: else the judge has found it."""
    with transaction(scene.engine) as connection:
        for service in ("receiving", "ledger", "accounting", "aftercare"):
            for row in query(connection, f"SELECT parked_id FROM {service}.parked WHERE discarded_at IS NULL"):
                discard_parked(connection, service, row.parked_id, "chaos", "it was meant to be parked")
