"""Help that has a heading for each section of the options, and breaks no names."""

from collections.abc import Callable, Iterable
from typing import Any

import click

FIRST_COLUMN = 30
"""Width of the names in a help; choices that do not fit are listed in the text."""

SEVERAL = "],..."
"""Ends the choices of an option that takes several."""

HYPHEN, BLANK = "\u2011", "\u00a0"
"""Those at which no line breaks."""


def _unbroken(text: str) -> str:
    return text.replace("-", HYPHEN).replace("[default: ", f"[default:{BLANK}")


def _fitting(name: str, text: str) -> tuple[str, str]:
    """Choices that do not fit the first column, `--mode [simultaneous|alternating]`, in the text: `--mode NAME`."""
    option, _, choices = name.partition(" [")
    if len(name) <= FIRST_COLUMN or "|" not in choices:
        return name, text
    said, default, usual = text.partition("  [default")
    several = choices.endswith(SEVERAL)
    names = ", ".join(choices.removesuffix(SEVERAL).removesuffix("]").split("|"))
    how = f"One or more, with commas, of {names}." if several else f"One of {names}."
    return f"{option} {'NAMES' if several else 'NAME'}", f"{said} {how}{default}{usual}"


class Formatter(click.HelpFormatter):
    """Lines break at blanks only: names with hyphens, and options, stay whole."""

    def write(self, string: str) -> None:
        super().write(string.replace(HYPHEN, "-").replace(BLANK, " "))

    def write_text(self, text: str) -> None:
        super().write_text(_unbroken(text))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = FIRST_COLUMN, col_spacing: int = 2) -> None:
        fitting = [_fitting(name, text) for name, text in rows]
        super().write_dl([(name, _unbroken(text)) for name, text in fitting], col_max, col_spacing)


class Context(click.Context):
    formatter_class = Formatter


class SummarizedGroup(click.Group):
    """A group whose help shows whole summaries, which click cuts at the end of a line."""

    context_class = Context

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(limit=500)) for name, one in commands.items() if one])


class SectionedCommand(click.Command):
    """A command whose help has a heading for each section of its options.

    `derive` makes the options when they are asked for: what has been registered until then has its own.
    """

    def __init__(
        self, name: str | None, *, derive: Callable[[], list[click.Parameter]] | None = None, **attributes: Any
    ) -> None:
        super().__init__(name, **attributes)
        self.derive = derive

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        if self.derive:
            self.params = self.derive()
        return super().get_params(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record and isinstance(parameter, click.Option):
                sections.setdefault(getattr(parameter, "section", "Other options"), []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)
