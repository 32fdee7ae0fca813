"""What lies in ComfyUI's model folders: recognised by headers, damaged files named, downloads only when asked for."""

from __future__ import annotations

import json
import os
import struct
import time
from pathlib import Path

import pytest
import torch

from spatialalign_core.detect import download as download_room
from spatialalign_core.detect.download import download
from spatialalign_core.detect.folders import (
    DETECTOR,
    MASK_TRACKER,
    SEGMENTER,
    find_candidate,
    list_candidates,
    names_for,
    recognise,
)
from spatialalign_core.detect.loading import load_detector, load_mask_tracker, load_segmenter
from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.weight_files import read_shapes, read_weights, weights_fingerprint

SAM_VIT_B = {
    "image_encoder.patch_embed.proj.weight": [768, 3, 16, 16],
    "image_encoder.blocks.11.attn.qkv.weight": [2304, 768],
    "mask_decoder.mask_tokens.weight": [4, 256],
}
SAM2_TINY = {
    "image_encoder.trunk.patch_embed.proj.weight": [96, 3, 7, 7],
    "image_encoder.trunk.blocks.11.attn.qkv.weight": [2304, 768],
    "no_obj_embed_spatial": [1, 64],
}
SWIN_T = {
    "module.backbone.0.patch_embed.proj.weight": [96, 3, 4, 4],
    "module.feat_map.weight": [256, 768],
    "module.transformer.tgt_embed.weight": [900, 256],
}
TRANSFORMERS = {"vision_encoder.neck.convs.0.weight": [8, 8, 1, 1]}
OTHER = {"diffusion_model.blocks.0.weight": [4, 4]}


def safetensors(path: Path, shapes: dict[str, list[int]], cut: int = 0) -> Path:
    """A file with a true header and a hole for weights."""
    header, end = {}, 0
    for key, shape in shapes.items():
        start, end = end, end + 4 * int(torch.tensor(shape).prod())
        header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end - cut)
    return path


def pth(path: Path, shapes: dict[str, list[int]], wrapper: str | None = None) -> Path:
    weights = {key: torch.zeros(1).expand(shape) for key, shape in shapes.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({wrapper: weights} if wrapper else weights, path)
    return path


def folder(path: Path, model_type: str) -> Path:
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps({"model_type": model_type}))
    safetensors(path / "model.safetensors", TRANSFORMERS)
    return path


@pytest.fixture
def roots(tmp_path: Path) -> dict[str, list[Path]]:
    folder(tmp_path / "grounding-dino" / "grounding-dino-tiny", "grounding-dino")
    folder(tmp_path / "grounding-dino" / "owl", "owlvit")
    pth(tmp_path / "grounding-dino" / "groundingdino_swint_ogc.pth", SWIN_T, "model")
    (tmp_path / "grounding-dino" / "bert-base-uncased").mkdir()
    (tmp_path / "grounding-dino" / "bert-base-uncased" / "config.json").write_text("{}")
    pth(tmp_path / "sams" / "sam_vit_b_01ec64.pth", SAM_VIT_B)
    (tmp_path / "sams" / "page.pth").write_text("<html>404</html>")
    (tmp_path / "sams" / "readme.txt").write_text("no model")
    safetensors(tmp_path / "sam2" / "sam2.1_hiera_tiny.safetensors", SAM2_TINY)
    safetensors(tmp_path / "sam2" / "cut.safetensors", SAM2_TINY, cut=9)
    safetensors(tmp_path / "sam2" / "lora.safetensors", OTHER)
    folder(tmp_path / "elsewhere" / "more" / "sam2.1-hiera-large", "sam2_video")
    return {
        "grounding-dino": [tmp_path / "grounding-dino", tmp_path / "missing"],
        "sams": [tmp_path / "sams"],
        "sam2": [tmp_path / "sam2", tmp_path / "elsewhere"],
    }


def test_listing(roots) -> None:
    found = {each.name: each for each in list_candidates(roots)}
    assert {name: each.kind.title if each.kind else None for name, each in found.items()} == {
        "cut.safetensors": None,
        "grounding-dino-tiny": "GroundingDINO",
        "groundingdino_swint_ogc.pth": "GroundingDINO Swin-T",
        "lora.safetensors": None,
        "more/sam2.1-hiera-large": "SAM 2",
        "owl": None,
        "page.pth": None,
        "sam2.1_hiera_tiny.safetensors": "SAM 2.1 tiny",
        "sam_vit_b_01ec64.pth": "SAM vit_b",
    }
    everything = list(found.values())
    assert names_for(everything, DETECTOR) == ["grounding-dino-tiny", "groundingdino_swint_ogc.pth"]
    assert names_for(everything, MASK_TRACKER) == ["more/sam2.1-hiera-large", "sam2.1_hiera_tiny.safetensors"]
    assert names_for(everything, SEGMENTER) == ["more/sam2.1-hiera-large", "sam_vit_b_01ec64.pth"]


