"""Weights of a single file: quantised ones made plain, and put into a network without a second copy in memory."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..errors import SpatialAlignError
from ..files import cause
from ..weight_files import PICKLED, Shapes, parts_of, read_shapes, read_weights

# ComfyUI's two ways to write scaled fp8: the scale lies beside the weight under one of these names.
_SCALES = (".scale_weight", ".weight_scale")
_COMPANIONS = (*_SCALES, ".scale_input", ".input_scale", ".comfy_quant")
_MARKS = ("scaled_fp8",)
_FLOAT8 = tuple(
    getattr(torch, name)
    for name in ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz")
    if hasattr(torch, name)
)
_PREFIXES = ("model.diffusion_model.", "diffusion_model.")
_Network = TypeVar("_Network", bound=nn.Module)


def bare_shapes(shapes: Shapes, prefixes: tuple[str, ...] = _PREFIXES) -> dict[str, tuple[int, ...]]:
    """Shapes of a file's weights as `bare` names them, without what only quantisation needs."""
    return {name: shape for name, shape in bare(shapes, prefixes) if not _is_extra(name)}


def bare(weights: Mapping[str, Any], prefixes: tuple[str, ...] = _PREFIXES) -> Iterator[tuple[str, Any]]:
    """Weights without the prefix of a whole checkpoint; where there is one, those without it belong to other parts."""
    prefix = next((each for each in prefixes if any(key.startswith(each) for key in weights)), "")
    for key, value in weights.items():
        if key.startswith(prefix):
            yield key.removeprefix(prefix), value


def read_plain(path: Path, dtype: torch.dtype, prefixes: tuple[str, ...] = _PREFIXES) -> dict[str, Tensor]:
    """Weights of a file as `bare` names them, scaled fp8 multiplied out, in `dtype`.

    SpatialAlignError for a file that is damaged or quantised in a way that cannot be undone here.
    """
    if path.suffix.lower() in PICKLED:
        return _plain(path, dict(bare(read_weights(path), prefixes)), dtype)
    read_shapes(path)  # says plainly what is wrong
    try:
        with contextlib.ExitStack() as opened:
            files = [opened.enter_context(safe_open(part, framework="pt")) for part in parts_of(path)]
            owner = {key: file for file in files for key in file.keys()}  # noqa: SIM118
            names = dict(bare({key: key for key in owner}, prefixes))
            return _plain(path, _Lazy(names, lambda key: owner[key].get_tensor(key)), dtype)
    except (SafetensorError, OSError) as error:
        raise SpatialAlignError(f"{path} is damaged ({cause(error)}); copy or download it again.") from error


class _Lazy(dict[str, Any]):
    """Reads a tensor when it is asked for, so that a file of many gigabytes is never in memory twice."""

    def __init__(self, names: Mapping[str, str], read: Callable[[str], Tensor]) -> None:
        super().__init__(names)
        self._read = read

    def __getitem__(self, key: str) -> Tensor:
        return self._read(super().__getitem__(key))


def _plain(path: Path, weights: dict[str, Any], dtype: torch.dtype) -> dict[str, Tensor]:
    plain = {}
    for name in weights:
        if _is_extra(name):
            continue
        value = weights[name]
        module = name.removesuffix(".weight")
        _check_format(path, weights, module)
        if value.is_floating_point():
            scale = next((weights[module + each] for each in _SCALES if module + each in weights), None)
            if scale is not None and name.endswith(".weight"):
                scale = scale.float()
                if scale.ndim == 1 and scale.numel() > 1:  # one a row
                    scale = scale[:, None]
                value = value.float() * scale
            value = value.to(dtype)
        elif name.endswith(".weight") and value.ndim > 1:
            raise _unknown_format(path, f"{name} is {str(value.dtype).removeprefix('torch.')}")
        plain[name] = value
    return plain


def _check_format(path: Path, weights: dict[str, Any], module: str) -> None:
    if module + ".comfy_quant" in weights:
        text = bytes(weights[module + ".comfy_quant"].tolist()).decode(errors="replace")
        try:
            found = json.loads(text)["format"]
        except (ValueError, KeyError, TypeError):
            found = text
        if not str(found).startswith("float8"):
            raise _unknown_format(path, f"{module} is {found}")


def _unknown_format(path: Path, what: str) -> SpatialAlignError:
    return SpatialAlignError(
        f"{path.name} is quantised in a way that cannot be loaded here ({what}); take its bf16 or fp8-scaled file."
    )


def _is_extra(name: str) -> bool:
    return name.endswith(_COMPANIONS) or name in _MARKS


def empty(make: Callable[[], _Network]) -> _Network:
    """A network without memory for its weights; buffers that no file holds are real."""
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):
        return make()


def rows_of(network: nn.Module) -> dict[str, int]:
    """Rows of each of its weights, by name."""
    return {name: value.shape[0] for name, value in network.state_dict().items() if value.ndim}


def fill(network: nn.Module, state: Mapping[str, Tensor], path: Path, what: str) -> list[str]:
    """Put the weights into an empty network, which takes them over; returns the names it has no use for.

    what: for people. SpatialAlignError when weights are missing or of another shape.
    """
    wanted = network.state_dict()
    missing = [name for name in wanted if name not in state]
    if missing:
        raise SpatialAlignError(
            f"{path.name} looks like {what} but is not whole: {len(missing)} of {len(wanted)} weights are missing "
            f"({_some(missing)}); download it again or choose another file."
        )
    for name, value in wanted.items():
        if state[name].shape != value.shape:
            raise SpatialAlignError(
                f"{path.name} looks like {what}, but its {name} is {_size(state[name].shape)} and not "
                f"{_size(value.shape)}; choose another file."
            )
    # diffusers holds these in float32, whatever the rest is.
    exact = getattr(network, "_keep_in_fp32_modules", None) or ()
    chosen = {
        n: state[n].float() if any(part in n.split(".") for part in exact) else state[n] for n in wanted
    }
    network.load_state_dict({name: value.contiguous() for name, value in chosen.items()}, assign=True)
    return [name for name in state if name not in wanted]


def _some(names: list[str]) -> str:
    return ", ".join(names[:2]) + (", ..." if len(names) > 2 else "")


def _size(shape: Any) -> str:
    return " x ".join(map(str, shape)) or "a number"


def require(shapes: Shapes, *names: str) -> bool:
    """Whether all of these weights are there."""
    return all(name in shapes for name in names)
