"""``--help``: it has a short form, ends with an example, and reports when its text cannot be written."""

from __future__ import annotations

from typing import Any

import click

from jobs.show import console


class Helpful(click.Command):
    """A command whose help ends with an example that runs, and is shown only if the command line asks for it."""

    def __init__(self, *args: Any, example: str, uses_demo: bool = True, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.example = example
        self.uses_demo = uses_demo

    def get_help_option_names(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """Return both names, for every command."""
        return ["-h", "--help"]

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return the option ``--help``: no environment variable can ask for it, and its text must be written."""
        found = super().get_help_option(ctx)
        if found is not None:
            found.allow_from_autoenv = False
            found.callback = _show_help
        return found

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example without wrapping its lines, so that it can be pasted."""
        super().format_epilog(ctx, formatter)
        with formatter.section("Example (with the files of 'logitstream demo')" if self.uses_demo else "Example"):
            for line in self.example.splitlines():
                formatter.write(f"{' ' * formatter.current_indent}{line}\n")


class HelpfulGroup(Helpful, click.Group):
    """A group of commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """Return the names of the commands in the order of their definition."""
        return list(self.commands)


def _show_help(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        console.emit(ctx.get_help())
        ctx.exit()
