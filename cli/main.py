"""`ccib`: the operator's command. `ccib COMMAND --help` explains each."""

import typer

from cli import dead_letters, erasures, participants
from cli.doctor import doctor
from cli.ledger import verify_ledger
from cli.restore import restore_check
from cli.seed import seed
from cli.verify import verify

app = typer.Typer(
    help="Operate CCI Business.", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)


@app.callback()
def main() -> None:
    """Operate CCI Business."""


app.command()(doctor)
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(participants.app, name="participants")
app.add_typer(erasures.app, name="erasures")
app.command()(restore_check)
app.command()(verify_ledger)
app.command()(seed)
app.command()(verify)


if __name__ == "__main__":
    app()
