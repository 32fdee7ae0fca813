"""Weight files: read without running anything, and told apart by their keys.

A file's keys and shapes say what it is, whatever its name. They are read from the header of a safetensors file, or from
the index of a `.pth` file, so that looking at gigabytes takes milliseconds.
"""

from __future__ import annotations

import json
import pickle
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import SpatialAlignError, check_memory
from .files import cause, fingerprint

SAFETENSORS = (".safetensors",)
PICKLED = (".pth", ".pt", ".ckpt", ".bin")
WEIGHT_FILES = SAFETENSORS + PICKLED
_LONGEST_HEADER = 100_000_000
_SAMPLE = 1 << 16
_WRAPPERS = ("model", "state_dict", "model_state_dict", "module", "lora_state_dict", "weights")
"""Under which trainers put the weights beside other things, one within the other in any order."""

_PART = re.compile(
    r"(.+)-(\d{5})-of-(\d{5})(\.safetensors)", re.I
)  # how diffusers and transformers cut large files

Shapes = Mapping[str, tuple[int, ...]]


def parts_of(path: Path) -> list[Path]:
    """The files of a model that is cut into several, by any of them; else the file alone.

    SpatialAlignError when one is missing.
    """
    cut = _PART.fullmatch(path.name)
    if cut is None:
        return [path]
    stem, _, count, suffix = cut.groups()
    parts = [path.with_name(f"{stem}-{number:05d}-of-{count}{suffix}") for number in range(1, int(count) + 1)]
    missing = [part.name for part in parts if not part.is_file()]
    if missing:
        raise SpatialAlignError(
            f"{path} is one of {len(parts)} parts of a model, and {len(missing)} of them are missing ({missing[0]}); "
            "copy or download them into the same folder."
        )
    return parts


def first_part(path: Path) -> Path:
    """The first file of a model that is cut into several, which stands for all; else the file itself."""
    cut = _PART.fullmatch(path.name)
    return path if cut is None else path.with_name(f"{cut[1]}-00001-of-{cut[3]}{cut[4]}")


def is_later_part(path: Path) -> bool:
    """Whether the file is a part of a model but not its first one, which may be missing."""
    return path != (first := first_part(path)) and first.is_file()


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Key -> shape of every tensor in a weight file and its other parts, without loading them. SpatialAlignError for
    a damaged file."""
    if path.suffix.lower() in SAFETENSORS:
        return {key: shape for part in parts_of(path) for key, shape in _safetensors_shapes(part).items()}
    return {key: tuple(value.shape) for key, value in _unpickle(path, "meta").items()}


def read_weights(path: Path) -> dict[str, Any]:
    """Key -> tensor on the CPU; nothing but tensors and plain values can come out of the file.

    A `.pth` file goes through torch.load(weights_only=True). SpatialAlignError for a file that is damaged or that
    asks to run a program.
    """
    if path.suffix.lower() in SAFETENSORS:
        from safetensors.torch import load_file

        _safetensors_shapes(path)  # says plainly what is wrong
        try:
            return _bare(load_file(str(path)))
        except Exception as error:  # safetensors raises its own
            check_memory(error, path)
            raise _damaged(path, error) from error
    return _unpickle(path, "cpu")


def save_tensors(path: Path, tensors: Mapping[str, Any], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file whose bytes depend on nothing but its content; safetensors alone puts metadata into
    another order each time. `path` should be that of `files.atomic_path`."""
    from safetensors.torch import save_file

    save_file(dict(tensors), path, metadata=dict(metadata))
    with path.open("rb+") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(metadata.items()))
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        if len(text) <= length:
            file.seek(8)
            file.write(text.ljust(length))


def weights_fingerprint(path: Path) -> str:
    """Tells two weight files with all their parts, or two folders of them, apart by sizes, headers and ends, and a
    folder by its JSON."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else parts_of(path)
    parts: list[tuple[str, int, bytes]] = []
    for file in files:
        size = file.stat().st_size
        with file.open("rb") as handle:
            sample = handle.read(_SAMPLE)
            handle.seek(-min(_SAMPLE, size), 2)
            parts.append((file.name, size, sample + handle.read()))
    return fingerprint(parts)


def count(shapes: Shapes, pattern: str) -> int:
    """One more than the largest number that `pattern` captures at the start of a key; 0 when none matches."""
    found = [int(match[1]) for key in shapes if (match := re.match(pattern, key))]
    return max(found, default=-1) + 1


def _safetensors_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    try:
        with path.open("rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            if not 2 <= length <= min(_LONGEST_HEADER, path.stat().st_size - 8):
                raise ValueError("its header does not fit into the file")
            header = json.loads(file.read(length))
        shapes = {key: tuple(entry["shape"]) for key, entry in header.items() if key != "__metadata__"}
        end = max(
            (entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"), default=0
        )
        if path.stat().st_size < 8 + length + end:
            raise ValueError("it ends too early, as a broken download does")
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, struct.error) as error:
        raise _damaged(path, error) from error
    return _bare(shapes)


def _unpickle(path: Path, device: str) -> dict[str, Any]:
    import torch

    def load(**how: Any) -> Any:
        return torch.load(path, map_location=device, weights_only=True, **how)

    try:
        try:
            loaded = load(mmap=True)
        except RuntimeError as error:
            if "mmap" not in str(error):
                raise
            loaded = load()  # a file in PyTorch's oldest format
    except OSError as error:
        raise _unreadable(path, error) from error
    except pickle.UnpicklingError as error:
        raise _refused(path, error) from error
    except Exception as error:  # a file of another kind can fail anywhere in the reader
        check_memory(error, path)
        raise _damaged(path, error) from error
    while isinstance(loaded, dict) and (inner := _inner(loaded)) is not None:
        loaded = inner
    if not isinstance(loaded, dict):
        raise SpatialAlignError(
            f"{path} holds a {type(loaded).__name__}, not weights; choose a checkpoint file."
        )
    return _bare({str(key): value for key, value in loaded.items() if isinstance(value, torch.Tensor)})


def _inner(loaded: dict[Any, Any]) -> dict[Any, Any] | None:
    return next((loaded[name] for name in _WRAPPERS if isinstance(loaded.get(name), dict)), None)


def _bare(weights: dict[str, Any]) -> dict[str, Any]:
    """Keys without the "module." that training on several GPUs leaves in front."""
    return {key.removeprefix("module."): value for key, value in weights.items()}


def _refused(path: Path, error: Exception) -> SpatialAlignError:
    """torch's reader names what it would not run as GLOBAL module.function; anything else is damage."""
    asked = re.search(r"GLOBAL ([\w.]+)|[Uu]nsupported class ([\w.]+)", str(error))
    if asked is None and "allowlisted" not in str(error):
        return _damaged(path, error)
    what = f" ('{asked[1] or asked[2]}')" if asked else ""
    return SpatialAlignError(
        f"{path} was not opened, because it asks to run program code{what} instead of only holding weights; "
        "delete it and take the checkpoint from its authors' page, as .safetensors where there is one."
    )


def _damaged(path: Path, error: Exception) -> SpatialAlignError:
    # torch's reader looks things up by what it read: a key of its own means nothing to anybody.
    why = "it does not hold what it should" if isinstance(error, KeyError) else cause(error)
    return SpatialAlignError(f"{path} is damaged or not a weights file ({why}); copy or download it again.")


def _unreadable(path: Path, error: OSError) -> SpatialAlignError:
    return SpatialAlignError(f"{path} cannot be read: {cause(error)}.")
