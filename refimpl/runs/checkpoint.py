"""Checkpoints: parameters and optimizer state after an epoch, in one safetensors file that carries its own hash."""

import hashlib
import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ..atomic import write_bytes
from ..backend import Params, to_host
from ..errors import DataError
from ..optimizers.base import State

FORMAT = "refimpl-checkpoint-1"
MAX_BYTES = 2**30


def name_of(epoch: int) -> str:
    return f"epoch-{epoch:05d}.safetensors"


def epoch_of(path: Path) -> int | None:
    """The epoch that a file is of, by its name; None for another file."""
    found = re.fullmatch(r"epoch-(\d+)\.safetensors", path.name)
    return int(found[1]) if found else None


class Checkpoint(NamedTuple):
    """`params` and `state` on the host, after `epoch` epochs."""

    epoch: int
    params: Params
    state: State


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Atomically. Parameters keep their names (`W1`, `b1`, ...) for any reader; the state's begin with `state/`."""
    tensors = {name: to_host(p) for name, p in checkpoint.params.items()}
    tensors |= {f"state/{name}": to_host(x) for name, x in checkpoint.state.items()}
    tensors = {name: np.ascontiguousarray(x) for name, x in tensors.items()}
    record = {"format": FORMAT, "epoch": checkpoint.epoch, "sha256": _digest(tensors, checkpoint.epoch)}
    # One entry: safetensors writes several in any order, and equal checkpoints should be equal files.
    write_bytes(path, save(tensors, {"refimpl": json.dumps(record)}))


def read(path: Path) -> Checkpoint:
    """Raises `DataError` unless the file is whole, its hash right and every number finite."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path} is larger than {MAX_BYTES} bytes; that is no checkpoint of refimpl")
        with safe_open(path, framework="numpy") as file:
            record = json.loads((file.metadata() or {}).get("refimpl", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.offset_keys()}
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a readable safetensors file: {error}") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise DataError(f"{path} is a safetensors file, but not a checkpoint of refimpl")
    if record.get("sha256") != _digest(tensors, record.get("epoch", -1)):
        raise DataError(f"{path} is damaged: its content does not have the SHA-256 it was written with")
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise DataError(f"{path}: {name} has values that are not finite")
    params = {name: x for name, x in tensors.items() if not name.startswith("state/")}
    state = {name.removeprefix("state/"): x for name, x in tensors.items() if name.startswith("state/")}
    return Checkpoint(record["epoch"], params, state)


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
    return Checkpoint(
        checkpoint.epoch,
        {name: checkpoint.params[name] for name in expected.params},
        {name: checkpoint.state[name] for name in expected.state},
    )


def _digest(tensors: Params, epoch: int) -> str:
    digest = hashlib.sha256(f"epoch {epoch}\n".encode())
    for name, x in sorted(tensors.items()):
        digest.update(f"{name} {x.dtype.str} {x.shape}\n".encode())
        digest.update(np.ascontiguousarray(x).tobytes())
    return digest.hexdigest()
