"""The reproduced tables as text: Markdown for the README, rows for a page."""

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from .assumptions import ASSUMPTIONS, JUDGED
from .paper import ACCURACY, DATASETS, TOLERANCE
from .plan import SOURCE
from .verdict import SMALL, UNSUPPORTED

TITLES = {"fcnn": "Table 1, fully connected net, MNIST", "cnn": "Table 2, CNN, Fashion-MNIST"}
NETS = {"fcnn": "Fully connected net", "cnn": "CNN"}
Table = tuple[str, list[str], list[list[str]]]


def tables(found: dict[str, Any]) -> list[Table]:
    """A title, a header and rows of cells for each table of the paper, for its claims, their effects, and the costs.

    Of other data than the paper's there is no comparison with its numbers.
    """
    made = [made for arch in TITLES if (made := _accuracies(arch, found["numbers"]))]
    claims = [[row["claim"], row["words"], claim_in_words(row)] for row in found["claims"]]
    others = sorted({row["dataset"] for row in found["claims"] if not of_paper(row)})
    title = f"Claims, measured on {' and '.join(others)}" if others else "Claims"
    return [*made, (title, ["", "the paper", "verdict"], claims), *effects_and_costs(found)]


def effects_and_costs(found: dict[str, Any]) -> list[Table]:
    """The table of effects and that of costs, where they have rows."""
    return [table for table in (_effects(found), _costs(found)) if table[2]]


def claim_in_words(row: dict[str, Any]) -> str:
    """The verdict on a claim, and on what it depends."""
    by_assumption = row.get("by_assumption", {})
    if len(set(by_assumption.values())) < 2:
        return row["verdict"]
    return f"{row['verdict']}: " + ", ".join(f"{name} {said}" for name, said in by_assumption.items())


def _effects(found: dict[str, Any]) -> Table:
    """What each claim rests on, the effects that decide it first, with what so many seeds could have shown."""
    rows = [
        [claim["claim"], one["assumption"], one["effect"], _effect_in_words(one),
         f"{one['mean']:+.3g}", _interval(one["interval_95"]), _or_nothing(one["smallest_effect"]),
         _or_nothing(one["of_interest"]), str(one["n"])]
        for claim in found["claims"] for one in claim["effects"] if "smallest_effect" in one
    ]  # fmt: skip
    header = ["claim", "assumption", "effect", "verdict", "difference", "95 % interval", "could have been shown",
              "of interest", "seeds"]  # fmt: skip
    return "Effects", header, rows


def _effect_in_words(one: dict[str, Any]) -> str:
    said = [] if one["verdict"] == SMALL else [one["verdict"]]
    if one["interest_excluded"] and one["verdict"] != UNSUPPORTED:
        said.append(f"no fall larger than {one['of_interest']:.3g}")
    return ", ".join([*said, *([] if one["decides"] else ["decides nothing"])])


def _interval(ends: Sequence[float | None]) -> str:
    low, high = (math.nan if end is None else end for end in ends)
    return f"{low:+.3g} to {high:+.3g}" if math.isfinite(high - low) else ""


def _or_nothing(number: float | None) -> str:
    return "" if number is None or not math.isfinite(number) else f"{number:.3g}"


def _costs(found: dict[str, Any]) -> Table:
    """What training took, by net and assumption."""
    rows = []
    for row in found.get("costs", ()):
        peak = row["peak_memory_bytes"]
        about = "about " if row["estimated"] else ""
        rows.append(
            [row["arch"], row["assumption"], str(row["runs"]), f"{about}{row['core_hours']:.3g}", f"{row['hours']:.3g}",
             "not known" if peak is None else f"{peak / 2**20:.0f} MiB", ", ".join(row["processors"])]
        )  # fmt: skip
    return "Costs of training", ["net", "assumption", "runs", "core hours", "hours", "peak memory", "processor"], rows


def costs_in_words(found: dict[str, Any]) -> str:
    """Core hours in all, and the largest peak."""
    rows = found.get("costs", [])
    peaks = [row["peak_memory_bytes"] for row in rows if row["peak_memory_bytes"] is not None]
    memory = f", at most {max(peaks) / 2**20:.0f} MiB" if peaks else ""
    about = "about " if any(row["estimated"] for row in rows) else ""
    return f"{about}{sum(row['core_hours'] for row in rows):.3g} core hours of training{memory}"


