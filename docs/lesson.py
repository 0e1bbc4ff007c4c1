"""Lessons: pages in Markdown whose code is taken from the source, and whose experiments run when the page is built.

A lesson is a file `NN-slug.md` in `docs/lessons`; formulas stand between dollar signs. These
blocks are replaced:

    ```{source} refimpl.layers.dense.affine
    ```

shows the source of a function, class, method or value without its docstring, with a link to the page that has both;

    ```{settings} refimpl.attacks.ATTACKS
    ```

shows the settings of all attacks, or of what else a registry has, in a table;

    ```{run}
    # alt: Accuracy against the number of steps: it falls from 96 to 4 per cent.
    pyplot.plot(steps, accuracy)
    print(accuracy[-1])
    ```

shows its code, what it prints, and each figure of matplotlib that is open at its end, with the alternative text that
the lines `# alt:` give in the same order. The blocks of a page share their variables and run in their order, on one
thread; a warning is an error.
"""

import contextlib
import importlib
import io
import traceback
import warnings
from collections.abc import Callable
from html import escape
from typing import Any

from refimpl.errors import DataError
from refimpl.settings import kinds
from refimpl.webpage import table

from .highlight import Resolve
from .markdown import Directive, code_block
from .names import Names
from .sources import Module

Address = Callable[[str], str | None]
"""The address of a full name, as a link on the page has it."""

SavePicture = Callable[[bytes], str]
"""Keeps an SVG picture beside the page, and says under which address."""

ALT = "# alt:"


def linker(names: Names, module: Module, address: Address) -> Resolve:
    """Addresses of names as they are written in `module`."""

    def resolve(name: str) -> str | None:
        full = names.full(name, module)
        return address(full) if full else None

    return resolve


def source_directive(names: Names, address: Address) -> Directive:
    """`{source} NAME`, with the full name of a function, class, method or value."""

    def directive(argument: str, content: str, line: int) -> str:
        module, block = names.definition(argument) or (None, None)
        if module is None or block is None:
            raise DataError(f"line {line}: no function, class or value is called {argument!r}")
        where = f'<a href="{escape(address(argument) or "")}"><code>{escape(argument)}</code></a>, {module.path}'
        code = code_block(block.whole, "python", linker(names, module, address))
        return f'<figure class="source">{code}<figcaption>{where}</figcaption></figure>\n'

    return directive


def settings_directive(argument: str, content: str, line: int) -> str:
    """`{settings} MODULE.REGISTRY`: the settings of everything in a registry, as their fields describe them."""
    module, _, registry = argument.rpartition(".")
    rows: dict[tuple[str, str, str], list[str]] = {}
    for name, kind in getattr(importlib.import_module(module), registry).items():
        for one, _ in kinds(kind):
            about = one.metadata["about"]
            rows.setdefault((one.name, about.help, about.unit), []).append(name)
    cells = ((*what, ", ".join(names)) for what, names in sorted(rows.items()))
    return table(f"Settings in {argument}", ["Setting", "What it is", "Unit", "Of"], cells)


class Runner:
    """The code blocks of one page, in their order."""

    def __init__(self, where: str, names: Names, address: Address, save: SavePicture) -> None:
        self.where, self.names, self.address, self.save = where, names, address, save
        self.variables: dict[str, Any] = {"__name__": "__main__"}
        self.code = ""

    def __call__(self, argument: str, content: str, line: int) -> str:
        shown = "".join(one for one in content.splitlines(keepends=True) if not one.startswith(ALT))
        alts = [one.removeprefix(ALT).strip() for one in content.splitlines() if one.startswith(ALT)]
        printed, pictures = self._run(content, line)
        self.code += content
        if len(pictures) != len(alts) or not all(alts):
            raise DataError(f"line {line}: it draws {len(pictures)} figures; {len(alts)} lines `{ALT}` describe them")
        parts = [code_block(shown, "python", linker(self.names, Module("", "", self.code), self.address))]
        if printed:
            words = escape(printed.rstrip(), quote=False)
            parts.append(f'<pre class="output" tabindex="0"><samp>{words}\n</samp></pre>')
        for picture, alt in zip(pictures, alts, strict=True):
            parts.append(f'<img class="picture" src="{escape(self.save(picture))}" alt="{escape(alt)}">')
        return '<div class="run">' + "\n".join(parts) + "</div>\n"

    def _run(self, content: str, line: int) -> tuple[str, list[bytes]]:
        """What the code prints, and its figures as SVG. An error names the line of the page."""
        from matplotlib import pyplot
        from refimpl_figures.drawing import styled

        printed = io.StringIO()
        with warnings.catch_warnings(), styled(), contextlib.redirect_stdout(printed):
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", "invalid value encountered in (dot|matmul)")  # BLAS: of lanes it discards
            pyplot.switch_backend("agg")
            try:
                exec(compile("\n" * line + content, self.where, "exec"), self.variables)
                return printed.getvalue(), [_svg(pyplot.figure(number)) for number in pyplot.get_fignums()]
            except Exception as error:
                frames = traceback.extract_tb(error.__traceback__)
                lines = [frame.lineno for frame in frames if frame.filename == self.where]
                raise DataError(f"line {lines[-1] if lines else line}: {type(error).__name__}: {error}") from error
            finally:
                pyplot.close("all")


def _svg(figure: Any) -> bytes:
    """The picture, without a date: the same numbers give the same bytes."""
    content = io.BytesIO()
    figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return content.getvalue()
