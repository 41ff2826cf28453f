"""A partner system, as small as it can be and still be right: copy it, and put your database in.

It needs Python and pika, nothing of the platform. `react` is the part to test (test_partner.py);
`main` is the connection. Three rules hold it together: commit, then answer, then acknowledge;
answer a repeated command with the same words; let no late fact bring a person back.
"""

import hashlib
import json
import os
import sqlite3
import uuid
from datetime import UTC, datetime
from typing import Any

GRANTED = "fr.ccibusiness.directory.membership_granted.v1"
ENDED = "fr.ccibusiness.directory.membership_ended.v1"
ERASE = "fr.ccibusiness.privacy.erase.v1"
ACKNOWLEDGED = "fr.ccibusiness.partner.erasure_acknowledged.v1"

TABLES = """
CREATE TABLE IF NOT EXISTS member (membership_id PRIMARY KEY, person_id);
CREATE TABLE IF NOT EXISTS forgotten (fingerprint PRIMARY KEY);
CREATE TABLE IF NOT EXISTS answered (erasure_id PRIMARY KEY, outcome);
"""


def react(database: sqlite3.Connection, exchange: str, event: dict[str, Any]) -> Any:
    """Do what a message says, in one transaction; returns the answer to send, or None."""
    data = event["data"]
    with database:  # commits at its end, or undoes everything
        if event["type"] == GRANTED and not _is_forgotten(database, data["person_id"]):
            row = (data["membership_id"], data["person_id"])
            database.execute("INSERT OR REPLACE INTO member VALUES (?, ?)", row)
        elif event["type"] == ENDED:
            database.execute("DELETE FROM member WHERE membership_id = ?", (data["membership_id"],))
        elif event["type"] == ERASE and exchange == "ccib.commands":  # from elsewhere: no command
            subjects = [_forget(database, **subject) for subject in data["subjects"]]
            return {
                "specversion": "1.0",
                "id": str(uuid.uuid4()),
                "source": "/partners/demo",
                "type": ACKNOWLEDGED,
                "subject": data["entry_hash"],
                "time": datetime.now(UTC).isoformat(),
                "datacontenttype": "application/json",
                "data": {
                    "position": data["position"],
                    "entry_hash": data["entry_hash"],
                    "subjects": subjects,
                },
            }
    return None  # what is of no interest, too: later versions may tell more


def _forget(database: sqlite3.Connection, *, erasure_id: str, subject_id: str, **_: Any) -> Any:
    deleted = database.execute("DELETE FROM member WHERE person_id = ?", (subject_id,)).rowcount
    database.execute("INSERT OR IGNORE INTO forgotten VALUES (?)", (_fingerprint(subject_id),))
    outcome = "erased" if deleted else "nothing_held"
    database.execute("INSERT OR IGNORE INTO answered VALUES (?, ?)", (erasure_id, outcome))
    said = database.execute("SELECT outcome FROM answered WHERE erasure_id = ?", (erasure_id,))
    return {"erasure_id": erasure_id, "outcome": said.fetchone()[0]}


def _is_forgotten(database: sqlite3.Connection, person_id: str) -> bool:
    asked = "SELECT 1 FROM forgotten WHERE fingerprint = ?"
    return bool(database.execute(asked, (_fingerprint(person_id),)).fetchone())


def _fingerprint(person_id: str) -> str:
    return hashlib.sha256(person_id.encode()).hexdigest()


def main() -> None:
    """Serve until killed; whatever dies in between comes again."""
    import pika  # here, so that the tests need no broker library

    database = sqlite3.connect(os.environ["DATABASE"])
    database.executescript(TABLES)
    parameters = pika.URLParameters(os.environ["BROKER"])  # amqps://user:password@host/vhost
    channel = pika.BlockingConnection(parameters).channel()
    channel.confirm_delivery()  # publishing returns when the broker has the answer for good
    channel.basic_qos(prefetch_count=50)
    for method, _, body in channel.consume(os.environ["QUEUE"]):
        try:
            answer = react(database, method.exchange, json.loads(body))
        except (ValueError, KeyError, TypeError) as error:
            print("unreadable, dropped:", type(error).__name__, flush=True)
            answer = None
        if answer:
            properties = pika.BasicProperties(
                user_id=parameters.credentials.username,  # the broker holds it against who you are
                message_id=answer["id"],
                content_type="application/cloudevents+json",
                delivery_mode=2,
            )
            text = json.dumps(answer).encode()
            channel.basic_publish("ccib.acks", "erasure_acknowledged", text, properties, True)
        channel.basic_ack(method.delivery_tag)


if __name__ == "__main__":
    main()