def of_paper(row: dict[str, Any]) -> bool:
    """Whether a row is of the data that the paper trains the net on."""
    return bool(row["dataset"] == DATASETS[row["arch"]])


def _accuracies(arch: str, numbers: list[dict[str, Any]]) -> Table | None:
    """A number within the tolerance of the paper's is marked with an asterisk."""
    rows = [row for row in numbers if row["arch"] == arch and row["assumption"] in JUDGED]
    if not rows:
        return None
    assumptions = [name for name in JUDGED if any(row["assumption"] == name for row in rows)]
    cells = {(row["method"], row["assumption"]): row for row in rows}
    compared, body = of_paper(rows[0]), []
    for method in dict.fromkeys(row["method"] for row in rows):
        paper = next(row["paper"] for row in rows if row["method"] == method)
        theirs = ["" if paper is None else f"{100 * paper:.2f} %"] if compared else []
        body.append([method, *theirs, *(_accuracy(cells.get((method, name))) for name in assumptions)])
    title = TITLES[arch] if compared else f"{NETS[arch]}, {rows[0]['dataset']}"
    return title, ["method", *(["paper"] if compared else []), *assumptions], body


def _accuracy(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    spread = "" if row["standard_deviation"] is None else f" ± {100 * row['standard_deviation']:.2f}"
    return f"{100 * row['mean']:.2f}{spread} %" + (" *" if row["reproduced"] else "")


def comparison(found: dict[str, Any], arch: str) -> Table:
    """Every assumption against the rows of the paper's table that it has: points off on average, where it has all of
    them, and how often PGD fools."""
    methods = list(ACCURACY[arch])
    body = []
    for name, assumption in ASSUMPTIONS[arch].items():
        numbers = [r for r in found["numbers"] if (r["arch"], r["assumption"]) == (arch, name) and of_paper(r)]
        rows = {row["method"]: row | {"standard_deviation": None} for row in numbers if row["method"] in methods}
        if SOURCE in rows:
            seeds = str(min(row["n"] for row in rows.values()))
            cells = [_accuracy(rows.get(method)) for method in methods]
            fools = f"{100 * rows[SOURCE]['pgd_fools']:.1f} %"
            body.append([f"`{name}`: {assumption.words}", seeds, *cells, _points_off(rows, arch), fools])
    paper = ["the paper", "", *(f"{100 * accuracy:.2f} %" for accuracy in ACCURACY[arch].values()), "", "below 100 %"]
    header = ["assumption", "seeds", *methods, "points off", "PGD fools natural"]
    return f"Assumptions against {TITLES[arch]}", header, [paper, *body]


def _points_off(rows: dict[str, Any], arch: str) -> str:
    """Empty where a row is missing: means over different rows do not compare."""
    if rows.keys() < ACCURACY[arch].keys():
        return ""
    off = [abs(rows[method]["mean"] - paper) for method, paper in ACCURACY[arch].items()]
    return f"{100 * statistics.fmean(off):.2f}"


def numbers_in_words(found: dict[str, Any]) -> str:
    """How many accuracies are near the paper's, or that they are of other data."""
    if others := sorted({row["dataset"] for row in found["numbers"] if not of_paper(row)}):
        return f"of {' and '.join(others)}, other data than the paper's: not compared"
    judged = [row["reproduced"] for row in found["numbers"] if row["reproduced"] is not None]
    return f"{sum(judged)} of {len(judged)} within {100 * TOLERANCE:g} points of the paper's"


def claims_in_words(found: dict[str, Any]) -> str:
    """How many claims have which verdict."""
    verdicts = Counter(row["verdict"] for row in found["claims"])
    return ", ".join(f"{n} {words}" for words, n in verdicts.items()) or "none"


def markdown(found: Sequence[Table]) -> str:
    parts = []
    for title, header, rows in found:
        lines = [header, ["---"] * len(header), *rows]
        parts.append(f"**{title}**\n\n" + "\n".join("| " + " | ".join(cells) + " |" for cells in lines))
    return "\n\n".join(parts) + "\n"
