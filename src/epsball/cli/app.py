"""The commands, in the order that help shows them."""

import typer

from epsball.cli.commands.attack import attack
from epsball.cli.commands.audit import audit
from epsball.cli.commands.compare import compare
from epsball.cli.commands.defend import defend, layers
from epsball.cli.commands.demo import demo
from epsball.cli.commands.list import list_table
from epsball.cli.commands.report import report
from epsball.cli.commands.study import study
from epsball.cli.commands.train import train

app = typer.Typer(
    name="epsball",
    help="How easily is this image classifier fooled, and what helps?",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(audit)
app.command()(attack)
app.command()(train)
app.command()(defend)
app.command()(layers)
app.command()(report)
app.command()(compare)
app.command()(study)
app.command("list")(list_table)
app.command()(demo)


@app.callback(invoke_without_command=True)
def _version(
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
) -> None:
    if version:
        from epsball import __version__

        typer.echo(f"epsball {__version__}")
        raise typer.Exit
