"""The files that a program reads again, each as a type that its content is checked against.

A file may hold more keys than its type names: what an attack says of itself depends on the attack. `null` stands for a
number that is not finite.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict, TypeVar

import msgspec

from ..atomic import read_bytes
from ..errors import DataError

T = TypeVar("T")

MAX_BYTES = 2**26

Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
SHA256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Interval = tuple[float | None, float | None]


class DataHashes(TypedDict):
    """The SHA-256 of a data set's files, by role."""

    name: str
    source: str
    sha256: dict[str, SHA256]


class Seed(TypedDict):
    entropy: int
    streams: list[str]


class Stack(TypedDict):
    """The runs that are trained together: the names of their folders, side by side."""

    size: Positive
    runs: list[str]


class Manifest(TypedDict):
    """manifest.json.

    `checkpoint` is the epoch of the newest checkpoint there was when the manifest was written; `history_sha256` is that
    of history.jsonl, of a finished run; `reason` says why one failed, `diverged` is the epoch that did. `seconds` are
    of the clock, `cpu_seconds` of all cores, of a run in a stack its part of those of the stack; `peak_memory_bytes` is
    the most memory that the process held, while the run was trained and monitored.
    """

    status: Literal["running", "finished", "interrupted", "failed"]
    started: str
    seconds: Annotated[float, msgspec.Meta(ge=0)]
    cpu_seconds: NotRequired[Annotated[float, msgspec.Meta(ge=0)]]
    peak_memory_bytes: NotRequired[Count | None]
    data: DataHashes
    seed: Seed
    python: str
    platform: str
    processor: str
    cores: int | None
    packages: dict[str, str]
    blas: list[dict[str, Any]]
    numpy_kernel: str | None
    openblas_coretype: str | None
    git: dict[str, Any] | None
    gpu: NotRequired[str]
    cupy: NotRequired[str]
    cuda_driver: NotRequired[str]
    cuda_runtime: NotRequired[str]
    cublas: NotRequired[str]
    cusolver: NotRequired[str]
    cupy_tf32: NotRequired[str]
    ended: NotRequired[str]
    reason: NotRequired[str]
    checkpoint: NotRequired[Count]
    catastrophic_overfitting: NotRequired[Positive | None]
    history_sha256: NotRequired[SHA256]
    diverged: NotRequired[Positive]
    stack: NotRequired[Stack]


class Layer(TypedDict):
    """What is measured of a weight matrix; without `shape` in history.jsonl. Information is in bits."""

    name: str
    effective_rank: float | None
    effective_sparsity: float | None
    shape: NotRequired[tuple[Positive, Positive]]
    rank: NotRequired[Positive]
    condition_number: NotRequired[float | None]
    mutual_information_lower: NotRequired[float | None]
    mutual_information_upper: NotRequired[float | None]
    label_information_lower: NotRequired[float | None]
    label_information_upper: NotRequired[float | None]


class Fooling(TypedDict):
    """What every result of an attack says."""

    attack: str
    eps: float
    n: Count
    n_correct: Count
    fooling_ratio: Fraction | None


class LoggedFooling(Fooling):
    """What history.jsonl keeps of an attack; older ones have no robust accuracy."""

    robust_accuracy: NotRequired[Fraction]
    examples_seed: NotRequired[Count]


class Log(TypedDict):
    """A line of history.jsonl."""

    epoch: Positive
    loss: float
    test_loss: float
    accuracy: Fraction
    layers: list[Layer]
    attacks: NotRequired[list[LoggedFooling]]


class Summary(Fooling):
    """The counts of an attack, and its settings, which depend on the attack.

    `examples_seed` is that of the draw where the test images are some of more; without it a result on fewer than all is
    of the first, as older programs took them.
    """

    norm: str
    n_fooled: Count
    accuracy: Fraction
    fooling_ratio_interval_95: Interval
    mean_distance: float | None
    zero_gradients: Count
    robust_accuracy: Fraction
    examples_seed: NotRequired[Count]
    median_distance: NotRequired[float | None]
    n_reached: NotRequired[Count]
    rank: NotRequired[Count | None]
    eps_weights: NotRequired[float | dict[str, float]]
    n_certified: NotRequired[Count]
    truncated: NotRequired[Fraction]
    surrogate: NotRequired[str]
    matched_eps: NotRequired[float]
    nuclear_norm: NotRequired[float | None]
    perturbation_rank: NotRequired[float | None]
    spectral_fraction: NotRequired[list[float | None]]


