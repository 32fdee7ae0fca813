"""Writes workflows/ from the schemas of a ComfyUI that runs: `python tools/templates.py http://127.0.0.1:8188`.

Run it again when a node has got a widget. ComfyUI opens a template so that it fills three quarters of the page: at most
1780 x 1105 pixels are readable on a page of 1440 x 900, at a zoom of 0.6 (below that labels vanish). The thumbnails beside them are made by tests/browser/thumbnails.py.
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
        write(json.loads(answer.read()))


def write(schemas: dict[str, Any]) -> None:
    """All templates. schemas: /object_info."""
    for draw in (
        quickstart,
        score_a_video,
        detect_a_video,
        best_of_n,
        collect_samples,
        align_wan,
        evaluate_a_lora,
        more_rounds,
    ):
        graph = draw(schemas)
        (PACK / "workflows" / f"{graph.name}.json").write_text(graph.text(), encoding="utf-8")


def quickstart(schemas: dict[str, Any]) -> Graph:
    """The whole loop on the pocket model."""
    graph = Graph("Quickstart", schemas)
    graph.column(
        "# Quickstart: the whole loop\n\nA small video model learns to obey *left of*, *right of* and *on top of*. "
        "Press **Run**: no download and no graphics card are needed. It takes about a quarter of an hour on two "
        "processor cores.\n\n**1. Load the models, write prompts.** The pocket model knows the words in these "
        "lists. The held-out prompts are kept out of training, to measure on.",
        width=300,
        note_width=646,
    )
    model = graph.add("SpatialAlign_LoadVideoModel", model="pocket")
    prompts = graph.add("SpatialAlign_PromptSet", train_prompts=144)
    graph.column(width=320)
    detector = graph.add("SpatialAlign_LoadDetector", detector="pocket")
    graph.note(
        "## 2. Generate\n\nSeveral videos of every training prompt, from different noise: some obey the "
        "prompt, some do not. All are saved in *output/spatialalign/quickstart*. You can cancel at any time: the "
        "next run continues."
    )
    made = graph.add("SpatialAlign_Generate", video_model=model["video_model"], prompts=prompts["prompts"])
    graph.column(
        "## 3. Detect and score\n\nFinds the subject and the object in every frame and scores every video from 0 to "
        "1. A video obeys if it scores 0.7 or more and is right at the start and at the end.",
        width=300,
    )
    tracked = graph.add("SpatialAlign_Detect", run=made["run"], detector=detector["detector"])
    scored = graph.add("SpatialAlign_Score", run=tracked["run"])
    graph.note(
        "## 4. Pairs\n\nA video that obeys (winner) with one of the same prompt that does not (loser). Nobody "
        "labels by hand."
    )
    pairs = graph.add("SpatialAlign_ExportPairs", run=scored["run"], video_model=model["video_model"])
    graph.column(
        "## 5. Train\n\nThe LoRA makes winners more likely and losers less likely. It is also on the list of "
        "ComfyUI's own *Load LoRA*.",
        width=400,
    )
    trained = graph.add("SpatialAlign_TrainLora", run=pairs["run"], video_model=model["video_model"])
    graph.column(
        "## 6. Evaluate\n\nThe held-out prompts without and with the LoRA, from the same noise. The node shows how "
        "many videos obey before and after.",
        width=340,
    )
    graph.add(
        "SpatialAlign_Evaluate",
        run=trained["run"],
        video_model=model["video_model"],
        detector=detector["detector"],
    )
    return graph


def score_a_video(schemas: dict[str, Any]) -> Graph:
    """Any video and a sentence."""
    graph = Graph("Score a video", schemas)
    graph.column(
        "# Score a video\n\nDoes a video do what a sentence says? Press **Run**.\n\n**1. A video to try it on.** "
        "*Sprite Clip* draws one. Replace it with any other frames, for example from *Load Video*.",
        width=340,
    )
    clip = graph.add("SpatialAlign_SpriteClip", sentence=_FOX)
    detector = graph.add("SpatialAlign_LoadDetector", detector="pocket")
    graph.column(
        "## 2. The sentence and the score\n\nThe score is between 0 and 1; the video obeys if it is 0.7 or more and "
        "the start and the end are right. Now write *a fox is on the right of a box, then it jumps on top of the "
        "box* in *Score Video* and keep the clip: the score falls.",
        width=460,
    )
    scored = graph.add(
        "SpatialAlign_ScoreVideo", sentence=_FOX, images=clip["images"], detector=detector["detector"]
    )
    graph.column("## 3. What was detected\n\nEvery frame with the boxes that were found.", width=480)
    graph.add("PreviewImage", "Annotated frames", 480, images=scored["annotated"])
    return graph


def detect_a_video(schemas: dict[str, Any]) -> Graph:
    """Find, follow, draw."""
    graph = Graph("Detect a video", schemas)
    graph.column(
        "# Detect a video\n\nWhere are two things in every frame? Press **Run**.\n\n**1. A sentence, and a video to "
        "try it on.** *Sprite Clip* draws one. Replace it with any other frames, for example from *Load Video*.",
        width=300,
        note_width=626,
    )
    sentence = graph.add("PrimitiveStringMultiline", "The sentence", value=_FOX)["STRING"]
    detector = graph.add("SpatialAlign_LoadDetector", detector="pocket", masks="pocket")
    graph.column(width=300)
    clip = graph.add("SpatialAlign_SpriteClip", sentence=sentence, frames=36)
    graph.column(
        "## 2. Detect and track\n\n*pocket* knows only this small world. For real footage choose a GroundingDINO "
        "and a SAM 2 in *Load Detector*. Boxes or masks of other nodes can be connected instead.",
        width=360,
    )
    found = graph.add(
        "SpatialAlign_DetectTrack",
        sentence=sentence,
        images=clip["images"],
        detector=detector["detector"],
    )
    graph.column(
        "## 3. Draw\n\nBoxes, masks and the path of the subject, and how much the first and the last relation hold. "
        "Frames that do not count are grey and say why.",
        width=340,
    )
    drawn = graph.add(
        "SpatialAlign_DrawTracks", sentence=sentence, track=found["track"], images=clip["images"]
    )
    graph.column("## 4. The video\n\nIt is saved in ComfyUI's output folder, in *video*.", width=360)
    video = graph.add("CreateVideo", images=drawn["images"], fps=12.0)
    graph.add("SaveVideo", video=video["VIDEO"])
    return graph


def evaluate_a_lora(schemas: dict[str, Any]) -> Graph:
    """Many sentences, without and with a LoRA, from the same noise."""
    graph = Graph("Evaluate a LoRA", schemas)
    graph.column(
        "# Evaluate a LoRA\n\nDoes a LoRA help the model obey? The same prompts and noise, without and with it: how "
        "many videos obey, and how certain that is.\n\n**1. Model, detector and prompts.** Here everything runs on "
        "the pocket model. For your own, choose it in *Load Video Model*, and a GroundingDINO in *Load Detector*.",
        width=300,
        note_width=646,
    )
    model = graph.add("SpatialAlign_LoadVideoModel", model="pocket")
    prompts = graph.add("SpatialAlign_PromptSet", train_prompts=12, held_out_prompts=24)
    graph.column(width=320)
    detector = graph.add("SpatialAlign_LoadDetector", detector="pocket")
    graph.note(
        "## 2. Videos without the LoRA\n\nThey are kept in the run folder *evaluate* and used again for the next LoRA. "
        "More held-out prompts tell you more than more *seeds*."
    )
    made = graph.add(
        "SpatialAlign_Generate",
        video_model=model["video_model"],
        prompts=prompts["prompts"],
        run_folder="evaluate",
        split="held-out prompts",
        seeds=2,
    )
    graph.column(
        "## 3. Compare\n\nFirst choose the LoRA as *lora_b*; the list is that of ComfyUI's own *Load LoRA*. Side A "
        "is the model without a LoRA; you can also compare two LoRAs, or two strengths.\n\nIf the interval of the "
        "difference includes 0, the difference may be chance.",
        width=480,
    )
    compared = graph.add(
        "SpatialAlign_Compare",
        run=made["run"],
        video_model=model["video_model"],
        detector=detector["detector"],
    )
    graph.column("## 4. To share\n\nThe table and some videos in one picture.", width=440)
    graph.add("PreviewImage", "To share", 480, images=compared["picture"])
    return graph


def more_rounds(schemas: dict[str, Any]) -> Graph:
    """Generate, train, and again with the LoRA so far."""
    graph = Graph("Continue with another round", schemas)
    graph.column(
        "# Another round\n\nA trained model makes better videos, and can learn more from these. *Rounds* repeats "
        "that until the held-out score stops rising.\n\n**1. Model, detector and prompts.** As in the Quickstart, "
        "whose videos are used again. For your own model choose it, a GroundingDINO, your words, and another "
        "*run_folder*.",
        width=300,
        note_width=646,
    )
    model = graph.add("SpatialAlign_LoadVideoModel", model="pocket")
    prompts = graph.add("SpatialAlign_PromptSet", train_prompts=144)
    graph.column(width=320)
    detector = graph.add("SpatialAlign_LoadDetector", detector="pocket")
    graph.note(
        "## 2. The first videos\n\nWithout a LoRA: the first round learns from these. Later rounds generate their "
        "own with the LoRA so far and other noise."
    )
    made = graph.add("SpatialAlign_Generate", video_model=model["video_model"], prompts=prompts["prompts"])
    graph.column(
        "## 3. Rounds\n\nEach round generates, detects, scores, pairs and trains, starting from the LoRA of the "
        "round before. The LoRA with the best held-out score is kept. You can cancel at any time: the next run "
        "continues.\n\nTo continue a finished run, raise *rounds*.",
        width=440,
    )
    rounds = graph.add(
        "SpatialAlign_Rounds",
        run=made["run"],
        video_model=model["video_model"],
        detector=detector["detector"],
        lora_name="rounds",
    )
    graph.column(
        "## 4. Evaluate\n\nThe held-out prompts without and with the best LoRA, from the same noise.", 440
    )
    graph.add(
        "SpatialAlign_Evaluate",
        run=rounds["run"],
        video_model=model["video_model"],
        detector=detector["detector"],
    )
    return graph


if __name__ == "__main__":
    main()