@pytest.mark.parametrize(
    ("name", "use", "words"),
    [
        ("cut.safetensors", MASK_TRACKER, "cut.safetensors is damaged.*ends too early"),
        ("lora.safetensors", MASK_TRACKER, "neither a GroundingDINO nor a SAM.*begin with diffusion_model"),
        ("owl", DETECTOR, "holds OWL-ViT, which is not supported; use a GroundingDINO"),
        ("page.pth", SEGMENTER, "page.pth is damaged or not a weights file"),
        (
            "sam_vit_b_01ec64.pth",
            MASK_TRACKER,
            "holds SAM vit_b, which serves as segmenter but not as mask tracker",
        ),
        ("dog", DETECTOR, "no detector 'dog'.*there are: grounding-dino-tiny, groundingdino_swint_ogc.pth"),
    ],
)
def test_wrong_choices(roots, name: str, use: str, words: str) -> None:
    with pytest.raises(SpatialAlignError, match=words):
        find_candidate(list_candidates(roots), name, use)


def test_the_right_choice(roots) -> None:
    chosen = find_candidate(list_candidates(roots), "more/sam2.1-hiera-large", MASK_TRACKER)
    assert chosen.path == roots["sam2"][1] / "more" / "sam2.1-hiera-large"


def test_two_hundred_files_are_quick(tmp_path: Path) -> None:
    for index in range(200):
        safetensors(tmp_path / f"{index}.safetensors", SAM_VIT_B)
    start = time.process_time()
    assert len(list_candidates({"sams": [tmp_path]})) == 200
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda p: p / "nowhere", "There is no model", id="missing"),
        pytest.param(lambda p: p, "no config.json", id="a folder that is no model"),
        pytest.param(
            lambda p: safetensors(p / "m.safetensors", TRANSFORMERS), "config.json beside it", id="no config"
        ),
        pytest.param(
            lambda p: (p / "m.safetensors").write_bytes(b"abc") and p / "m.safetensors", "damaged", id="short"
        ),
        pytest.param(
            lambda p: (p / "m.safetensors").write_text("<html>" * 99) and p / "m.safetensors",
            "header",
            id="a web page",
        ),
        pytest.param(
            lambda p: (p / "m.zip").write_text("x") and p / "m.zip", "not a weights file", id="suffix"
        ),
        pytest.param(
            lambda p: p / "m.pth" if not (p / "m.pth").write_bytes(b"") else p, "damaged", id="empty"
        ),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, make, words: str) -> None:
    with pytest.raises(SpatialAlignError, match=words):
        recognise(make(tmp_path))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"mask_decoder.hf_token.weight": [1, 256]}, "holds SAM-HQ, which has more parts.*use SAM itself"),
        ({"mask_decoder.compress_vit_feat.0.weight": [8, 8]}, "holds SAM-HQ"),
        ({"mask_decoder.embedding_maskfeature.0.weight": [8, 8]}, "holds SAM-HQ"),
        ({"image_encoder.patch_embed.seq.0.c.weight": [8, 3]}, "holds MobileSAM or a light SAM-HQ"),
        ({"sam_mask_decoder.hf_token.weight": [1, 256]} | SAM2_TINY, "holds SAM-HQ 2.*use SAM 2 itself"),
        ({"spatial_perceiver.latents": [8, 8]} | SAM2_TINY, "holds EdgeTAM"),
        ({"detector.backbone.vision_backbone.trunk.pos_embed": [8, 8]}, "holds SAM 3"),
        ({"bbox_head.cls_branches.0.bias": [1]}, "MM GroundingDINO as MMDetection saves it"),
        ({"model.0.conv.weight": [8, 3]}, "holds a YOLO model.*use a GroundingDINO"),
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_files_of_other_models(tmp_path: Path, more: dict[str, list[int]], words: str, suffix: str) -> None:
    shapes = more if len(more) > 1 or "mask_decoder" not in next(iter(more)) else SAM_VIT_B | more
    file = (pth if suffix == ".pth" else safetensors)(tmp_path / f"model{suffix}", shapes)
    with pytest.raises(SpatialAlignError, match=words) as told:
        load_segmenter(file, "cpu")
    assert "download it again" not in str(told.value)