class Origin(TypedDict):
    """What a result was made from: a checkpoint, by the hash in it, and the files of a data set."""

    epoch: Count
    checkpoint_sha256: SHA256
    data_sha256: dict[str, SHA256]


class AttackFile(Summary, Origin):
    """attacks/NAME.json."""


class Measures(Origin):
    """measure.json."""

    run: str
    dataset: str
    n: Positive
    test_loss: float
    accuracy: Fraction
    accuracy_interval_95: Interval
    layers: list[Layer]
    weights: Positive
    full_weights: Positive
    sigma2: NotRequired[float]


class ExperimentResult(Origin):
    """result.json, what `refimpl reproduce` measures of a run."""

    method: str
    assumption: str
    arch: str
    dataset: str
    seed: Count
    accuracy: Fraction
    layers: list[Layer]
    attacks: list[Summary]
    catastrophic_overfitting: Positive | None


class ContraryAttacks(TypedDict):
    """PGD on all test images and the ensemble on some, at the paper's budget and at that for the net's scale."""

    eps: list[Summary]
    eps_scaled: list[Summary]


class ContraryResult(Origin):
    """contrary.json, what `refimpl reproduce --contrary` measures of a run; lists have an item for each layer."""

    method: str
    seed: Count
    dataset: str
    accuracy: Fraction
    effective_ranks: list[float | None]
    spectral_norms: list[float]
    attacks: ContraryAttacks


class ContraryRow(TypedDict):
    """A method of the contrary evidence: each quantity by seed; `norms` is the product of the spectral norms."""

    method: str
    of: str
    by_seed: dict[str, dict[str, float]]


class ContraryRecord(TypedDict):
    """contrary.json of `refimpl reproduce --contrary`, and the record of it that the package holds."""

    dataset: str
    assumption: str
    eps: float
    rows: list[ContraryRow]
    commits: list[str]
    processors: list[str]
    core_hours: float


class AuditCheck(TypedDict):
    """A line of an audit; `done` is false where a check does not apply, too, which is grey."""

    check: str
    asks: str
    source: str
    colour: Literal["red", "amber", "green", "grey"]
    done: bool
    value: str
    number: float | None
    reason: str
    todo: str
    details: dict[str, Any]


class AuditAttack(TypedDict):
    """An attack of an audit, with its settings; `by` is the other net whose gradient it followed, if there is one."""

    attack: str
    by: str
    norm: str
    eps: float
    n: Count
    n_correct: Count
    n_fooled: Count
    fooling_ratio: Fraction
    robust_accuracy: Fraction
    seconds: float


class AuditExamples(TypedDict):
    """Columns of the correctly classified examples: index into the test set, and what was found of each."""

    index: list[Count]
    label: list[Count]
    found_by: list[str | None]
    smallest_perturbation: list[float | None]
    certified_radius: NotRequired[list[float]]


class AuditFile(Origin):
    """audit.json."""

    run: str
    dataset: str
    network: str
    method: str
    settings: dict[str, Any]
    surrogates: list[dict[str, str]]
    n: Positive
    n_correct: Positive
    accuracy: Fraction
    robust_accuracy: Fraction
    robust_accuracy_interval_95: Interval
    seconds: float
    checks: list[AuditCheck]
    attacks: list[AuditAttack]
    checklist: list[dict[str, Any]]
    examples: AuditExamples


class ZooRow(TypedDict):
    """An entry of the zoo as its index knows it, with the SHA-256 of its files."""

    name: Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9.-]*$")]
    arch: str
    dataset: str
    method: str
    assumption: str
    seed: Count
    epochs: Positive
    accuracy: Fraction
    sha256: dict[str, SHA256]


