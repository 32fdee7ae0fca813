"""Fetching a model folder from the Hugging Face hub: only when somebody asks for it, seen, and resumed when cut off."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import SpatialAlignError
from ..files import contained, safe_name
from ..progress import Progress

# Models that are known to work, by what they are for; the first of each is the one to begin with.
KNOWN = {
    "IDEA-Research/grounding-dino-tiny": "grounding-dino",
    "IDEA-Research/grounding-dino-base": "grounding-dino",
    "facebook/sam2.1-hiera-tiny": "sam2",
    "facebook/sam2.1-hiera-large": "sam2",
    "facebook/sam-vit-base": "sams",
}
# Nothing that could run, and not the same weights twice.
_WANTED = ("*.json", "*.txt", "model*.safetensors")
_STAGE = "download"


def download(repo_id: str, folder: str | Path) -> Iterator[Progress]:
    """Fetch a model's configuration, vocabulary and safetensors into `folder`/<its name>; counts bytes.

    Files that are there already are kept, and one that was cut off goes on where it stopped. The last item's `path`
    is the model's folder. SpatialAlignError when the hub cannot be reached, does not know the model, or the disk is
    full.
    """
    if repo_id.count("/") != 1 or repo_id.strip("/. ") != repo_id or ".." in repo_id:
        raise SpatialAlignError(f"{repo_id!r} is no model's name on the hub; it looks like 'owner/model'.")
    target = contained(folder, safe_name(repo_id.split("/")[1]))
    try:
        sizes = _sizes(repo_id)
        total = sum(sizes.values())
        if not any(name.endswith(".safetensors") for name in sizes):
            raise SpatialAlignError(
                f"{repo_id} offers no safetensors files; choose another model on the hub."
            )
        done = 0
        yield Progress(_STAGE, 0, total, f"{repo_id} -> {target}, {total / 1e6:.0f} MB")
        for name, size in sizes.items():
            _fetch(repo_id, name, target)
            done += size
            yield Progress(_STAGE, done, total, name, path=target / name)
    except SpatialAlignError:
        raise
    except Exception as error:  # requests, httpx and the hub's own errors, which are many
        raise _why(repo_id, target, error) from error
    yield Progress(_STAGE, total, total, f"{repo_id} is in {target}", path=target)


def _sizes(repo_id: str) -> dict[str, int]:
    from huggingface_hub import HfApi

    files: Any = HfApi().model_info(repo_id, files_metadata=True, timeout=20).siblings or []
    wanted = [file for file in files if "/" not in file.rfilename and _is_wanted(file.rfilename)]
    return {
        file.rfilename: int(file.size or 0) for file in sorted(wanted, key=lambda file: int(file.size or 0))
    }


def _is_wanted(name: str) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in _WANTED)


def _fetch(repo_id: str, name: str, target: Path) -> None:
    from huggingface_hub import hf_hub_download

    hf_hub_download(repo_id, name, local_dir=str(target))


def _why(repo_id: str, target: Path, error: Exception) -> SpatialAlignError:
    names = {each.__name__ for each in type(error).__mro__}
    if names & {"RepositoryNotFoundError", "GatedRepoError"}:
        return SpatialAlignError(
            f"The hub has no model {repo_id!r} that anybody may download; check its name on huggingface.co."
        )
    if isinstance(error, OSError) and error.errno == 28:
        return SpatialAlignError(
            f"The disk of {target} is full; free some space and download again, it goes on."
        )
    first = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
    return SpatialAlignError(
        f"The hub could not be reached for {repo_id} ({first}). What came so far is kept: try again when the network "
        f"is back, or copy the model's folder to {target} by hand."
    )
