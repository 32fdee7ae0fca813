"""The published detection procedure against ours on the same clips: frames a second, peak memory, same boxes.

    python benchmarks/detect.py [--clips 3] [--frames 81] [--sam2 FOLDER] [--lossless]
    python benchmarks/detect.py --size real --device cuda
    python benchmarks/detect.py --lengths 200 2000

Each procedure runs in a process of its own, with the same weights. *Published*: every frame goes through a JPEG file
and alone through GroundingDINO, text and all; SAM 2 reads the JPEGs again, once for each direction, and keeps the clip.
*Ours*: frames in batches from memory, the text once, SAM 2 streaming. Both judge by the published rule.
`pocket`: the bundled GroundingDINO and SAM 2 (its configuration with random weights where it is not bundled); clips of
256 x 384. `real`: GroundingDINO-tiny at 800 pixels and SAM 2.1 large or tiny with random weights; clips of 480 x 832.
Random weights find nothing sensible, so the two surest boxes of a frame are taken, SAM 2 starts from the true ones, and
only the detector's are compared.

On a CPU one thread is used and its own time is counted, which other work on the machine hardly disturbs; on CUDA it is
the time that passes. The last line is one JSON object, ours over published: speed_ratio, min_iou (of boxes in frames
that are valid in both) and peak_memory_ratio. `--lengths` measures only how our memory depends on a clip's length.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from spatialalign_core.detect.base import Detection
from spatialalign_core.detect.candidates import iou
from spatialalign_core.detect.masks import mask_boxes
from spatialalign_core.detect.validity import judge
from spatialalign_core.files import atomic_write

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "detect.json"
WEIGHTS = ROOT / "spatialalign_core" / "pocket" / "weights"
NOUNS = ("fox", "box")
CLIP_SIZES = {"pocket": (256, 384), "real": (480, 832)}
_BOX_THRESHOLD, _TEXT_THRESHOLD = 0.4, 0.3
_FEW = 2
"""Boxes a frame, at most, of a detector without training, which would spend most of the time on naming hundreds."""
_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 95)  # OpenCV's own choice

Frames = NDArray[np.uint8]
Boxes = NDArray[np.float64]
Found = list[list[Detection]]


class Procedure(Protocol):
    """Boxes of nouns in every frame, and where what they show goes."""

    def find(self, frames: Frames) -> Found: ...

    def follow(self, frames: Frames, seed: int, boxes: Boxes) -> Iterator[tuple[int, Boxes]]:
        """Frame index and boxes (2, 4), xyxy pixels, NaN without a mask."""
        ...


class Published:
    """Our own writing of the released procedure, on transformers' models."""

    suffix = ".jpg"

    def __init__(self, models: Models, device: str) -> None:
        import torch

        self.models, self.device = models, device
        self.dtype = torch.bfloat16 if device == "cuda" else torch.float32  # of SAM 2, as its authors run it
        models.grounding.to(device)
        models.sam2.to(device, self.dtype)
        self.folder = tempfile.TemporaryDirectory()

    def _file(self, index: int) -> Path:
        return Path(self.folder.name) / f"{index:05d}{self.suffix}"

    def find(self, frames: Frames) -> Found:
        import torch
        from PIL import Image

        for index, frame in enumerate(frames):
            cv2.imwrite(str(self._file(index)), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), _JPEG)
        text = ". ".join(NOUNS) + "."
        result: Found = []
        for index in range(len(frames)):
            with Image.open(self._file(index)) as file:
                picture = file.convert("RGB")
            inputs = self.models.grounding_processor(images=picture, text=text, return_tensors="pt")
            with torch.inference_mode():
                output = self.models.grounding(**inputs.to(self.device))
            # As the released code does at this point.
            logits, places = output.logits.cpu(), output.pred_boxes.cpu()
            if not self.models.trained:
                few = logits[0].amax(-1).topk(_FEW).indices
                logits, places = logits[:, few], places[:, few]
            found = self.models.grounding_processor.post_process_grounded_object_detection(
                SimpleNamespace(logits=logits, pred_boxes=places),
                inputs["input_ids"].cpu(),
                threshold=_BOX_THRESHOLD,
                text_threshold=_TEXT_THRESHOLD,
                target_sizes=[picture.size[::-1]],
            )[0]
            rows = zip(
                found["text_labels"],
                found["boxes"].double().numpy(),
                found["scores"].tolist(),
                strict=True,
            )
            result.append([Detection(label, box, score) for label, box, score in rows])
        return result

    def follow(self, frames: Frames, seed: int, boxes: Boxes) -> Iterator[tuple[int, Boxes]]:
        import torch
        from PIL import Image

        processor, model = self.models.sam2_processor, self.models.sam2
        for reverse in (False, True):
            clip = []
            for index in range(len(frames)):
                with Image.open(self._file(index)) as file:
                    clip.append(np.asarray(file.convert("RGB")))
            with torch.inference_mode():
                session = processor.init_video_session(
                    video=clip, inference_device=self.device, dtype=self.dtype
                )
                processor.add_inputs_to_inference_session(
                    session, frame_idx=seed, obj_ids=[1, 2], input_boxes=[boxes.tolist()]
                )
                model(session, frame_idx=seed)
                for output in model.propagate_in_video_iterator(session, seed, reverse=reverse):
                    masks = processor.post_process_masks(
                        [output.pred_masks.float()], original_sizes=[frames.shape[1:3]], binarize=True
                    )[0]
                    yield output.frame_idx, mask_boxes(masks[:, 0].cpu().numpy())


