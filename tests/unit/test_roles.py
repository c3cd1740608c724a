"""The table of roles, and the statements that make rights what it says."""

from shared.roles import ROLES, Relation, changed, schema_grants


def test_rights_that_a_trigger_refuses_are_granted_to_nobody() -> None:
    guarded = Relation("ledger", "entry", refused=frozenset({"UPDATE", "DELETE"}))
    rights = {grant.right for grant in schema_grants([guarded]) if grant.target == "ledger.entry"}
    assert rights == {"SELECT", "INSERT"}


def test_rights_that_are_as_they_should_be_need_no_statement() -> None:
    wanted = schema_grants([Relation("ledger", "bin"), Relation("ledger", "posted", is_view=True)])
    assert changed(wanted, wanted) == []
    assert all(statement.startswith("GRANT") for statement in changed(wanted, ()))
    assert all(statement.startswith("REVOKE") for statement in changed((), wanted))


def test_a_table_of_which_nothing_is_said_is_read_and_written_by_its_service_and_read_by_the_desk() -> None:
    grants = {(each.role, each.right) for each in schema_grants([Relation("ledger", "new")]) if "new" in each.target}
    own = {("stockbook_ledger", right) for right in ("SELECT", "INSERT", "UPDATE", "DELETE")}
    assert grants == own | {("stockbook_desk", "SELECT")}


def test_a_view_of_which_nothing_is_said_is_read_by_its_service_the_desk_and_readers() -> None:
    found = schema_grants([Relation("receiving", "new", is_view=True)])
    grants = {(each.role, each.right) for each in found if "new" in each.target}
    assert grants == {(f"stockbook_{who}", "SELECT") for who in ("receiving", "desk", "readers")}


def test_only_the_group_of_readers_does_not_log_in_and_only_one_owns() -> None:
    assert [role.name for role in ROLES if not role.logs_in] == ["stockbook_readers"]
    assert [role.name for role in ROLES if role.owns] == ["stockbook_owner"]
