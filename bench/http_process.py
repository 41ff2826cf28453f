"""The directory behind its door: `python -m bench.http_process SERVERS FOLDER DESCRIPTION`.

Lists a company, looks at its sheet once while the statements are written down, then serves until the
process is told to end. The DESCRIPTION says where, what to ask for, and which SQL that was.
"""

import base64
import json
import pickle
import signal
import sys
from asyncio import Event, get_running_loop
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import uvloop
from sqlalchemy import event

from services.directory.wiring import SERVICE
from tests.directory.town import URL, Town
from tests.stand import served, standing


async def main(servers: SimpleNamespace, folder: Path, description: Path) -> None:
    """Serve until SIGTERM."""
    stop = Event()
    get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with standing(
        SERVICE, servers=servers, folder=folder, smtp_url="smtp://127.0.0.1:9", worker=False
    ) as stand:
        town = Town(stand)
        person = town.somebody()
        path = f"/companies/{await town.a_company(person)}"
        sent: list[tuple[str, list[Any]]] = []

        @event.listens_for(stand.runtime.db.engine.sync_engine, "before_cursor_execute")
        def note(_: Any, __: Any, sql: str, values: Any, ___: Any, ____: Any) -> None:
            sent.append((sql, list(values)))

        answer = await person.get(path)
        answer.raise_for_status()
        event.remove(stand.runtime.db.engine.sync_engine, "before_cursor_execute", note)
        async with served(stand.app) as url:
            told = {
                "port": int(url.rpartition(":")[2]),
                "path": f"{URL}{path}",
                "authorization": person.headers["Authorization"],
                "database_url": stand.settings.database_url,
                "statements": base64.b64encode(pickle.dumps(sent)).decode(),
                "count": len(sent),
            }
            draft = description.with_suffix(".new")
            draft.write_text(json.dumps(told))
            draft.replace(description)
            await stop.wait()


if __name__ == "__main__":
    given, where, what = sys.argv[1:]
    uvloop.run(main(SimpleNamespace(**json.loads(given)), Path(where), Path(what)))
