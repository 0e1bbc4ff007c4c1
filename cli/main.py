"""The group of commands, and the one place where an error becomes a line and an exit code."""

import importlib
from importlib.metadata import entry_points

import click

from refimpl import __version__
from refimpl.errors import DataError, RefimplError

from .console import err

COMMANDS = ("train", "attack", "measure", "verify", "reproduce", "runs", "data", "bench", "doctor")
INTERRUPTED = 130


class Group(click.Group):
    """Commands are imported when they are asked for; others join through the entry-point group `refimpl.commands`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *sorted(entry_points(group="refimpl.commands").names)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in COMMANDS:
            command: click.Command = getattr(importlib.import_module(f".{name}", __package__), name)
            return command
        for plugin in entry_points(group="refimpl.commands", name=name):
            loaded: click.Command = plugin.load()
            return loaded
        return None

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except RefimplError as error:
            err.print(f"refimpl: {error}", style="bold red", markup=False, highlight=False, soft_wrap=True)
            ctx.exit(error.exit_code)
        except BrokenPipeError:
            raise  # click ends quietly when nobody reads any more
        except OSError as error:
            err.print(f"refimpl: the system refused: {error}", style="bold red", markup=False, soft_wrap=True)
            ctx.exit(DataError.exit_code)
        except KeyboardInterrupt:
            err.print("refimpl: interrupted", style="bold red")
            ctx.exit(INTERRUPTED)


@click.command(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, package_name="refimpl")
def main() -> None:
    """Low-rank weights and adversarial robustness: train, attack and measure the nets of the paper, verify its claims.

    \b
    Exit codes: 0 done; 1 a bug; 2 usage, or a backend that cannot be had; 3 data;
    4 the numbers failed (NaN, divergence); 5 a verdict fell short; 130 interrupted, resumable.
    """
