"""Where the platform is, and who asks: what the commands that speak to it share.

The address and the account come from the environment (`CCIB_URL`, `CCIB_TOKEN` or `CCIB_EMAIL` and
`CCIB_PASSWORD`), else from the description that a local stack keeps of itself, demo accounts
included. Whoever asks is a person with a role: what they do is in the platform's audit.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx2
import typer

from chassis.addresses import verified_database
from cli.console import REFUSED, UNREACHABLE, UNREADABLE, stop

SERVICES = ("identity", "directory", "consultations", "privacy", "notifications")

Stack = Annotated[
    Path,
    typer.Option("--stack", help="Description of a local stack, where CCIB_URL is not set."),
]
LOCAL_STACK = Path(".local/stack.json")


class RefusedError(Exception):
    """A door said no, or nothing: the sentence and the exit code of a command that ends by it."""

    def __init__(self, sentence: str, code: int, *, status: int | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code
        self.status = status
        """Of the HTTP answer, when there was one."""


class Platform:
    """The platform's HTTP doors, as one person with a role."""

    def __init__(self, *, url: str, token: str | None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx2.Client(base_url=url, headers=headers, timeout=60)

    @classmethod
    def enter(cls, *, role: Literal["operator", "dpo"], stack: Path) -> "Platform":
        """Log in as whoever has that role. Ends the command, with a sentence, when that fails."""
        url = os.environ.get("CCIB_URL") or str(described(stack)["gateway"])
        if token := os.environ.get("CCIB_TOKEN"):
            return cls(url=url, token=token)
        email = os.environ.get("CCIB_EMAIL")
        if email:
            account = {"email": email, "password": os.environ.get("CCIB_PASSWORD") or _ask(email)}
        elif os.environ.get("CCIB_URL"):
            raise stop("who asks? Set CCIB_TOKEN, or CCIB_EMAIL and CCIB_PASSWORD", UNREADABLE)
        else:
            account = described(stack).get("accounts", {}).get(role)
            if not account:
                raise stop(f"{stack} names no {role}: set CCIB_EMAIL and CCIB_PASSWORD", UNREADABLE)
        session = cls(url=url, token=None).call("POST", "/api/identity/sessions", json=account)
        return cls(url=url, token=session["access_token"])

    def call(self, method: str, path: str, **request: Any) -> Any:
        """The JSON of an answer, None when it is empty. A refusal ends the command with its reason."""
        try:
            return self.ask(method, path, **request)
        except RefusedError as refused:
            raise stop(refused.sentence, refused.code) from None

    def ask(self, method: str, path: str, **request: Any) -> Any:
        """The same, for commands that go on when one service does not: raises `RefusedError`."""
        try:
            answer = self._client.request(method, path, **request)
        except httpx2.HTTPError as error:
            where = self._client.base_url
            raise RefusedError(
                f"{where} does not answer ({type(error).__name__})", UNREACHABLE
            ) from None
        if answer.is_success:
            return answer.json() if answer.content else None
        code = UNREACHABLE if answer.status_code >= 500 else REFUSED
        raise RefusedError(_reason(answer), code, status=answer.status_code)

    def pages(self, path: str, **params: Any) -> Iterator[dict[str, Any]]:
        """Every item of a list with cursors, page by page. A refusal ends the command."""
        try:
            yield from self.every(path, **params)
        except RefusedError as refused:
            raise stop(refused.sentence, refused.code) from None

    def every(self, path: str, **params: Any) -> Iterator[dict[str, Any]]:
        """The same, for commands that go on when one service does not: raises `RefusedError`."""
        after: str | None = None
        while True:
            page = self.ask("GET", path, params={**params, **({"after": after} if after else {})})
            yield from page["items"]
            after = page.get("next")
            if after is None:
                return


def described(stack: Path) -> dict[str, Any]:
    """What a running local stack says about itself. Ends the command when there is none."""
    try:
        found: dict[str, Any] = json.loads(stack.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise stop(
            f"no stack is running: there is no {stack}; `make run` starts one, "
            "CCIB_URL names another platform",
            UNREACHABLE,
        ) from None
    except (OSError, ValueError) as error:
        raise stop(f"{stack}: not the description of a stack ({error})", UNREADABLE) from None
    return found


def databases(stack: Path) -> dict[str, str]:
    """Each service's database: `CCIB_DATABASE_URL_<SERVICE>`, else the local stack's."""
    return named_databases() or dict(described(stack)["postgres"])


def named_databases() -> dict[str, str]:
    """Those that the environment names, each with the authority that vouches for their server.

    Ends the command when that authority's file is not there.
    """
    try:
        return {
            service: verified_database(url, authority("CCIB_DATABASE_CA_FILE"))
            for service in SERVICES
            if (url := os.environ.get(f"CCIB_DATABASE_URL_{service.upper()}"))
        }
    except ValueError as error:
        raise stop(str(error), UNREADABLE) from None


def authority(variable: str) -> Path | None:
    """The file that this variable names, if any."""
    named = os.environ.get(variable)
    return Path(named) if named else None


def ledger_url(stack: Path) -> str:
    """The ledger copy: `CCIB_LEDGER_URL`, else the local stack's folder."""
    return os.environ.get("CCIB_LEDGER_URL") or Path(described(stack)["ledger"]).as_uri()


def trust_folder(stack: Path) -> Path:
    """Where the public keys of the local stack lie."""
    return Path(described(stack)["trust"])


def _ask(email: str) -> str:
    return str(typer.prompt(f"Password of {email}", hide_input=True, err=True))


def _reason(answer: httpx2.Response) -> str:
    try:
        problem = answer.json()
        return f"{problem['title']}. {problem.get('detail') or ''}".strip()
    except (ValueError, KeyError, TypeError):
        return f"{answer.request.method} {answer.request.url.path}: {answer.status_code}"