class Ours:
    """What `detect_track` uses."""

    def __init__(self, models: Models, device: str) -> None:
        from spatialalign_core.detect.grounding import GroundingDinoDetector
        from spatialalign_core.detect.sam2 import Sam2VideoTracker

        class Few(GroundingDinoDetector):
            def _named(self, tokens: Any, boxes: Any, phrases: Any) -> list[Detection]:
                few = np.argsort(tokens.max(-1))[-_FEW:]
                return super()._named(tokens[few], boxes[few], phrases)

        kind = GroundingDinoDetector if models.trained else Few
        self.detector = kind(models.grounding, models.grounding_processor, device)
        self.tracker = Sam2VideoTracker(models.sam2, models.sam2_processor, device=device)

    def find(self, frames: Frames) -> Found:
        return list(self.detector.detect(frames, NOUNS))

    def follow(self, frames: Frames, seed: int, boxes: Boxes) -> Iterator[tuple[int, Boxes]]:
        for index, masks, _ in self.tracker.track(frames, seed, boxes):
            yield index, mask_boxes(masks)


PROCEDURES: dict[str, type[Published] | type[Ours]] = {"published": Published, "ours": Ours}


@dataclass
class Models:
    """GroundingDINO and SAM 2 with their processors; trained: whether what they find means anything."""

    grounding: Any
    grounding_processor: Any
    sam2: Any
    sam2_processor: Any
    trained: bool
    sam2_trained: bool


def pocket_models(sam2_folder: Path) -> Models:
    """The bundled models."""
    from transformers import (
        GroundingDinoForObjectDetection,
        GroundingDinoProcessor,
        Sam2VideoModel,
        Sam2VideoProcessor,
    )

    from spatialalign_core.pocket.detector import sam2

    folder = WEIGHTS / "grounding-dino-pocket"
    grounding = GroundingDinoForObjectDetection.from_pretrained(folder, local_files_only=True).float().eval()
    processor = GroundingDinoProcessor.from_pretrained(folder, local_files_only=True)
    bundled = sam2_folder.is_dir()
    if bundled:
        model = Sam2VideoModel.from_pretrained(sam2_folder, local_files_only=True).float().eval()
        sam2_processor = Sam2VideoProcessor.from_pretrained(sam2_folder, local_files_only=True)
    else:
        model, sam2_processor = sam2.build_model(0).eval(), sam2.build_processor()
    return Models(grounding, processor, model, sam2_processor, True, bundled)


