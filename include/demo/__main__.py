"""The demo organisation by hand: ``python -m include.demo generate FOLDER`` and ``... crm --port P``."""

from __future__ import annotations

import secrets
import signal
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, cast

import typer

from connectors.errors import ConnectorError
from include.demo.crm import Crm, count, crm_server
from include.demo.organisation import write_day
from include.demo.story import CUT, FIRST, Day

TOKEN_VARIABLE = "ROLLCALL_DEMO_CRM_TOKEN"  # noqa: S105  the name of a variable
DEFAULT_PORT = 8085

app = typer.Typer(help="The demo organisation: its files, its badge database, and its CRM.", no_args_is_help=True)


@app.command()
def generate(
    folder: Annotated[Path, typer.Argument(help="Where to write hr/ and badge/.")],
    day: Annotated[int, typer.Option(min=FIRST, max=CUT, help="Which day: 1, 2 or 3.")] = FIRST,
) -> None:
    """Write the HR files and the badge database of a day, and say what to expect of them."""
    facts = write_day(folder, cast("Day", day))
    typer.echo(f"Day {day} of the demo organisation is in {folder}")
    for name, value in asdict(facts).items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        typer.echo(f"  {name:20}" + ", ".join(f"{part} {figure}".strip() for part, figure in parts))


@app.command()
def play() -> None:
    """Play three days as Airflow runs, without a person, and compare with the figures to expect."""
    import httpx

    from include.demo.play import play as play_days

    try:
        agreed = play_days()
    except (RuntimeError, TimeoutError, ConnectorError, httpx.HTTPError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from None
    raise typer.Exit(0 if agreed else 1)


@app.command()
def crm(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Loopback port to listen on.")] = DEFAULT_PORT,
    token: Annotated[
        str | None,
        typer.Option(envvar=TOKEN_VARIABLE, help="Bearer token to ask for; made and shown when left out."),
    ] = None,
) -> None:
    """Run the CRM until interrupted. Its accounts live as long as it runs."""
    # A plain termination leaves the block below as an interrupt does, so that the server ends too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with crm_server(port, token or secrets.token_urlsafe()) as server:
            _announce(server, show_token=token is None)
            while True:
                time.sleep(1)
    except ConnectorError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("The CRM has stopped.")


def _announce(server: Crm, *, show_token: bool) -> None:
    figures = count(server)
    typer.echo(f"The CRM serves {server.url} ({figures.users} accounts, {figures.groups} groups); end it with Ctrl-C.")
    if show_token:
        typer.echo(f"Its bearer token, for the Airflow Connection rollcall_crm: {server.token}")


if __name__ == "__main__":
    app(prog_name="python -m include.demo")