class ZooIndex(TypedDict):
    """index.json of the zoo."""

    entries: list[ZooRow]


class ZooEntry(TypedDict):
    """entry.json: of a run what its files hold, of its history the last line."""

    manifest: Manifest
    log: Log
    measures: Measures
    attacks: list[AttackFile]


class PaperNumber(TypedDict):
    """A number of Tables 1 and 2 beside ours."""

    arch: str
    dataset: str
    assumption: str
    method: str
    quantity: str
    paper: float | None
    mean: float
    standard_deviation: float | None
    n: Positive
    by_seed: NotRequired[dict[str, float]]
    pgd_fools: float | None
    tolerance: float
    tolerance_reason: str
    reproduced: bool | None


class ClaimEffect(TypedDict):
    """`smallest_effect` is what the seeds could have shown, `of_interest` the smallest fall that is of interest.

    Older ones lack both, and whether an effect decides its claim.
    """

    assumption: str
    decides: NotRequired[bool]
    effect: str
    mean: float | None
    interval_95: Interval
    smallest_effect: NotRequired[float | None]
    of_interest: NotRequired[float | None]
    interest_excluded: NotRequired[bool]
    n: Positive
    by_seed: NotRequired[dict[str, float | None]]
    verdict: str


class Claim(TypedDict):
    claim: str
    arch: str
    dataset: str
    words: str
    verdict: str
    by_assumption: NotRequired[dict[str, str]]
    effects: list[ClaimEffect]


class Cost(TypedDict):
    """What training the runs of a net under an assumption took; `estimated` runs, older ones, without CPU time."""

    arch: str
    assumption: str
    runs: Positive
    core_hours: Annotated[float, msgspec.Meta(ge=0)]
    hours: Annotated[float, msgspec.Meta(ge=0)]
    estimated: Count
    peak_memory_bytes: Count | None
    processors: list[str]


class VerdictFile(TypedDict):
    """verdict.json, and the record of it that the package holds."""

    profile: str
    numbers: list[PaperNumber]
    claims: list[Claim]
    costs: NotRequired[list[Cost]]


Header = TypedDict("Header", {"__metadata__": NotRequired[dict[str, str]]})
"""The first part of a safetensors file, as far as it is read here."""


class CheckpointRecord(TypedDict):
    """What a checkpoint's metadata says under `refimpl`."""

    format: str
    epoch: Count
    sha256: SHA256


RENAMED = {"adversarial_accuracy": "robust_accuracy"}
"""Keys of older files by their names today."""


def read_json(path: Path, kind: type[T]) -> T:
    """The content of a JSON file. Raises `DataError`, naming the file and the place in it, where it is not a `kind`."""
    return from_json(read_bytes(path, MAX_BYTES), kind, str(path))


def read_lines(path: Path, kind: type[T]) -> list[T]:
    """The records of a JSON-lines file; a last line without its end, torn by a crash, is not counted.

    Raises `DataError`, naming the file and the line, where one is not a `kind`.
    """
    return parse_lines(read_bytes(path, MAX_BYTES), kind, str(path))


def parse_lines(content: bytes, kind: type[T], where: str) -> list[T]:
    """`read_lines` of content already read from `where`."""
    lines = content.split(b"\n")[:-1]
    return [from_json(line, kind, f"{where}, line {number}") for number, line in enumerate(lines, start=1)]


def from_json(content: bytes | str, kind: type[T], where: str) -> T:
    """A value as it stands in JSON, with all its keys. Raises `DataError`, naming `where`, where it is not a `kind`."""
    try:
        value: T = _renamed(msgspec.json.decode(content))
        msgspec.convert(value, kind)
    except RecursionError:
        raise DataError(f"{where} is damaged: it is nested too deeply") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise DataError(f"{where} is damaged: {error}") from None
    return value


def _renamed(value: Any) -> Any:
    """The value with its keys under their names of today."""
    if isinstance(value, dict):
        return {RENAMED.get(key, key): _renamed(item) for key, item in value.items()}
    return [_renamed(item) for item in value] if isinstance(value, list) else value
