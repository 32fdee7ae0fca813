"""Writes workflows/ from the schemas of a ComfyUI that runs: `python tools/templates.py http://127.0.0.1:8188`.

Run it again when a node has got a widget. The thumbnails beside them are made by tests/browser/thumbnails.py.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from graphs import Graph
from wan_templates import align_wan, best_of_n, collect_samples

PACK = Path(__file__).resolve().parents[1]
_FOX = "In a meadow, a fox is on the left of a box, then the fox jumps to the right of the box."


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    with urllib.request.urlopen(f"{sys.argv[1]}/object_info", timeout=300) as answer:
        schemas = json.loads(answer.read())
    for write in (
        quickstart,
        score_a_video,
        detect_a_video,
        best_of_n,
        collect_samples,
        align_wan,
        evaluate_a_lora,
        *([more_rounds] if "SpatialAlign_Rounds" in schemas else []),
    ):
        graph, scale = write(schemas)
        (PACK / "workflows" / f"{graph.name}.json").write_text(graph.text(scale), encoding="utf-8")


def quickstart(schemas: dict[str, Any]) -> tuple[Graph, float]:
    """The whole loop on the pocket model."""
    graph = Graph("Quickstart", schemas)
    graph.column(
        "# SpatialAlign: the whole loop\n\nA small video model learns to obey *left of*, *right of* and "
        "*on top of*. Press **Run**. No download, no graphics card; about a quarter of an hour on two "
        "processor cores.\n\n**1. Load, and write prompts.** The pocket model knows the words in these "
        "lists. Some prompts are kept from training, to measure on.",
    )
    model = graph.add("SpatialAlign_LoadVideoModel", model="pocket")
    detector = graph.add("SpatialAlign_LoadDetector", detector="pocket")
    prompts = graph.add("SpatialAlign_PromptSet", train_prompts=144)
    graph.column(
        "**2. Generate**\n\nMakes several videos of every training prompt. They differ only in the noise "
        "they start from; some obey the prompt, some do not.\n\nEverything is kept in "
        "`output/spatialalign/quickstart`. Cancel whenever you like: the next run goes on where this one "
        "stopped."
    )
    made = graph.add(
        "SpatialAlign_Generate", video_model=model["video_model"], prompts=prompts["prompts"], tall=440
    )
    graph.add("PreviewImage", "Some videos before training", 380, images=made["preview"])
    graph.column(
        "**3. Detect and score**\n\nFinds the animal and the thing in every frame, and gives every video a "
        "score from 0 to 1: was the animal first here, then there? A video obeys from 0.7 on, if "
        "it is also right at both ends."
    )
    tracked = graph.add("SpatialAlign_Detect", tall=280, run=made["run"], detector=detector["detector"])
    scored = graph.add("SpatialAlign_Score", tall=280, run=tracked["run"])
    graph.column(
        "**4. Pairs**\n\nSets videos that obey (winners) against videos of the same prompt that do not "
        "(losers). Nobody has to label anything by hand."
    )
    pairs = graph.add(
        "SpatialAlign_ExportPairs", tall=420, run=scored["run"], video_model=model["video_model"]
    )
    graph.column(
        "**5. Train**\n\nThe model leans towards the winners and away from the losers. The LoRA then also "
        "stands on ComfyUI's own *Load LoRA* list."
    )
    trained = graph.add(
        "SpatialAlign_TrainLora", tall=1000, run=pairs["run"], video_model=model["video_model"]
    )
    graph.column(
        "**6. Evaluate**\n\nThe kept prompts again, without and with the LoRA, from the same noise. The "
        "node shows how many videos obey before and after, and where the report lies. Open it in any "
        "browser.",
        480,
    )
    graph.add(
        "SpatialAlign_Evaluate",
        tall=850,
        run=trained["run"],
        video_model=model["video_model"],
        detector=detector["detector"],
    )
    return graph, 0.55


def score_a_video(schemas: dict[str, Any]) -> tuple[Graph, float]:
    """Any video and a sentence."""
    graph = Graph("Score a video", schemas)
    graph.column(
        "# Score a video\n\nDoes a video do what its sentence says? Press **Run**.\n\n**1. A video to try "
        "it on.** *Sprite Clip* draws one that needs no file. Put any other frames in its place, for "
        "example from *VAE Decode* or *Load Video*.",
        400,
    )
    clip = graph.add("SpatialAlign_SpriteClip", sentence=_FOX)
    detector = graph.add("SpatialAlign_LoadDetector", detector="pocket")
    graph.column(
        "**2. The sentence and the score**\n\nWrite who is where first, and where it goes then: left of, "
        "right of or on top of. Write *a fox is on the right of a box, then it jumps on top of the box* "
        "here and keep the clip: the score falls.\n\nThe score lies between 0 and 1; the video obeys "
        "from 0.7 on, if it is also right at both ends.",
        460,
    )
    scored = graph.add(
        "SpatialAlign_ScoreVideo",
        tall=800,
        sentence=_FOX,
        images=clip["images"],
        detector=detector["detector"],
    )
    graph.column(
        "**3. What was seen**\n\nEvery frame with the boxes of what was found.\n\nOn the chart, on the "
        "node to the left, the first relation should fall and the last one should rise.",
        480,
    )
    graph.add("PreviewImage", "Annotated frames", 760, images=scored["annotated"])
    return graph, 0.65


def detect_a_video(schemas: dict[str, Any]) -> tuple[Graph, float]:
    """Find, follow, draw."""
    graph = Graph("Detect a video", schemas)
    graph.column(
        "# Detect a video\n\nWhere are two things in every frame? Press **Run**.\n\n**1. A video to try it "
        "on.** *Sprite Clip* draws one that needs no file. Put any other frames in its place, for example "
        "from *VAE Decode* or *Load Video*.",
        400,
    )
    clip = graph.add("SpatialAlign_SpriteClip", sentence=_FOX, frames=36)
    detector = graph.add("SpatialAlign_LoadDetector", detector="pocket", masks="pocket")
    graph.column(
        "**2. Find and follow**\n\n*pocket* knows this little world: a GroundingDINO of toy size finds both "
        "things, a SAM 2 of toy size follows and cuts them out. For real footage put a GroundingDINO into "
        "`models/grounding-dino` and a SAM 2 into `models/sam2`, and choose them in *Load Detector*.\n\n"
        "Boxes or masks of other nodes can be connected instead.",
        420,
    )
    found = graph.add(
        "SpatialAlign_DetectTrack",
        tall=940,
        sentence=_FOX,
        images=clip["images"],
        detector=detector["detector"],
    )
    graph.column(
        "**3. Draw what was seen**\n\nBoxes, masks and the way of the subject. Below the picture: how much "
        "the first and the last relation of the sentence hold. Frames that do not count turn grey and say "
        "why.",
        400,
    )
    drawn = graph.add(
        "SpatialAlign_DrawTracks", tall=860, sentence=_FOX, track=found["track"], images=clip["images"]
    )
    video = graph.add("CreateVideo", images=drawn["images"], fps=12.0)
    graph.column("**4. The video**\n\nIt lies in ComfyUI's output folder under `video`.", 620)
    graph.add("SaveVideo", tall=690, video=video["VIDEO"])
    return graph, 0.6


def evaluate_a_lora(schemas: dict[str, Any]) -> tuple[Graph, float]:
    """Many sentences, without and with a LoRA, from the same noise."""
    graph = Graph("Evaluate a LoRA", schemas)
    graph.column(
        "# Evaluate a LoRA\n\nDoes a LoRA make the model listen? Many sentences from the same noise, "
        "without it and with it: how many videos obey, how sure that is, and all of them side by "
        "side.\n\n**1. Model, detector, sentences.** As set here, everything runs on the pocket model; for "
        "your own choose it in *Load Video Model*, and a GroundingDINO in *Load Detector*."
    )
    model = graph.add("SpatialAlign_LoadVideoModel", model="pocket")
    detector = graph.add("SpatialAlign_LoadDetector", detector="pocket")
    prompts = graph.add("SpatialAlign_PromptSet", train_prompts=12, held_out_prompts=24)
    graph.column(
        "**2. Videos without the LoRA**\n\nThey are kept in the run folder *evaluate* and used again for "
        "the next LoRA. More held-out prompts tell more than more *seeds*."
    )
    made = graph.add(
        "SpatialAlign_Generate",
        tall=440,
        video_model=model["video_model"],
        prompts=prompts["prompts"],
        run_folder="evaluate",
        split="held-out prompts",
        seeds=2,
    )
    graph.add("PreviewImage", "Some videos without the LoRA", 380, images=made["preview"])
    graph.column(
        "**3. Compare**\n\n**Choose the LoRA as *lora_b* first**: the list is that of ComfyUI's own *Load "
        "LoRA*. Side A is the model as it is; with a second LoRA, or the same one at another strength, it "
        "compares these.\n\nAn interval of the difference that includes 0 means that it may be chance.",
        560,
    )
    compared = graph.add(
        "SpatialAlign_Compare",
        tall=980,
        run=made["run"],
        video_model=model["video_model"],
        detector=detector["detector"],
    )
    graph.column("**4. To share**\n\nThe table and some videos in one picture.", 560)
    graph.add("PreviewImage", "To share", 860, images=compared["picture"])
    return graph, 0.55


def more_rounds(schemas: dict[str, Any]) -> tuple[Graph, float]:
    """Generate, train, and again with the LoRA so far."""
    graph = Graph("Continue with another round", schemas)
    graph.column(
        "# Another round\n\nA model that has learned makes better videos, and from these it can learn "
        "more. *Rounds* does that until the held-out score stops rising.\n\n**1. Model, detector, "
        "prompts**, as in the Quickstart: the videos of a finished Quickstart are used again. For your own "
        "model choose it, a GroundingDINO, your words, and another *run_folder*."
    )
    model = graph.add("SpatialAlign_LoadVideoModel", model="pocket")
    detector = graph.add("SpatialAlign_LoadDetector", detector="pocket")
    prompts = graph.add("SpatialAlign_PromptSet", train_prompts=144)
    graph.column(
        "**2. The first videos**\n\nWithout a LoRA: what the first round learns from. Later rounds make "
        "their own, with what has been learned so far and with other noise."
    )
    made = graph.add(
        "SpatialAlign_Generate", tall=440, video_model=model["video_model"], prompts=prompts["prompts"]
    )
    graph.add("PreviewImage", "Some videos before training", 380, images=made["preview"])
    graph.column(
        "**3. Rounds**\n\nGenerates, detects, scores, pairs and trains, each round from the LoRA of the "
        "one before, and keeps the best by the score of held-out videos. Cancel whenever you like: the "
        "next run goes on.\n\nTo go on from a finished run raise *rounds*.",
        440,
    )
    rounds = graph.add(
        "SpatialAlign_Rounds",
        tall=640,
        run=made["run"],
        video_model=model["video_model"],
        detector=detector["detector"],
        lora_name="rounds",
    )
    graph.add("PreviewImage", "Score of held-out videos", 380, images=rounds["rounds_chart"])
    graph.column(
        "**4. Evaluate**\n\nThe held-out prompts without and with the best LoRA, from the same noise.", 480
    )
    graph.add(
        "SpatialAlign_Evaluate",
        tall=850,
        run=rounds["run"],
        video_model=model["video_model"],
        detector=detector["detector"],
    )
    return graph, 0.55


if __name__ == "__main__":
    main()
