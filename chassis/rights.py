"""What a service may do in its own database: work with the rows, and leave the tables alone.

Two roles: the owner makes and changes tables, and only migrations use it; the runtime role of the
service reads and writes rows. It makes nothing, drops nothing, empties nothing, and cannot put a
constraint or a trigger to sleep: what the database refuses on behalf of erased people, no process of
the service can allow. Tables may refuse more (`REFUSED`): what was applied is never taken back.
"""

from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import AsyncConnection

REFUSED = "refused"
"""In a table's `info`: the statements that the runtime role may not use on it."""
_KNOWN_REVISION = "alembic_version"


class RightsError(Exception):
    """The roles of this database are not what they should be; the message says what to do."""


async def grant(connection: AsyncConnection, role: str, metadata: MetaData) -> None:
    """Give the runtime role its rights, and no other, on all tables that there are and will be.

    In one transaction: at no instant does a running process lack a right. Can be repeated. Called as
    the owner of the tables, after `check`.
    """
    quoted = connection.dialect.identifier_preparer.quote(role)
    for statement in statements(quoted, metadata):
        await connection.execute(text(statement))


def statements(role: str, metadata: MetaData) -> list[str]:
    """What is granted and taken, for a quoted role."""
    tables = "ALL TABLES IN SCHEMA public"
    rows = "SELECT, INSERT, UPDATE, DELETE"
    counters = "USAGE, SELECT"
    later = "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT"
    return [
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        f"GRANT USAGE ON SCHEMA public TO {role}",
        f"REVOKE ALL ON {tables} FROM {role}",
        f"GRANT {rows} ON {tables} TO {role}",
        f"GRANT {counters} ON ALL SEQUENCES IN SCHEMA public TO {role}",
        f"{later} {rows} ON TABLES TO {role}",
        f"{later} {counters} ON SEQUENCES TO {role}",
        f"REVOKE INSERT, UPDATE, DELETE ON {_KNOWN_REVISION} FROM {role}",
        *(
            f'REVOKE {", ".join(table.info[REFUSED])} ON "{table.name}" FROM {role}'
            for table in metadata.sorted_tables
            if table.info.get(REFUSED)
        ),
    ]


async def check(connection: AsyncConnection, role: str) -> None:
    """Raise `RightsError` unless all tables are ours, and the role is fit to be the runtime's."""
    foreign = (
        await connection.execute(
            text(
                "SELECT c.relname, pg_get_userbyid(c.relowner) FROM pg_class c"
                " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'S')"
                " AND NOT pg_has_role(c.relowner, 'USAGE') LIMIT 1"
            )
        )
    ).one_or_none()
    me = await connection.scalar(text("SELECT current_user::text"))
    if foreign is not None:
        table, owner = foreign
        raise RightsError(
            f"{table} belongs to {owner}, and migrations run as {me}: an administrator gives it over, "
            f'in this database, with REASSIGN OWNED BY "{owner}" TO "{me}"'
        )
    found = (
        await connection.execute(
            text(
                "SELECT rolsuper, pg_has_role(oid, current_user, 'MEMBER')"
                " FROM pg_roles WHERE rolname = :role"
            ),
            {"role": role},
        )
    ).one_or_none()
    if found is None:
        raise RightsError(f"there is no role {role}: an administrator makes it first")
    if any(found):
        raise RightsError(
            f"{role} is a superuser, or may act as {me}: it could change what it should obey"
        )
