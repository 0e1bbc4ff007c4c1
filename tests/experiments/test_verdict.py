"""The verdict: numbers within a tolerance, claims as effects over seeds; and how it compares with another one."""

import json
import math
import statistics

import pytest

from refimpl.errors import DataError
from refimpl.experiments import ACCURACY, CONTROL
from refimpl.experiments.claims import CLAIMS
from refimpl.experiments.tables import comparison, tables
from refimpl.experiments.verdict import DEPENDS, SMALL, SUPPORTED, UNDECIDED, UNSUPPORTED, compare, verdict
from refimpl.runs.results import to_json


def result(method, seed, assumption="literal", accuracy=0.95, **measured):
    """A result of the fully connected net; `measured` has rank, pgd and dataset where they matter."""
    pgd = measured.get("pgd", 0.9)
    layer = {"effective_rank": measured.get("rank", 4.0), "effective_sparsity": 100.0}
    layer |= {"mutual_information_lower": 8.0, "mutual_information_upper": 12.0}
    return {
        "arch": "fcnn",
        "dataset": measured.get("dataset", "mnist"),
        "assumption": assumption,
        "method": method,
        "seed": seed,
        "accuracy": accuracy,
        "layers": [layer] * 6,
        "attacks": [{"attack": name, "fooling_ratio": pgd} for name in ("fgsm", "pgd", "gnm")],
        "course": {"pgd": pgd},
    }


def rows(found, claim):
    (row,) = (row for row in found["claims"] if row["claim"] == claim)
    return row


def test_a_number_is_reproduced_within_its_tolerance_of_the_mean():
    """Tables 1 and 2 of Appendix A."""
    found = verdict([result("natural", seed, accuracy=a) for seed, a in enumerate((0.9500, 0.9520, 0.9540))])
    (row,) = found["numbers"]
    assert (row["paper"], row["n"], row["reproduced"]) == (0.9508, 3, True)
    assert row["mean"] == pytest.approx(0.952)
    assert row["standard_deviation"] == pytest.approx(0.002)
    assert not verdict([result("natural", 0, accuracy=0.96)])["numbers"][0]["reproduced"]
    assert verdict([result(CONTROL, 0)])["numbers"][0]["reproduced"] is None


def test_an_effect_is_supported_when_its_interval_is_below_zero_and_not_when_above():
    """What Claims 1 and 2 are judged by."""
    for change, expected in ((-1.0, SUPPORTED), (1.0, UNSUPPORTED)):
        runs = [result("l1-0.01", s, rank=4 + change + 0.01 * s) for s in range(3)]
        runs += [result(CONTROL, s) for s in range(3)]
        row = rows(verdict(runs), "c")
        assert row["verdict"] == expected
        (effect,) = row["effects"]
        low, high = effect["interval_95"]
        assert effect["mean"] == pytest.approx(change + 0.01)
        assert low < effect["mean"] < high
        assert (high - low) / 2 == pytest.approx(4.3027 * 0.01 / 3**0.5, rel=1e-4)  # Student, 2 degrees of freedom


def test_one_seed_or_an_interval_around_zero_decides_nothing_and_two_assumptions_may_differ():
    pair = [result("l1-0.01", 0, rank=3.0), result(CONTROL, 0)]
    assert rows(verdict(pair), "c")["verdict"] == UNDECIDED
    noisy = [result("l1-0.01", s, rank=4 + (-1) ** s) for s in range(4)] + [result(CONTROL, s) for s in range(4)]
    assert rows(verdict(noisy), "c")["verdict"] == UNDECIDED
    runs = [result("l1-0.01", s, "literal", rank=3.0 + 0.01 * s) for s in range(3)]
    runs += [result("l1-0.01", s, "adam-clipped", rank=5.0 + 0.01 * s) for s in range(3)]
    runs += [result(CONTROL, s, assumption) for s in range(3) for assumption in ("literal", "adam-clipped")]
    assert rows(verdict(runs), "c")["verdict"] == DEPENDS
    assert rows(verdict(runs), "e")["verdict"] == UNDECIDED  # nothing ran for it


