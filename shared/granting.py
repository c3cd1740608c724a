"""Making the rights in a database what `roles` says: roles, owners, grants, passwords.

The idea: what the server has is read from its catalogue and compared, so applying is nothing but carrying out the
difference, and doing it twice does nothing twice. An administrator makes the roles once; each migration gives rights
on what it made by itself, as the owner.

A password never stands in a statement: what is sent is what the server would keep of it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg2.extensions import encrypt_password
from sqlalchemy import Connection, Engine, Row

from shared.db import query, run, transaction
from shared.roles import (
    MIGRATIONS,
    OWNER,
    PUBLIC,
    ROLES,
    SCHEMAS,
    Grant,
    Relation,
    Role,
    base_grants,
    changed,
    schema_grants,
)

_EXISTING = """
SELECT rolname AS name, rolcanlogin AS logs_in,
    rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls AS is_mighty
FROM pg_roles WHERE rolname = ANY(:names)
"""
_MEMBERSHIPS = """
SELECT quote_ident(granted.rolname) AS granted, member.rolname AS name
FROM pg_auth_members
JOIN pg_roles AS granted ON granted.oid = roleid
JOIN pg_roles AS member ON member.oid = pg_auth_members.member
WHERE member.rolname = ANY(:names) ORDER BY 1, 2
"""
_DATABASE = "SELECT quote_ident(current_database()) AS name"
# Of a trigger's type, 8 is DELETE, 16 UPDATE, 32 TRUNCATE.
_RELATIONS = """
SELECT quote_ident(namespace.nspname) AS schema, quote_ident(relation.relname) AS name,
    relation.relkind IN ('v', 'm') AS is_view, coalesce(guarded.type, 0) AS type
FROM pg_class AS relation
JOIN pg_namespace AS namespace ON namespace.oid = relation.relnamespace
LEFT JOIN (
    SELECT tgrelid, bit_or(tgtype) AS type FROM pg_trigger
    JOIN pg_proc ON pg_proc.oid = tgfoid WHERE proname = 'refuse_change' GROUP BY tgrelid
) AS guarded ON guarded.tgrelid = relation.oid
WHERE namespace.nspname = ANY(:schemas) AND relation.relkind IN ('r', 'p', 'v', 'm')
ORDER BY 1, 2
"""
_REFUSED = {8: "DELETE", 16: "UPDATE"}
_GRANTED_BASE = """
SELECT coalesce(rolname, :public) AS role, thing.kind, thing.name AS target, privilege_type AS right
FROM (
    SELECT 'DATABASE' AS kind, quote_ident(datname) AS name,
        coalesce(datacl, acldefault('d', datdba)) AS rights
    FROM pg_database WHERE datname = current_database()
    UNION ALL
    SELECT 'SCHEMA', 'public', nspacl FROM pg_namespace WHERE nspname = 'public'
) AS thing
CROSS JOIN LATERAL aclexplode(thing.rights) AS acl
LEFT JOIN pg_roles ON pg_roles.oid = acl.grantee
WHERE acl.grantee = 0 OR rolname = ANY(:names)
"""
# What an owner holds by itself is no grant.
_GRANTED = """
SELECT coalesce(rolname, :public) AS role, thing.kind, thing.name AS target, privilege_type AS right
FROM (
    SELECT 'SCHEMA' AS kind, quote_ident(nspname) AS name, nspowner AS owner, nspacl AS rights
    FROM pg_namespace WHERE nspname = ANY(:schemas)
    UNION ALL
    SELECT 'TABLE', format('%I.%I', nspname, relname), relowner, relacl
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind IN ('r', 'p', 'v', 'm')
        AND (nspname = ANY(:schemas) OR format('%I.%I', nspname, relname) = :migrations)
) AS thing
CROSS JOIN LATERAL aclexplode(thing.rights) AS acl
LEFT JOIN pg_roles ON pg_roles.oid = acl.grantee
WHERE acl.grantee <> thing.owner AND (acl.grantee = 0 OR rolname = ANY(:names))
"""
# Views before tables or after, in any order: their owner is looked at when they are read.
_FOREIGN = """
SELECT format('SCHEMA %I', nspname) AS thing FROM pg_namespace
WHERE nspname = ANY(:schemas) AND pg_get_userbyid(nspowner) <> :owner
UNION ALL
SELECT format('%s %I.%I', CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END,
    nspname, relname)
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'p', 'v', 'm') AND pg_get_userbyid(relowner) <> :owner
    AND (nspname = ANY(:schemas) OR format('%I.%I', nspname, relname) = :migrations)
