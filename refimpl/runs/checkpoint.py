"""Checkpoints: parameters and optimizer state after an epoch, in one safetensors file that carries its own hash."""

import hashlib
import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ..atomic import read_bytes, write_bytes
from ..backend import Params, to_host
from ..errors import DataError
from ..optimizers.base import State
from .schema import CheckpointRecord, Header, from_json

FORMAT = "refimpl-checkpoint-1"
MAX_BYTES = 2**30


def name_of(epoch: int) -> str:
    return f"epoch-{epoch:05d}.safetensors"


def epoch_of(path: Path) -> int | None:
    """The epoch that a file is of, by its name; None for another file."""
    found = re.fullmatch(r"epoch-(\d+)\.safetensors", path.name)
    return int(found[1]) if found else None


class Checkpoint(NamedTuple):
    """`params` and `state` after `epoch` epochs; `sha256` is the hash in the file that they were read from."""

    epoch: int
    params: Params
    state: State
    sha256: str = ""


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Atomically. Parameters keep their names (`W1`, `b1`, ...) for any reader; the state's begin with `state/`."""
    write_bytes(path, content(checkpoint))


def content(checkpoint: Checkpoint) -> bytes:
    """What the file of a checkpoint holds."""
    tensors = _tensors(checkpoint)
    record = {"format": FORMAT, "epoch": checkpoint.epoch, "sha256": _digest(tensors, checkpoint.epoch)}
    # One entry: safetensors writes several in any order, and equal checkpoints should be equal files.
    return save(tensors, {"refimpl": json.dumps(record)})


def sha256(checkpoint: Checkpoint) -> str:
    """The hash that the file of a checkpoint carries, or would carry."""
    return _digest(_tensors(checkpoint), checkpoint.epoch)


def _tensors(checkpoint: Checkpoint) -> Params:
    """What a file holds, by name."""
    tensors = {name: to_host(p) for name, p in checkpoint.params.items()}
    tensors |= {f"state/{name}": to_host(x) for name, x in checkpoint.state.items()}
    return {name: np.ascontiguousarray(x) for name, x in tensors.items()}


def read(path: Path) -> Checkpoint:
    """Raises `DataError` unless the file is whole, its hash right and every number finite."""
    found = read_bytes(path, MAX_BYTES)
    try:
        tensors = load(found)
        record = _record(found, path)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a readable safetensors file, or a damaged one: {error}") from None
    if record["sha256"] != _digest(tensors, record["epoch"]):
        raise DataError(f"{path} is damaged: its content does not have the SHA-256 it was written with")
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise DataError(f"{path}: {name} has values that are not finite")
    params = {name: x for name, x in tensors.items() if not name.startswith("state/")}
    state = {name.removeprefix("state/"): x for name, x in tensors.items() if name.startswith("state/")}
    return Checkpoint(record["epoch"], params, state, record["sha256"])


def _record(found: bytes, path: Path) -> CheckpointRecord:
    """The metadata of a safetensors file: JSON after eight bytes that say how long it is."""
    size = int.from_bytes(found[:8], "little")
    metadata = from_json(found[8 : 8 + size], Header, str(path)).get("__metadata__", {})
    record = from_json(metadata.get("refimpl", "{}"), dict, str(path))
    if record.get("format") != FORMAT:
        raise DataError(f"{path} is a safetensors file, but not a checkpoint of refimpl")
    return from_json(metadata["refimpl"], CheckpointRecord, str(path))


def check_shapes(checkpoint: Checkpoint, expected: Checkpoint, where: str) -> Checkpoint:
    """`checkpoint` with its tensors in the order of `expected`; `DataError` where names, shapes or types differ."""
    found = checkpoint.params | checkpoint.state
    for name, x in (expected.params | expected.state).items():
        if name not in found:
            raise DataError(f"{where} has no {name}; it belongs to another configuration")
        if found[name].shape != x.shape or found[name].dtype != to_host(x).dtype:
            got, want = found[name], to_host(x)
            raise DataError(
                f"{where}: {name} is {got.dtype}{got.shape}, the configuration says {want.dtype}{want.shape}"
            )
    if len(found) > len(expected.params) + len(expected.state):
        raise DataError(f"{where} has more tensors than the configuration; it belongs to another one")
    return checkpoint._replace(
        params={name: checkpoint.params[name] for name in expected.params},
        state={name: checkpoint.state[name] for name in expected.state},
    )


def _digest(tensors: Params, epoch: int) -> str:
    digest = hashlib.sha256(f"epoch {epoch}\n".encode())
    for name, x in sorted(tensors.items()):
        digest.update(f"{name} {x.dtype.str} {x.shape}\n".encode())
        digest.update(np.ascontiguousarray(x).tobytes())
    return digest.hexdigest()
