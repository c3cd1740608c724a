"""What a person has to do with: rows that break a rule, redriving, an upgrade in steps, a backup of a part."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from shared.broker.topology import ACCOUNTING, LEDGER, RECEIVING, SERVICES
from tests.faults.run import goods
from tests.faults.run.fault import WORKERS, Fault, Impossible
from tests.faults.run.postgres import terminate_backends
from tests.faults.run.scene import Scene
from tests.integration.test_pipeline import ROOT

TABLES = {RECEIVING: "receiving.movement", LEDGER: "ledger.entry", ACCOUNTING: "accounting.journal_entry"}
SET = 500
SINCE = "services/ledger/migrations/0007-time.sql"
"""The file with which the code of the older ledger came: the first that knows the tables as they are today."""


def faults() -> list[Fault]:
    return [
        Fault(
            "one line of a set of 500 violates a constraint",
            _violate,
            environment={"STOCKBOOK_SET_SIZE": str(SET)},
            note="the constraint is taken away, then the operator redrives what was parked and what was stuck",
        ),
        Fault("what was parked is redriven twice at once", _redrive_twice),
        Fault(
            "an older ledger behind a newer gate, then upgraded",
            _upgrade,
            crew=_with_older_ledger,
            note="the older ledger is the one with which today's tables came, run from its own code",
        ),
        Fault(
            "receiving alone restored to an older backup",
            _restore,
            note=(
                "no replay mends it: what collides is parked as invariant_broken and told; the operator restores all "
                "three schemas to the same moment, and sources publish again what they have no outcome of"
            ),
        ),
    ]


# --- a rule that is broken -------------------------------------------------------------------------------------------


def _violate(scene: Scene) -> None:
    """One of 500 breaks a rule of a table, in each of the services: it alone is put aside, and has its effect later."""
    _forbid(scene)
    # Each in a bin of its own: what comes behind a stuck movement waits with it.
    for service, item in zip((RECEIVING, LEDGER, ACCOUNTING), goods.FIFO[2:], strict=False):
        movements = scene.receipts(f"in {service}", SET, item)
        poisoned = movements[SET // 2]
        others = [each for each in movements if each is not poisoned]
        scene.shopping.effects[f"poisoned {service}"] = scene.shopping.effects.pop(poisoned["id"])
        poisoned["id"] = f"poisoned {service}"
        scene.publish([*others, poisoned], SET)
    scene.until(lambda: scene.count("receiving.parked") == 1, "the gate parks one")
    scene.until(lambda: scene.count("ledger.stuck") >= 1, "a bin is stuck in the ledger")
    scene.until(lambda: scene.count("accounting.parked") == 1, "accounting parks one")
    _allow(scene)
    for service in (RECEIVING, ACCOUNTING):
        scene.operate("parked", "redrive", "--service", service, "--all")
    scene.operate("stuck", "redrive", "--all")


def _redrive_twice(scene: Scene) -> None:
    """Two people have the same hundred messages sent again; each of them has one effect."""
    _forbid(scene)
    movements = scene.receipts("poisoned receiving", 100, goods.FIFO[3])
    scene.publish(movements)
    scene.until(lambda: scene.count("receiving.parked") == len(movements), "all are parked")
    _allow(scene)
    both = [scene.stockbook("parked", "redrive", "--service", RECEIVING, "--all") for _ in range(2)]
    said = [each.communicate(timeout=120)[0].decode() for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    scene.until(lambda: scene.count("receiving.parked") == 0, "nothing is parked any more")


def _forbid(scene: Scene) -> None:
    for service, table in TABLES.items():
        rule = f"CHECK (id NOT LIKE 'poisoned {service}%') NOT VALID"
        scene.server.execute(f"ALTER TABLE {table} ADD CONSTRAINT planted {rule}", database=scene.database)


def _allow(scene: Scene) -> None:
    for table in TABLES.values():
        scene.server.execute(f"ALTER TABLE {table} DROP CONSTRAINT planted", database=scene.database)


# --- an upgrade in steps ---------------------------------------------------------------------------------------------


def _with_older_ledger(scene: Scene) -> None:
    scene.crew.start_all(WORKERS, but=LEDGER)
    folder = scene.stack.enter_context(tempfile.TemporaryDirectory(prefix="stockbook-older-"))
    older = _older_code(Path(folder))
    for _ in range(WORKERS):
        scene.crew.start(LEDGER, folder=older)


def _upgrade(scene: Scene) -> None:
    """One ledger after the other is replaced by one of today."""
    before = scene.count("ledger.posted")
    scene.until(lambda: scene.count("ledger.posted") > before, "the older ledger posts")
    for each in scene.crew.of(LEDGER):
        scene.crew.end(each)
        scene.crew.start(LEDGER)


def _older_code(folder: Path) -> Path:
    """The services as they were, unpacked from the repository's own history."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        raise Impossible("there is no history of the code here to take an older ledger from")
    newest = [git, "-C", str(ROOT), "log", "-1", "--format=%H", "--diff-filter=A", "--", SINCE]
    commit = subprocess.run(newest, check=True, capture_output=True, text=True).stdout.strip()
    if not commit:
        raise Impossible(f"no commit is known that brought {SINCE}")
    archive = folder / "older.tar"
    subprocess.run([git, "-C", str(ROOT), "archive", "-o", str(archive), commit, "services", "shared"], check=True)
    shutil.unpack_archive(archive, folder)
    return folder


