"""`ccib`: the operator's command. `ccib COMMAND --help` explains each."""

import typer

from cli.seed import seed
from cli.verify import verify

app = typer.Typer(
    help="Operate CCI Business.", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)


@app.callback()
def main() -> None:
    """Operate CCI Business."""


app.command()(seed)
app.command()(verify)


if __name__ == "__main__":
    app()
