"""The group of commands, and the one place where an error becomes a line and an exit code."""

import sys

INTERRUPTED = 130

try:
    import difflib
    import importlib
    import io
    import os
    from collections.abc import Iterator
    from contextlib import contextmanager
    from importlib.metadata import entry_points
    from typing import Any

    import click
    from click.exceptions import Exit

    from refimpl import __version__
    from refimpl.backend import out_of_memory
    from refimpl.errors import DataError, RefimplError, UsageError

    from .console import error_line, printable
    from .help import Context, SummarizedGroup
except KeyboardInterrupt:  # importing takes a quarter of a second
    print("refimpl: interrupted", file=sys.stderr)
    sys.exit(INTERRUPTED)

COMMANDS = (
    "train",
    "sweep",
    "attack",
    "measure",
    "audit",
    "verify",
    "reproduce",
    "runs",
    "compare",
    "export",
    "zoo",
    "data",
    "bench",
    "exercise",
    "doctor",
)
NOT_READ = 141  # what a shell says of a process that SIGPIPE ended


class Group(SummarizedGroup):
    """Commands are imported when they are asked for; others join through the entry-point group `refimpl.commands`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *sorted(entry_points(group="refimpl.commands").names)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in COMMANDS:
            return self._wrapped(getattr(importlib.import_module(f".{name}", __package__), name))
        for plugin in entry_points(group="refimpl.commands", name=name):
            return self._wrapped(plugin.load())
        return None

    def _wrapped(self, command: click.Command) -> click.Command:
        """The command, whose help breaks no names either."""
        command.context_class = Context
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and not ctx.resilient_parsing and self.get_command(ctx, name) is None:
            names = self.list_commands(ctx)
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
            raise click.UsageError(f"no such command {name!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with _quiet_when_unread(), _exit_codes():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> object:
        with _quiet_when_unread(), _exit_codes():
            return super().invoke(ctx)


@contextmanager
def _exit_codes() -> Iterator[None]:
    try:
        yield
    except RefimplError as error:
        error_line(str(error))
        raise Exit(error.exit_code) from None
    except click.ClickException as error:
        said = io.StringIO()
        error.show(said)
        click.echo("\n".join(map(printable, said.getvalue().splitlines())), err=True)
        raise Exit(error.exit_code) from None
    except BrokenPipeError:
        raise
    except OSError as error:
        error_line(f"the system refused: {error}")
        raise Exit(DataError.exit_code) from None
    except (MemoryError, RuntimeError) as error:
        remedy = out_of_memory(error)
        if remedy is None:
            raise
        error_line(remedy)
        raise Exit(UsageError.exit_code) from None
    except KeyboardInterrupt:
        error_line("interrupted")
        raise Exit(INTERRUPTED) from None


@contextmanager
def _quiet_when_unread() -> Iterator[None]:
    """End as SIGPIPE would when the reader of a stream has gone; what is still buffered for it goes nowhere."""
    try:
        yield
    except BrokenPipeError:
        for stream in (sys.stdout, sys.stderr):
            try:
                if stream is not None:
                    stream.flush()
            except BrokenPipeError:  # which the interpreter would complain of at its exit
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise Exit(NOT_READ) from None


@click.command(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, package_name="refimpl")
def main() -> None:
    """Low-rank weights and adversarial robustness: train, attack and measure the nets of the paper, verify its claims.

    \b
    Exit codes: 0 done; 1 a bug; 2 usage, or a backend that cannot be had; 3 data;
    4 the numbers failed (NaN, divergence); 5 a verdict fell short;
    130 interrupted, resumable; 141 nobody reads the output any more.
    """