@pytest.mark.parametrize(
    ("model_type", "words"),
    [
        ("sam_hq", "holds SAM-HQ.*use SAM itself"),
        ("sam3_video", "holds SAM 3.*use SAM 2"),
        ("edgetam", "holds EdgeTAM"),
        ("owlv2", "holds OWLv2, which is not supported; use a GroundingDINO"),
        ("rt_detr", "finds only a fixed list of things"),
        ("llama", "holds a 'llama' model, which is neither"),
    ],
)
def test_folders_of_other_models(tmp_path: Path, model_type: str, words: str) -> None:
    with pytest.raises(SpatialAlignError, match=words):
        recognise(folder(tmp_path / "model", model_type))


def test_damaged_folders(tmp_path: Path) -> None:
    place = folder(tmp_path / "sam", "sam")
    (place / "model.safetensors").unlink()
    with pytest.raises(SpatialAlignError, match=r"no model\.safetensors"):
        recognise(place)
    (place / "config.json").write_text("{")
    with pytest.raises(SpatialAlignError, match=r"config\.json is damaged"):
        recognise(place)


def test_fingerprints_follow_the_weights(tmp_path: Path) -> None:
    file = safetensors(tmp_path / "a.safetensors", SAM_VIT_B)
    before = weights_fingerprint(file)
    assert weights_fingerprint(tmp_path) == before == weights_fingerprint(file)
    with file.open("r+b") as handle:
        handle.seek(-3, 2)
        handle.write(b"x")
    assert weights_fingerprint(file) != before


class Evil:
    """What a malicious checkpoint does: asks the reader to run a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize(
    "load", [load_detector, load_segmenter, load_mask_tracker, read_weights, read_shapes]
)
def test_a_malicious_pickle_does_not_run(tmp_path: Path, load, new_format: bool) -> None:
    file, harm = tmp_path / "sam_vit_h.pth", tmp_path / "harm"
    torch.save({"model": Evil(f"touch {harm}")}, file, _use_new_zipfile_serialization=new_format)
    with pytest.raises(SpatialAlignError, match="was not opened, because it asks to run program code"):
        load(file)
    assert not harm.exists()


def test_bundled_and_unknown_names() -> None:
    assert load_detector("sprites").name == "sprites"
    with pytest.raises(SpatialAlignError, match=r"no detector called 'eyes'.*pocket"):
        load_detector("eyes")
    with pytest.raises(SpatialAlignError, match="no mask tracker called 'eyes'"):
        load_mask_tracker("eyes")


def test_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []
    monkeypatch.setattr(download_room, "_sizes", lambda repo: {"config.json": 10, "model.safetensors": 90})
    monkeypatch.setattr(
        download_room, "_fetch", lambda repo, name, target: fetched.append(f"{target.name}/{name}")
    )
    news = list(download("facebook/sam2.1-hiera-tiny", tmp_path))
    assert [(each.done, each.total) for each in news] == [(0, 100), (10, 100), (100, 100), (100, 100)]
    assert fetched == ["sam2.1-hiera-tiny/config.json", "sam2.1-hiera-tiny/model.safetensors"]
    assert news[-1].path == tmp_path / "sam2.1-hiera-tiny"


def test_a_whole_pipeline_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every folder of it, and neither copies in half precision nor anything that could run."""
    offered = [
        "README.md",
        "model_index.json",
        "ltxv-2b.safetensors",
        "scheduler/scheduler_config.json",
        "text_encoder/model-00001-of-00002.safetensors",
        "text_encoder/model.safetensors.index.json",
        "tokenizer/spiece.model",
        "transformer/diffusion_pytorch_model.safetensors",
        "transformer/diffusion_pytorch_model.fp16.safetensors",
        "transformer/run.py",
        "transformer_2/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.bin",
    ]
    fetched: list[str] = []
    monkeypatch.setattr(download_room, "_offered", lambda repo: dict.fromkeys(offered, 1))
    monkeypatch.setattr(download_room, "_fetch", lambda repo, name, target: fetched.append(name))
    list(download("a/b", tmp_path, pipeline=True))
    assert fetched == [offered[n] for n in (1, 3, 4, 5, 6, 7, 10, 11)]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            ConnectionError("Name or service not known"),
            "Hugging Face could not be reached.*goes? ?on|kept: try again",
        ),
        (OSError(28, "No space left on device"), "disk of .* is full"),
        (
            type("RepositoryNotFoundError", (Exception,), {})("404"),
            "no model 'a/b' that anybody may download",
        ),
    ],
)
def test_download_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    def fail(repo: str) -> dict[str, int]:
        raise error

    monkeypatch.setattr(download_room, "_sizes", fail)
    with pytest.raises(SpatialAlignError, match=words):
        list(download("a/b", tmp_path))


@pytest.mark.parametrize("name", ["", "sam", "../x", "a/..", "a/b/c", "/a", "a/"])
def test_download_takes_only_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpatialAlignError, match="no model's name"):
        list(download(name, tmp_path))