def test_a_fall_of_interest_is_excluded_or_left_open():
    """The smallest effect of interest is a twentieth of the baseline, 0.2 of a rank of 4."""
    control = [result(CONTROL, s) for s in range(3)]
    for spread, expected in ((0.01, SMALL), (1.0, UNDECIDED)):
        runs = [result("l1-0.01", s, rank=4 + spread * (s - 1)) for s in range(3)]
        row = rows(verdict(runs + control), "c")
        (effect,) = row["effects"]
        assert effect["of_interest"] == pytest.approx(0.2)
        assert (row["verdict"], effect["interest_excluded"]) == (expected, expected == SMALL)
    tiny = [result("l1-0.01", s, rank=3.99 + 0.001 * s) for s in range(3)]
    (effect,) = rows(verdict(tiny + control), "c")["effects"]
    assert (effect["verdict"], effect["interest_excluded"]) == (SUPPORTED, True)
    *_, (_, header, cells) = tables(verdict(tiny + control))
    shown = dict(zip(header, cells[0], strict=True))
    assert shown["verdict"] == "supported, no fall larger than 0.2"
    assert float(shown["could have been shown"]) == pytest.approx(effect["smallest_effect"], rel=1e-2)


def test_what_speaks_against_a_claim_is_corrected_for_the_number_of_its_effects():
    """Alone, p is below the level; of four effects, the others undecided, it has to be below a quarter of it."""
    runs = [result(CONTROL, s) for s in range(3)]
    runs += [result("nuclear-0.01", s, pgd=0.9 + 0.015 * (s - 1)) for s in range(3)]
    (alone,) = rows(verdict(runs), "f")["effects"]
    assert (alone["verdict"], alone["interest_excluded"]) == (SMALL, True)
    for method in ("l1-0.01", "l1-0.01-nuclear-0.01", "l1-0.01-joint-0.001"):
        runs += [result(method, s, pgd=0.5 + 0.4 * (s - 1)) for s in range(3)]
    (among,) = (one for one in rows(verdict(runs), "f")["effects"] if one["effect"] == alone["effect"])
    assert among["interval_95"] == alone["interval_95"]
    assert (among["verdict"], among["interest_excluded"]) == (UNDECIDED, False)


def test_effects_beside_a_claim_decide_nothing_and_come_last():
    (claim,) = (one for one in CLAIMS if one.name == "g")
    runs = []
    for method, sparsity in ((CONTROL, 100.0), ("pgd", 80.0), ("fgsm", 120.0)):
        for seed in range(3):
            one = result(method, seed)
            layer = one["layers"][0] | {"effective_sparsity": sparsity, "effective_rank": sparsity / 20 + 0.01 * seed}
            runs.append(one | {"arch": "cnn", "layers": [layer] * 3})
    row = rows(verdict(runs), "g")
    assert row["verdict"] == SUPPORTED
    assert [one["decides"] for one in row["effects"]] == [True] * 4 + [False] * 3
    assert {one["verdict"] for one in row["effects"][4:]} == {UNSUPPORTED}
    assert max(len(one.effects) for one in CLAIMS) <= len(claim.effects) == 4


def test_natural_training_is_fooled_slightly_below_always():
    for pgd, expected in ((0.97, SUPPORTED), (0.5, UNSUPPORTED)):
        runs = [result("natural", s, pgd=pgd + 0.001 * s) for s in range(3)]
        assert rows(verdict(runs), "j")["verdict"] == expected


def test_a_number_that_is_none_decides_nothing():
    runs = [result("l1-0.01", s, rank=math.nan) for s in range(3)] + [result(CONTROL, s) for s in range(3)]
    assert rows(verdict(runs), "c")["verdict"] == UNDECIDED


