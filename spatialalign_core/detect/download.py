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
# Video models, whole pipelines in folders of their own.
KNOWN_PIPELINES = (
    "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
    "Wan-AI/Wan2.2-TI2V-5B-Diffusers",
    "Wan-AI/Wan2.1-T2V-14B-Diffusers",
    "Wan-AI/Wan2.2-T2V-A14B-Diffusers",
    "zai-org/CogVideoX-2b",
    "zai-org/CogVideoX-5b",
    "zai-org/CogVideoX1.5-5B",
    "Lightricks/LTX-Video",
    "hunyuanvideo-community/HunyuanVideo",
    "genmo/mochi-1-preview",
)
# Nothing that could run, and not the same weights twice.
_WANTED = ("*.json", "*.txt", "model*.safetensors")
_WANTED_OF_PIPELINES = (
    "model_index.json",
    "scheduler/*.json",
    "tokenizer*/*.json",
    "tokenizer*/*.txt",
    "tokenizer*/*.model",
    "text_encoder*/*.json",
    "text_encoder*/model*.safetensors",
    "transformer*/*.json",
    "transformer*/diffusion_pytorch_model*.safetensors",
    "vae/*.json",
    "vae/diffusion_pytorch_model*.safetensors",
)
_COPIES = (
    "*.fp16.safetensors",
    "*.fp16-*.safetensors",
    "*.bf16.safetensors",
    "*.bf16-*.safetensors",
    "*.fp16.*json",
)
_STAGE = "download"


def download(repo_id: str, folder: str | Path, pipeline: bool = False) -> Iterator[Progress]:
    """Fetch a model's configuration, vocabulary and safetensors into `folder`/<its name>; counts bytes.

    pipeline: a video model in diffusers layout, of several folders. Files that are there already are kept, and one
    that was cut off goes on where it stopped. The last item's `path` is the model's folder. SpatialAlignError when the
    hub cannot be reached, does not know the model, or the disk is full.
    """
    if repo_id.count("/") != 1 or repo_id.strip("/. ") != repo_id or ".." in repo_id:
        raise SpatialAlignError(f"{repo_id!r} is no model's name on the hub; it looks like 'owner/model'.")
    target = contained(folder, safe_name(repo_id.split("/")[1]))
    try:
        sizes = _pipeline_sizes(repo_id) if pipeline else _sizes(repo_id)
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
    return {
        name: size
        for name, size in _offered(repo_id).items()
        if "/" not in name and _is_one_of(name, _WANTED)
    }


def _pipeline_sizes(repo_id: str) -> dict[str, int]:
    return {
        name: size
        for name, size in _offered(repo_id).items()
        if _is_one_of(name, _WANTED_OF_PIPELINES) and not _is_one_of(name, _COPIES)
    }


def _offered(repo_id: str) -> dict[str, int]:
    """Every file of a model on the hub and its bytes, small ones first."""
    from huggingface_hub import HfApi

    files: Any = HfApi().model_info(repo_id, files_metadata=True, timeout=20).siblings or []
    sizes = {file.rfilename: int(file.size or 0) for file in files}
    return dict(sorted(sizes.items(), key=lambda item: item[1]))


def _is_one_of(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


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
    offline = "OfflineModeIsEnabled" in names or "offline mode" in str(error)
    reason = (
        "HF_HUB_OFFLINE switches downloads off"
        if offline
        else f"the connection failed ({type(error).__name__})"
    )
    return SpatialAlignError(
        f"Hugging Face could not be reached for {repo_id}: {reason}. What came so far is kept: try again when the "
        f"network is back, or copy the model's folder to {target} by hand."
    )
