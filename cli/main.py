"""`ccib`: the operator's command. `ccib COMMAND --help` explains each."""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

GROUPS: dict[str, dict[str, str]] = {
    "When something is wrong": {
        "doctor": "cli.doctor:doctor",
        "dead-letters": "cli.dead_letters:app",
        "restore-check": "cli.restore:restore_check",
    },
    "People and proof": {
        "erasures": "cli.erasures:app",
        "rehearse": "cli.rehearse:rehearse",
        "retention": "cli.retention:app",
        "verify": "cli.verify:verify",
        "verify-ledger": "cli.ledger:verify_ledger",
    },
    "Partners and demo": {
        "participants": "cli.participants:app",
        "seed": "cli.seed:seed",
    },
}
"""Every command by the group in which the help shows it, and where it is: a function or a `Typer`."""

_EPILOG = """\b
Examples:
  ccib doctor                            what is wrong, and what to do
  ccib dead-letters list                 events that took no effect, by cause
  ccib participants add crm --contact dpo@crm.example
  ccib erasures list --open --json | jq '.[].erasure_id'

\b
Whom it speaks to:
  A local stack (`make run`) by itself: --stack names another description than .local/stack.json.
  CCIB_URL                          another platform, by its public address
  CCIB_TOKEN                        who asks: an access token, or
  CCIB_EMAIL, CCIB_PASSWORD         an account; the password is asked for when it is not set
  CCIB_SERVICE_URLS                 inside addresses, as JSON: {"identity": "http://…", …}
  CCIB_OPERATIONS_URLS              the same, of their operations ports
  CCIB_BROKER_ADMIN_URL             RabbitMQ's management: http://user:password@host:15672/vhost
  CCIB_DATABASE_URL_<SERVICE>       a service's database, for what must work while it is down
  CCIB_DATABASE_CA_FILE, CCIB_AMQP_CA_FILE
                                    the authorities that vouch for both: then TLS, verified
  CCIB_LEDGER_URL                   the ledger copy: file:///… or a bucket

\b
Exit codes:
  0  done, valid, healthy
  1  no: refused, not valid, not there, or something is wrong
  2  what was given cannot be read
  3  the platform, a database or the broker does not answer

Every command takes --json and then prints JSON and nothing else. What acts is written down with the
name of who asked; what only looks needs no more rights than it says."""


_WHERE = {name: where for group in GROUPS.values() for name, where in group.items()}


class _Commands(TyperGroup):
    """Loads a command when it is called: `ccib` starts at once, whatever another command needs."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [
            *_WHERE,
            *(name for name in super().list_commands(ctx) if name not in _WHERE),
        ]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in _WHERE and cmd_name not in self.commands:
            module, _, attribute = _WHERE[cmd_name].partition(":")
            found = getattr(import_module(module), attribute)
            alone = typer.Typer(rich_markup_mode=None)
            if isinstance(found, typer.Typer):
                alone.add_typer(found, name=cmd_name)
            else:
                alone.command(cmd_name)(found)
            self.add_command(get_group(alone).commands[cmd_name], cmd_name)
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        more = [name for name in self.list_commands(ctx) if name not in _WHERE]
        for title, names in {**{t: list(g) for t, g in GROUPS.items()}, "More": more}.items():
            if names:
                with formatter.section(title):
                    formatter.write_dl(
                        [(name, self._summary(ctx, name)) for name in names], col_max=20
                    )

    def _summary(self, ctx: Any, name: str) -> str:
        """The first sentence of a command's help."""
        text = (self.get_command(ctx, name).help or "").strip()
        return " ".join(text.partition("\n\n")[0].split())


app = typer.Typer(
    cls=_Commands,
    help="Operate CCI Business. `ccib COMMAND --help` explains each command.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@app.callback()
def main() -> None:
    """Operate CCI Business. `ccib COMMAND --help` explains each command."""


if __name__ == "__main__":
    app(prog_name="ccib")