def test_claims_rest_on_the_assumptions_judged_and_the_comparison_has_all():
    others = [result(method, 0, "late", accuracy=0.94) for method in ACCURACY["fcnn"]]
    found = verdict([result("natural", 0), *others])
    assert {effect["assumption"] for claim in found["claims"] for effect in claim["effects"]} == {"literal"}
    assert "late" not in str(tables(found))
    title, header, (paper, literal, late) = comparison(found, "fcnn")
    assert title == "Assumptions against Table 1, fully connected net, MNIST"
    assert header[-2:] == ["points off", "PGD fools natural"]
    off = statistics.fmean(abs(94 - 100 * accuracy) for accuracy in ACCURACY["fcnn"].values())
    assert late[-2:] == [f"{off:.2f}", "90.0 %"]
    assert literal[3:-1] == [""] * len(ACCURACY["fcnn"])  # a mean over natural training alone compares with none
    assert paper[2] == "95.08 %"


def paper(runs):
    """The verdict on these runs as it is read from its file."""
    return json.loads(to_json({"profile": "paper", **verdict(runs)}))


def without_seeds(found):
    """As a record of another version is: how many seeds, but not which."""
    return {
        "profile": found["profile"],
        "numbers": [{key: value for key, value in row.items() if key != "by_seed"} for row in found["numbers"]],
        "claims": [
            row | {"effects": [{k: v for k, v in effect.items() if k != "by_seed"} for effect in row["effects"]]}
            for row in found["claims"]
        ],
    }


def test_what_was_better_on_record_is_named():
    good = paper([result("natural", s, accuracy=0.95, pgd=0.97 + 0.001 * s) for s in range(5)])
    bad = paper([result("natural", s, accuracy=0.9, pgd=0.97 + 0.001 * s) for s in range(5)])
    assert compare(good, good).worse == compare(good, bad).worse == []
    for recorded in (good, without_seeds(good)):
        assert compare(bad, recorded).worse == ["fcnn literal natural: 0.9000, was 0.9500"]
    fooled = paper([result("natural", s, pgd=0.5 + 0.001 * s) for s in range(5)])
    assert compare(fooled, good).worse == ["claim j: not supported, was supported"]


def test_fewer_seeds_or_methods_than_on_record_are_not_worse():
    """Seed 1 alone is out of the tolerance, in the record too: the same bits are not worse."""
    accuracies = (0.951, 0.944, 0.952)
    runs = [result("natural", s, accuracy=a, pgd=0.97 + 0.001 * s) for s, a in enumerate(accuracies)]
    control = [result(CONTROL, s) for s in range(3)]
    recorded = paper([*runs, *control])
    assert recorded["numbers"][0]["reproduced"]
    alone = compare(paper(runs[1:2]), recorded)
    assert (alone.worse, alone.compared) == ([], 1)
    assert "claim j" in alone.not_compared  # one seed decides nothing
    fewer = compare(paper(runs), recorded)
    assert fewer.worse == []
    unknown = compare(paper(runs[1:2]), without_seeds(recorded))
    assert (unknown.worse, unknown.compared) == ([], 0)
    assert "fcnn literal natural" in unknown.not_compared
    other = compare(paper([result("natural", s, accuracy=0.9) for s in (1, 2, 3)]), recorded)
    assert other.worse == ["fcnn literal natural: 0.9000, was 0.9480"]  # over seeds 1 and 2


def test_other_data_than_the_papers_are_not_compared_with_it():
    found = verdict([result("natural", 0, dataset="strokes-small")])
    assert {(row["dataset"], row["paper"], row["reproduced"]) for row in found["numbers"]} == {
        ("strokes-small", None, None)
    }
    numbers, claims, *_ = tables(found)
    assert numbers[:2] == ("Fully connected net, strokes-small", ["method", "literal"])
    assert claims[0] == "Claims, measured on strokes-small"
    with pytest.raises(DataError, match="the runs of fcnn are of mnist and strokes-small"):
        verdict([result("natural", 0), result("natural", 1, dataset="strokes-small")])
