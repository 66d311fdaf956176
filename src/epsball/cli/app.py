"""The commands, in the order that help shows them. A command is imported when it is called."""

import ast
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from epsball.errors import InvalidInput

# name: file in commands/, and its function where the name differs
COMMANDS: Mapping[str, str] = {
    "audit": "audit",
    "attack": "attack",
    "fool": "fool",
    "sheet": "sheet",
    "photo": "photo",
    "train": "train",
    "defend": "defend",
    "layers": "defend:layers",
    "report": "report",
    "kinds": "kinds",
    "compare": "compare",
    "study": "study",
    "substitute": "substitute",
    "serve": "serve",
    "list": "list:list_table",
    "demo": "demo",
}
_SETTINGS = {"help_option_names": ["-h", "--help"]}


class EveryOptionOnce(TyperCommand):
    """A command that refuses an option of one value that is given twice (the last would win)."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - click's context
        """Read the options.

        Raises:
            InvalidInput: one is given twice.
        """
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        single = [
            max(one.opts, key=len)
            for one in order
            if not (getattr(one, "multiple", True) or getattr(one, "is_flag", False))
        ]
        for name in single:
            if single.count(name) > 1:
                raise InvalidInput(
                    f"{name} takes one value and is given {single.count(name)} times: give it once"
                )
        rest = super().parse_args(ctx, args)
        for name, value in ctx.params.items():
            if isinstance(value, Path):  # a shell leaves the ~ of --out=~/run to us
                ctx.params[name] = value.expanduser()
        return rest


class LazyCommands(TyperGroup):
    """A group whose help reads the docstrings of the commands without importing them."""

    _listing = False

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 - whatever typer passes
        """Know the names, which are also suggested to who mistypes one."""
        super().__init__(**attributes)
        self.commands = {name: TyperCommand(name) for name in COMMANDS}

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002 - the context of click
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002 - click's types
        """Import a command, or return its name and summary while help lists all of them."""
        if cmd_name not in COMMANDS:
            return None
        file, _, function = COMMANDS[cmd_name].partition(":")
        function = function or file
        if self._listing:
            return TyperCommand(cmd_name, help=_docstring(file, function))
        module = import_module(f"epsball.cli.commands.{file}")
        alone = typer.Typer(
            add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich"
        )
        command = alone.command(cmd_name, cls=EveryOptionOnce, context_settings=_SETTINGS)
        command(getattr(module, function))
        return typer.main.get_command(alone)

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - click's types
        """List the commands without importing them."""
        self._listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._listing = False


def _docstring(file: str, function: str) -> str:
    source = (Path(__file__).parent / "commands" / f"{file}.py").read_text(encoding="utf-8")
    return next(
        ast.get_docstring(node) or ""
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and node.name == function
    )


app = typer.Typer(
    name="epsball",
    cls=LazyCommands,
    help="How easily is this image classifier fooled, and what helps?",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings=_SETTINGS,
)


@app.callback(invoke_without_command=True)
def _version(
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
) -> None:
    if version:
        from epsball import __version__

        typer.echo(f"epsball {__version__}")
        raise typer.Exit
