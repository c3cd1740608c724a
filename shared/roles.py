"""Who may do what in the database: the roles, and the rights that follow from them, as plain data.

The idea: what a role may do is said once, by schema; which rights that is follows from what stands there. A table whose
trigger refuses a change gives nobody the right to it either, so the migration that makes a table append-only says so
for both guards. `granting` compares this with the rights that a database has.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

SCHEMAS = ("receiving", "ledger", "accounting", "aftercare")
MIGRATIONS = "public.stockbook_migration"
PUBLIC = "PUBLIC"

_ALL = ("SELECT", "INSERT", "UPDATE", "DELETE")


@dataclass(frozen=True, slots=True)
class Role:
    """A role of the server.

    `writes`: the schemas whose tables it reads and changes. `looks_at`: the schemas of which it reads every table and
    view; `views_of`: every view. `reads`: single views of others. `changes`: single tables, with the rights on each; a
    `*` in place of the schema is each of them. A role that does not log in is a group: people are made members of it.
    """

    name: str
    logs_in: bool = True
    owns: bool = False
    writes: Sequence[str] = ()
    looks_at: Sequence[str] = ()
    views_of: Sequence[str] = ()
    reads: Sequence[str] = ()
    changes: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def short(self) -> str:
        """The last word of its name: what it is called in the names of settings."""
        return self.name.removeprefix("stockbook_")


OWNER = Role("stockbook_owner", owns=True)
ROLES = (
    OWNER,
    Role("stockbook_receiving", writes=("receiving",)),
    Role("stockbook_ledger", writes=("ledger",), reads=("receiving.accepted", "receiving.allocated")),
    Role(
        "stockbook_accounting",
        writes=("accounting",),
        reads=(
            "receiving.accepted",
            "receiving.period_changes",
            "ledger.dirty_bins",
            "ledger.posted",
            "ledger.revalued",
        ),
    ),
    Role(
        "stockbook_aftercare",
        writes=("aftercare",),
        reads=(
            "receiving.accepted",
            "receiving.companies",
            "receiving.serial_status",
            "receiving.sources",
            "receiving.units_allocated",
        ),
    ),
    Role(
        "stockbook_desk",
        looks_at=SCHEMAS,
        changes={
            "*.parked": ("UPDATE", "DELETE"),  # redriven, edited, discarded
            "*.parked_edit": ("INSERT",),
            "*.replay": ("INSERT", "UPDATE"),  # marked as due
            "ledger.stuck": ("UPDATE", "DELETE"),  # locked, then loosened
            "*.head_asked": ("INSERT",),  # heads of chains are told again
            "receiving.waiting": ("INSERT",),  # a rejected movement is judged again
        },
    ),
    Role("stockbook_readers", logs_in=False, views_of=SCHEMAS),
)
"""All of them; a further one is a further line here."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or a view that stands in the database; `refused` are the changes that its trigger refuses."""

    schema: str
    name: str
    is_view: bool = False
    refused: frozenset[str] = frozenset()

    def is_named(self, pattern: str) -> bool:
        """Whether `schema.name`, or `*.name`, means this one."""
        schema, _, name = pattern.partition(".")
        return schema in ("*", self.schema) and name == self.name


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """One right of one role on one thing; `kind` is DATABASE, SCHEMA or TABLE, `target` its name, quoted if need be."""

    role: str
    kind: str
    target: str
    right: str


def base_grants(database: str) -> set[Grant]:
    """The rights on the database and on the schema `public`; nobody else may connect."""
    logged_in = {Grant(role.name, "DATABASE", database, "CONNECT") for role in ROLES}
    # A migration makes schemas, and tables for its own use.
    makes = {Grant(OWNER.name, "DATABASE", database, right) for right in ("CREATE", "TEMPORARY")}
    # Of what lies in `public`, the table of migrations, a right of its own says who may read it.
    public = {Grant(PUBLIC, "SCHEMA", "public", "USAGE"), Grant(OWNER.name, "SCHEMA", "public", "CREATE")}
    return logged_in | makes | public


def schema_grants(relations: Collection[Relation]) -> set[Grant]:
    """The rights on the services' schemas and on what stands in them, for all but the owner, who needs none."""
    return {grant for role in ROLES if not role.owns for grant in _of_role(role, relations)}


def changed(wanted: Collection[Grant], present: Collection[Grant]) -> list[str]:
    """The statements that make the present rights the wanted ones, those that take away first; none: they are."""
    lost = sorted(set(present) - set(wanted))
    gained = sorted(set(wanted) - set(present))
    return [
        *(f"REVOKE {each.right} ON {each.kind} {each.target} FROM {each.role}" for each in lost),
        *(f"GRANT {each.right} ON {each.kind} {each.target} TO {each.role}" for each in gained),
    ]


def _of_role(role: Role, relations: Collection[Relation]) -> Iterator[Grant]:
    yield Grant(role.name, "TABLE", MIGRATIONS, "SELECT")  # whether the database is up to date
    for relation in relations:
        rights = _rights(role, relation) - relation.refused
        if rights:
            yield Grant(role.name, "SCHEMA", relation.schema, "USAGE")
        for right in rights:
            yield Grant(role.name, "TABLE", f"{relation.schema}.{relation.name}", right)


def _rights(role: Role, relation: Relation) -> set[str]:
    may_read = relation.schema in (*role.writes, *role.looks_at) or any(map(relation.is_named, role.reads))
    if relation.is_view:
        return {"SELECT"} if may_read or relation.schema in role.views_of else set()
    rights = set(_ALL) if relation.schema in role.writes else {"SELECT"} if may_read else set()
    return rights.union(*(granted for pattern, granted in role.changes.items() if relation.is_named(pattern)))