def real_models(kind: str) -> Models:
    """GroundingDINO-tiny and SAM 2.1 (kind: "large" or "tiny") with random weights; nothing is downloaded."""
    import torch
    from transformers import (
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessor,
        GroundingDinoProcessor,
        Sam2HieraDetConfig,
        Sam2ImageProcessor,
        Sam2VideoConfig,
        Sam2VideoModel,
        Sam2VideoProcessor,
        Sam2VideoVideoProcessor,
        Sam2VisionConfig,
    )

    from spatialalign_core.pocket.detector.grounding import build_tokenizer

    torch.manual_seed(0)
    pictures = GroundingDinoImageProcessor(size={"shortest_edge": 800, "longest_edge": 1333})
    processor = GroundingDinoProcessor(image_processor=pictures, tokenizer=build_tokenizer())
    width, blocks, everywhere, windows = {
        "large": (144, [2, 6, 36, 4], [23, 33, 43], [8, 4, 16, 8]),
        "tiny": (96, [1, 2, 7, 2], [5, 7, 9], [8, 4, 14, 7]),
    }[kind]
    widths = [width * 2**stage for stage in range(4)]
    heads = [2, 4, 8, 16] if kind == "large" else [1, 2, 4, 8]
    backbone = Sam2HieraDetConfig(
        hidden_size=width,
        embed_dim_per_stage=widths,
        blocks_per_stage=blocks,
        global_attention_blocks=everywhere,
        num_attention_heads_per_stage=heads,
        window_size_per_stage=windows,
    )
    vision = Sam2VisionConfig(backbone_config=backbone, backbone_channel_list=widths[::-1])
    return Models(
        GroundingDinoForObjectDetection(GroundingDinoConfig()).eval(),
        processor,
        Sam2VideoModel(Sam2VideoConfig(vision_config=vision)).eval(),
        Sam2VideoProcessor(Sam2ImageProcessor(), Sam2VideoVideoProcessor()),
        trained=False,
        sam2_trained=False,
    )