UNION ALL
SELECT format('FUNCTION %s', cast(pg_proc.oid AS regprocedure))
FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace
WHERE nspname = ANY(:schemas) AND pg_get_userbyid(proowner) <> :owner
ORDER BY 1
"""
_OWNED = """
SELECT count(*) FILTER (WHERE pg_get_userbyid(nspowner) = :owner) > 0 AS is_owned FROM pg_namespace
WHERE nspname = ANY(:schemas)
"""
_IS_MIGRATED = "SELECT to_regclass(:migrations) IS NOT NULL AS is_migrated"
_CURRENT = "SELECT current_user = :owner AS is_owner"
_PASSWORD = "ALTER ROLE {role} PASSWORD :verifier"  # noqa: S105 - a statement


def missing(connection: Connection) -> list[str]:
    """The statements that the database lacks to be as `roles` says, in their order; none: it is.

    Rights on tables that do not stand there yet follow with the migration that makes them.
    """
    return [*_roles(connection), *_owners(connection), *_base(connection), *_rights(connection)]


def apply(engine: Engine, passwords: Mapping[str, str]) -> list[str]:
    """Carry them out, in one transaction, and set the passwords, by the roles' names; the statements without these.

    For an administrator: a role that may make roles and give away what stands in this database.
    """
    with transaction(engine) as connection:
        done: list[str] = []
        # What one kind lacks shows only when those before it are there.
        for step in (_roles, _owners, _base, _rights):
            done += _carry_out(connection, step(connection))
        for role, password in sorted(passwords.items()):
            _set_password(connection, role, password)
    return done


def act_as_owner(connection: Connection) -> None:
    """Until its end, have the transaction act as the role that owns the schemas, where that is ours."""
    if _is_ours(connection):
        run(connection, f"SET LOCAL ROLE {OWNER.name}")


def regrant(connection: Connection) -> None:
    """Give the roles their rights on what a migration made, in a database that stands under the owner role."""
    if _is_ours(connection):
        _carry_out(connection, _rights(connection))


def _is_ours(connection: Connection) -> bool:
    named = {"owner": OWNER.name}
    (owned,) = query(connection, _OWNED, schemas=list(SCHEMAS), **named)
    (current,) = query(connection, _CURRENT, **named)
    return bool(owned.is_owned or current.is_owner)


def _roles(connection: Connection) -> list[str]:
    """What makes the roles what they should be, and members of no other."""
    names = [role.name for role in ROLES]
    there = {row.name: row for row in query(connection, _EXISTING, names=names)}
    made = [
        f"{'ALTER' if role.name in there else 'CREATE'} ROLE {role.name} {_attributes(role)}"
        for role in ROLES
        if not _is_as_told(role, there.get(role.name))
    ]
    memberships = query(connection, _MEMBERSHIPS, names=names)
    return [*made, *(f"REVOKE {row.granted} FROM {row.name}" for row in memberships)]


def _is_as_told(role: Role, found: Row[Any] | None) -> bool:
    return found is not None and found.logs_in == role.logs_in and not found.is_mighty


def _attributes(role: Role) -> str:
    plain = "NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
    return f"{'LOGIN' if role.logs_in else 'NOLOGIN'} {plain}"


def _owners(connection: Connection) -> list[str]:
    found = query(connection, _FOREIGN, schemas=list(SCHEMAS), owner=OWNER.name, migrations=MIGRATIONS)
    return [f"ALTER {row.thing} OWNER TO {OWNER.name}" for row in found]


def _base(connection: Connection) -> list[str]:
    (database,) = query(connection, _DATABASE)
    return changed(base_grants(database.name), _granted(connection, _GRANTED_BASE))


def _rights(connection: Connection) -> list[str]:
    (state,) = query(connection, _IS_MIGRATED, migrations=MIGRATIONS)
    if not state.is_migrated:
        return []
    present = _granted(connection, _GRANTED, schemas=list(SCHEMAS), migrations=MIGRATIONS)
    return changed(schema_grants(_relations(connection)), present)


def _granted(connection: Connection, statement: str, **parameters: object) -> set[Grant]:
    names = [role.name for role in ROLES]
    rows = query(connection, statement, names=names, public=PUBLIC, **parameters)
    return {Grant(row.role, row.kind, row.target, row.right) for row in rows}


def _relations(connection: Connection) -> list[Relation]:
    return [
        Relation(row.schema, row.name, row.is_view, frozenset(each for bit, each in _REFUSED.items() if row.type & bit))
        for row in query(connection, _RELATIONS, schemas=list(SCHEMAS))
    ]


def _carry_out(connection: Connection, statements: Sequence[str]) -> Sequence[str]:
    for statement in statements:
        run(connection, statement)
    return statements


def _set_password(connection: Connection, role: str, password: str) -> None:
    session: Any = connection.connection.dbapi_connection
    verifier = encrypt_password(password, role, scope=session, algorithm="scram-sha-256")
    run(connection, _PASSWORD.format(role=role), verifier=verifier)