# --- a backup of a part ----------------------------------------------------------------------------------------------


def _restore(scene: Scene) -> None:
    """The gate forgets what it accepted since the backup. That is noticed, and the whole backup puts it right."""
    backup, part = Path("whole.dump"), Path("receiving.dump")
    _quiet(scene)
    scene.server.dump(scene.database, backup)
    scene.server.dump(scene.database, part, "-n", "receiving")
    kept = len(scene.upstream.sent)
    scene.crew.start_all(WORKERS)
    scene.publish(scene.receipts("after the backup", 200))
    scene.publish(scene.receipts("after the backup too", 200, goods.AVERAGE[0]))
    _quiet(scene)

    scene.server.execute("DROP SCHEMA receiving CASCADE", database=scene.database)
    scene.server.restore(scene.database, part)
    scene.crew.start_all(WORKERS)
    scene.publish(scene.receipts("after the restore", 100))
    collided = "ledger.parked WHERE reason = 'invariant_broken'"
    scene.until(lambda: scene.count(collided) == 100, "every stamp that was given twice is told")
    assert scene.count("ledger.entry WHERE id LIKE 'after the restore%'") == 0
    _end(scene)

    terminate_backends(scene.server, scene.database)
    scene.engine.dispose()
    scene.server.execute(f'DROP DATABASE "{scene.database}" WITH (FORCE)', f'CREATE DATABASE "{scene.database}"')
    scene.server.restore(scene.database, backup)
    for queue in SERVICES:
        scene.control("purge_queue", "-p", scene.virtual_host, queue)
    scene.crew.start_all(WORKERS)
    scene.rows("INSERT INTO ledger.replay DEFAULT VALUES RETURNING since")
    scene.rows("INSERT INTO accounting.replay DEFAULT VALUES RETURNING since")
    scene.rows("INSERT INTO aftercare.replay DEFAULT VALUES RETURNING since")
    scene.upstream.publish(scene.upstream.sent[kept:])


def _quiet(scene: Scene) -> None:
    """Nothing is under way, and no worker runs."""
    scene.until(scene.upstream.holding.is_set, "what comes before the fault is published")
    names = list(scene.upstream.keys)
    scene.until(lambda: scene.is_done(names), "all that was sent is booked", 120)
    _end(scene)


def _end(scene: Scene) -> None:
    scene.crew.end()