def draw_clip(number: int, frames: int, height: int, width: int) -> tuple[Frames, Boxes]:
    """A sprite clip of a fox and a box, and their true boxes (F, 2, 4).

    As real footage it has been compressed before, so that one more JPEG changes its pixels little.
    """
    from spatialalign_core.pocket.captions import SCENES
    from spatialalign_core.pocket.world import HEIGHT, WIDTH, render
    from spatialalign_core.relations import CHANGES

    clip = render(*NOUNS, SCENES[number % len(SCENES)], CHANGES[number % len(CHANGES)], 700 + number, frames)
    factor = min(height // HEIGHT, width // WIDTH)
    large = clip.frames.repeat(factor, axis=1).repeat(factor, axis=2)
    room = ((0, 0), (0, height - large.shape[1]), (0, width - large.shape[2]), (0, 0))
    boxes = np.stack([clip.subject_boxes, clip.object_boxes], axis=1) * factor
    padded = np.pad(large, room, mode="edge")
    for frame in padded:
        _, file = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), _JPEG)
        frame[:] = cv2.cvtColor(cv2.imdecode(file, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return padded, boxes


def work_through(options: argparse.Namespace) -> dict[str, Any]:
    """One procedure over all clips, in this process: times, memory and boxes."""
    import torch

    torch.set_num_threads(1 if options.device == "cpu" else torch.get_num_threads())
    models = pocket_models(options.sam2) if options.size == "pocket" else real_models(options.sam2_kind)
    procedure: Procedure = PROCEDURES[options.child](models, options.device)
    if options.lossless and isinstance(procedure, Published):
        procedure.suffix = ".png"
    height, width = CLIP_SIZES[options.size]
    clips = [draw_clip(number, options.frames, height, width) for number in range(options.clips)]
    # What is done once only shall not count; on a card that is also done for every new size of a batch.
    few = 6 if options.device == "cpu" else options.frames
    run(procedure, clips[0][0][:few], clips[0][1], models)
    before = peak_memory("cpu")
    if options.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = {"find": 0.0, "follow": 0.0}
    found_boxes, tracks = [], []
    for frames, truth in clips:
        found, track = run(procedure, frames, truth, models, seconds, options.device)
        found_boxes.append(picked(found) if models.trained else anything(found))
        tracks.append(track)
    return {
        "seconds": seconds,
        "frames": options.clips * options.frames,
        "before": before,
        "peak": peak_memory(options.device),
        "found": np.stack(found_boxes),
        "tracks": np.stack(tracks) if models.sam2_trained else np.zeros((0, 1, 4)),
    }


def run(
    procedure: Procedure,
    frames: Frames,
    truth: Boxes,
    models: Models,
    seconds: dict[str, float] | None = None,
    device: str = "cpu",
) -> tuple[Found, Boxes]:
    """What was found in one clip and the boxes (F, 2, 4) of the masks that were followed through it."""
    seconds = {"find": 0.0, "follow": 0.0} if seconds is None else seconds
    start = now(device)
    found = procedure.find(frames)
    verdict = judge([[each.noun for each in row] for row in found], *NOUNS)
    seed, boxes = len(frames) // 2, truth[len(frames) // 2]
    if models.trained and verdict.first_run is not None:
        seed = verdict.first_run
        boxes = picked(found)[seed]
    middle = now(device)
    track = np.full((len(frames), 2, 4), np.nan)
    for index, around in procedure.follow(frames, seed, boxes):
        track[index] = around
    seconds["find"] += middle - start
    seconds["follow"] += now(device) - middle
    return found, track


def picked(found: Found) -> Boxes:
    """Boxes of the two nouns in valid frames, (F, 2, 4), NaN elsewhere."""
    result = np.full((len(found), 2, 4), np.nan)
    for boxes, row in zip(result, found, strict=True):
        by_noun = {each.noun: each.box for each in row}
        if len(row) == 2 and set(by_noun) == set(NOUNS):
            boxes[:] = [by_noun[noun] for noun in NOUNS]
    return result


def anything(found: Found) -> Boxes:
    """The surest box of each frame, (F, 1, 4), for models without training."""
    result = np.full((len(found), 1, 4), np.nan)
    for boxes, row in zip(result, found, strict=True):
        if row:
            boxes[0] = max(row, key=lambda each: each.confidence).box
    return result


def now(device: str) -> float:
    if device == "cpu":
        return time.process_time()
    import torch

    torch.cuda.synchronize()
    return time.perf_counter()


def peak_memory(device: str) -> float:
    """Most memory that this process held so far, in MB: of the GPU's, or of the machine's."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated() / 1e6
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the parent's memory before exec as well
        line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def long_clip(options: argparse.Namespace) -> dict[str, Any]:
    """A clip of `frames` frames from its mp4 file through `detect_track`: memory before and at the most."""
    import torch

    from spatialalign_core.detect import PUBLISHED, detect_track
    from spatialalign_core.video import read_video

    torch.set_num_threads(1)
    models = pocket_models(options.sam2)
    ours = Ours(models, options.device)
    before = peak_memory("cpu")
    frames, _ = read_video(options.video)
    track = detect_track(ours.detector, frames, *NOUNS, PUBLISHED, mask_tracker=ours.tracker)
    return {
        "frames": len(frames),
        "clip": frames.nbytes / 1e6,
        "before": before,
        "peak": peak_memory("cpu"),
        "reason": track.reason,
        "seconds": time.process_time(),
    }


def write_long_video(path: Path, frames: int) -> None:
    """A sprite clip played there and back until it is long enough."""
    from spatialalign_core.video import write_video

    clip = draw_clip(0, 81, *CLIP_SIZES["pocket"])[0]
    there_and_back = np.concatenate([np.arange(81), np.arange(79, 0, -1)])
    write_video(path, clip[np.resize(there_and_back, frames)], 16)


def in_child(arguments: Sequence[str], folder: Path) -> dict[str, Any]:
    """This file once more, in a process of its own; what it found out comes back in a file."""
    answer = folder / "answer.npy"
    command = [sys.executable, str(Path(__file__).resolve()), *arguments, "--answer", str(answer)]
    subprocess.run(command, check=True)
    result: dict[str, Any] = json.loads(answer.with_suffix(".json").read_text())
    for name in ("found", "tracks"):
        if (folder / f"{name}.npy").is_file():
            result[name] = np.load(folder / f"{name}.npy")
            (folder / f"{name}.npy").unlink()
    return result


def give_answer(result: dict[str, Any], answer: Path) -> None:
    arrays = {name: value for name, value in result.items() if isinstance(value, np.ndarray)}
    for name, value in arrays.items():
        np.save(answer.with_name(f"{name}.npy"), value)
    rest = {name: value for name, value in result.items() if name not in arrays}
    answer.with_suffix(".json").write_text(json.dumps(rest))


def least_iou(one: Boxes, other: Boxes) -> float | None:
    """The least IoU over boxes that both have; None where there are none."""
    shared = iou(one, other)
    return float(np.nanmin(shared)) if np.isfinite(shared).any() else None


def compare(options: argparse.Namespace) -> None:
    passed_on = ["--size", options.size, "--device", options.device, "--clips", str(options.clips)]
    passed_on += ["--frames", str(options.frames), "--sam2", str(options.sam2)]
    passed_on += ["--sam2-kind", options.sam2_kind, *(["--lossless"] if options.lossless else [])]
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in PROCEDURES:
            results[name] = row = in_child([*passed_on, "--child", name], Path(folder))
            total = sum(row["seconds"].values())
            parts = ", ".join(f"{part} {row['frames'] / spent:.1f}" for part, spent in row["seconds"].items())
            print(
                f"{name}: {row['frames'] / total:.1f} frames a second ({parts}), peak {row['peak']:.0f} MB "
                f"({row['before']:.0f} MB of the machine's before the first frame)",
                flush=True,
            )
            if options.write:  # the other procedure takes minutes more
                _write(options, results, {})
    published, ours = results["published"], results["ours"]
    ious = {name: least_iou(published[name], ours[name]) for name in ("found", "tracks")}
    valid = {name: int(np.isfinite(row["found"]).all((-1, -2)).sum()) for name, row in results.items()}
    print(f"valid frames: {valid}; least IoU of detected boxes {ious['found']}, of tracked {ious['tracks']}")
    known = [value for value in ious.values() if value is not None]
    summary = {
        "speed_ratio": sum(published["seconds"].values()) / sum(ours["seconds"].values()),
        "min_iou": min(known, default=None),
        "peak_memory_ratio": ours["peak"] / published["peak"],
    }
    rounded = {name: None if value is None else round(value, 4) for name, value in summary.items()}
    if options.write:
        _write(options, results, {"least_iou": ious, **rounded})
    print(json.dumps(rounded))


def _write(options: argparse.Namespace, results: dict[str, dict[str, Any]], summary: dict[str, Any]) -> None:
    details = {
        name: {key: row[key] for key in ("seconds", "frames", "before", "peak")}
        for name, row in results.items()
    }
    machine = {
        "processor": platform.processor() or platform.machine(),
        "device": options.device if options.device == "cpu" else _card(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "transformers", "numpy")},
    }
    text = json.dumps({"size": options.size, "machine": machine, **details, **summary}, indent=2)
    path = RESULTS if options.size == "pocket" else RESULTS.with_stem(f"detect-{options.size}")
    atomic_write(path, text + "\n")


def _card() -> str:
    import torch

    return str(torch.cuda.get_device_name())


def measure_lengths(options: argparse.Namespace) -> None:
    rows = []
    for length in options.lengths:
        with tempfile.TemporaryDirectory() as folder:
            video = Path(folder) / "clip.mp4"
            write_long_video(video, length)
            row = in_child(
                ["--child", "long", "--video", str(video), "--sam2", str(options.sam2)], Path(folder)
            )
        rows.append(row)
        print(
            f"{row['frames']} frames: peak {row['peak']:.0f} MB, {row['before']:.0f} MB before, the clip itself "
            f"{row['clip']:.0f} MB, so {row['peak'] - row['before'] - row['clip']:.0f} MB for the work; "
            f"{row['seconds']:.0f} CPU-seconds; {row['reason'] or 'valid'}",
            flush=True,
        )
    print(json.dumps({str(row["frames"]): round(row["peak"], 1) for row in rows}))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=tuple(CLIP_SIZES), default="pocket")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--clips", type=int, default=3)
    parser.add_argument("--frames", type=int, default=81)
    parser.add_argument("--sam2", type=Path, default=WEIGHTS / "sam2-pocket", help="the pocket size's SAM 2")
    parser.add_argument(
        "--sam2-kind", choices=("large", "tiny"), default="large", help="the real size's SAM 2.1"
    )
    parser.add_argument("--lossless", action="store_true", help="PNG files in place of JPEGs: same boxes?")
    parser.add_argument("--lengths", type=int, nargs="+", metavar="FRAMES")
    parser.add_argument(
        "--write", action="store_true", help="write benchmarks/results/detect.json, or detect-real.json"
    )
    parser.add_argument("--child", choices=(*PROCEDURES, "long"), help=argparse.SUPPRESS)
    parser.add_argument("--video", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        give_answer(long_clip(options) if options.child == "long" else work_through(options), options.answer)
    elif options.lengths:
        measure_lengths(options)
    else:
        names = ("torch", "transformers", "numpy")
        print(f"{platform.machine()}, Python {platform.python_version()}, {options.device};", end=" ")
        print(", ".join(f"{name} {version(name)}" for name in names), flush=True)
        compare(options)


if __name__ == "__main__":
    main()
