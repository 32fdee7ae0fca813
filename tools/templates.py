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

from graphs import Added, Graph

PACK = Path(__file__).resolve().parents[1]
_FOX = "In a meadow, a fox is on the left of a box, then the fox jumps to the right of the box."
_CAT = "In a park, a cat is on the left of a wooden box, then the cat jumps to the right of the box."
_DETECTOR = "download IDEA-Research/grounding-dino-tiny"
_WAN = "wan2.1_t2v_1.3B_fp16.safetensors"
# The negative prompt that Wan's authors recommend, as in ComfyUI's own template.
_NOT = (
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，JPEG压缩残留，丑陋的，残缺的，"
    "多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画面，杂乱的背景，三条腿，背景人很多，"
    "倒着走"
)


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
    detector = graph.add("SpatialAlign_LoadDetector", detector="sprites")
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
        "score from 0 to 1: was the animal first here, then there? From 0.7 on a video obeys."
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
        "SpatialAlign_TrainLora", tall=540, run=pairs["run"], video_model=model["video_model"]
    )
    graph.add("PreviewImage", "Loss", 380, images=trained["loss_chart"])
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
    detector = graph.add("SpatialAlign_LoadDetector", detector="sprites")
    graph.column(
        "**2. The sentence and the score**\n\nWrite who is where first, and where it goes then: left of, "
        "right of or on top of. Write *a fox is on the right of a box, then it jumps on top of the box* "
        "here and keep the clip: the score falls.\n\nThe score lies between 0 and 1; from 0.7 on the video "
        "obeys.",
        460,
    )
    scored = graph.add(
        "SpatialAlign_ScoreVideo",
        tall=760,
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
    detector = graph.add("SpatialAlign_LoadDetector", detector="sprites")
    graph.column(
        "**2. Find and follow**\n\n*sprites* knows this little world. For real footage put a GroundingDINO "
        "into `models/grounding-dino` and choose it in *Load Detector*; a SAM 2 from `models/sam2` then "
        "follows both things through the video.\n\nBoxes or masks of other nodes can be connected instead.",
        420,
    )
    found = graph.add(
        "SpatialAlign_DetectTrack",
        tall=660,
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
        "SpatialAlign_DrawTracks", tall=440, sentence=_FOX, track=found["track"], images=clip["images"]
    )
    video = graph.add("CreateVideo", images=drawn["images"], fps=12.0)
    graph.column("**4. The video**\n\nIt lies in ComfyUI's output folder under `video`.", 620)
    graph.add("SaveVideo", tall=690, video=video["VIDEO"])
    return graph, 0.6


def best_of_n(schemas: dict[str, Any]) -> tuple[Graph, float]:
    """Several videos of one sentence with ComfyUI's own nodes."""
    graph = Graph("Best of N with ComfyUI's own Wan nodes", schemas)
    files = _wan_files(
        graph,
        "# Best of N\n\nMakes several videos of one sentence with ComfyUI's own Wan nodes, scores them, "
        "and keeps the one that obeys it best. No training.\n\n**1. Models and sentence.** The three files "
        "are those of ComfyUI's own Wan 2.1 template; it offers to download what is missing.",
    )
    graph.column(
        "**2. Several at once**\n\n*How many* sets the batch of the empty latent and tells *Pick Best* how "
        "many clips there are. When memory is short lower it, or make the videos smaller or shorter."
    )
    many = graph.add("PrimitiveInt", "How many", value=4)
    parts = _wan_parts(graph, files, many)
    graph.column(
        "**3. Sampling**\n\nNothing special here. Put any other sampler or model in its place: *Pick Best* "
        "only wants the frames."
    )
    _, frames = _wan_sample(graph, files, parts, files["model"], after="randomize")
    graph.column(
        "**4. Pick**\n\n*Load Detector* fetches GroundingDINO once (0.7 GB) into `models/grounding-dino`; "
        "with one there already, choose it instead.\n\n*Pick Best* shows all scores. A video in which the "
        "two things were not found never wins over one in which they were."
    )
    detector = graph.add("SpatialAlign_LoadDetector", detector=_DETECTOR)
    best = graph.add(
        "SpatialAlign_PickBest",
        tall=700,
        detector=detector["detector"],
        images=frames["IMAGE"],
        sentence=files["prompt"]["text"],
        clips=many["INT"],
    )
    graph.column("**5. The winner**\n\nSaved in ComfyUI's output folder under `video`.", 520)
    video = graph.add("CreateVideo", images=best["images"], fps=16.0)
    graph.add("SaveVideo", tall=560, video=video["VIDEO"], filename_prefix="video/BestOfN")
    return graph, 0.5


def collect_samples(schemas: dict[str, Any]) -> tuple[Graph, float]:
    """Pairs out of one's own workflow."""
    graph = Graph("Collect samples from ComfyUI's own Wan nodes", schemas)
    files = _wan_files(
        graph,
        "# Collect samples\n\nEvery *Run* makes one video with ComfyUI's own Wan nodes and keeps it, with "
        "prompt and seed, in a run folder. From about eight videos of a sentence on there are mostly both "
        "good and bad ones: pairs to learn from.\n\n**1. Models and sentence.** The files of ComfyUI's own "
        "Wan 2.1 template.",
    )
    graph.column(
        "**2. One seed for both**\n\n*Seed* goes to the sampler and to *Collect Sample*, and moves on by "
        "one with every run. Queue as many runs as you like (the number beside *Run*)."
    )
    seed = graph.add("PrimitiveInt", "Seed", value=0, after="increment")
    parts = _wan_parts(graph, files)
    graph.column(
        "**3. Collect**\n\n*Collect Sample* writes `output/spatialalign/wan/samples/...`, as *Generate* "
        "does. With the sampler's latents connected nothing has to be encoded later."
    )
    latent, frames = _wan_sample(graph, files, parts, files["model"], seed=seed["INT"])
    kept = graph.add(
        "SpatialAlign_CollectSample",
        tall=480,
        images=frames["IMAGE"],
        latent=latent["LATENT"],
        prompts=files["prompt"]["prompts"],
        seed=seed["INT"],
        run_folder="wan",
    )
    graph.column(
        "**4. Detect and score**\n\nOnly new videos are looked at. *Load Detector* fetches GroundingDINO "
        "once (0.7 GB) into `models/grounding-dino`; with one there already, choose it instead."
    )
    detector = graph.add("SpatialAlign_LoadDetector", detector=_DETECTOR)
    tracked = graph.add(
        "SpatialAlign_Detect", tall=280, run=kept["run"], detector=detector["detector"], rule="default"
    )
    scored = graph.add("SpatialAlign_Score", tall=280, run=tracked["run"])
    graph.add("PreviewAny", "Share of videos that obey", source=scored["accuracy"])
    graph.column(
        "**5. Train, when there are enough**\n\nThese four nodes are muted. Select them and press "
        "**Ctrl+M**, choose the model that made the videos in *Load Video Model*, and run once more."
    )
    model = graph.add("SpatialAlign_LoadVideoModel", muted=True, model="pocket")
    pairs = graph.add(
        "SpatialAlign_ExportPairs",
        muted=True,
        tall=420,
        run=scored["run"],
        video_model=model["video_model"],
    )
    trained = graph.add(
        "SpatialAlign_TrainLora",
        muted=True,
        tall=540,
        run=pairs["run"],
        video_model=model["video_model"],
        lora_name="wan",
    )
    graph.column()
    graph.add("PreviewImage", "Loss", 420, muted=True, images=trained["loss_chart"])
    return graph, 0.5


def align_wan(schemas: dict[str, Any]) -> tuple[Graph, float]:
    """The whole loop on a real model."""
    graph = Graph("Align Wan2.1-1.3B on one GPU", schemas)
    graph.column(
        "# Align Wan2.1 1.3B\n\nThe Quickstart's loop on a real model and one graphics card. It takes many "
        "hours, most of them for making videos: start small, as set here, and let it run overnight. "
        "*Cancel* keeps all that is done.\n\n**1. Model, detector, prompts.** Both are fetched once into "
        "your models folder; if you have Wan2.1's files, choose them instead."
    )
    model = graph.add("SpatialAlign_LoadVideoModel", model="download Wan-AI/Wan2.1-T2V-1.3B-Diffusers")
    detector = graph.add("SpatialAlign_LoadDetector", detector=_DETECTOR)
    prompts = graph.add(
        "SpatialAlign_PromptSet",
        subjects="cat, dog, rabbit, goat, parrot, monkey",
        objects="wooden box, tree stump, bench, suitcase, barrel, stone",
        scenes="in a park, on a beach, in a garden, by a lake, in a living room, on a farm",
        verbs="jumps, hops, leaps, runs, walks, moves",
        train_prompts=48,
        held_out_prompts=12,
    )
    graph.column(
        "**2. Generate**\n\nEight videos of every prompt, one at a time; with memory to spare raise "
        "*batch_size*. The model must sometimes do it right by itself, or there is no winner to learn "
        "from. If *Score* shows less than some percent, raise *seeds*."
    )
    made = graph.add(
        "SpatialAlign_Generate",
        tall=440,
        video_model=model["video_model"],
        prompts=prompts["prompts"],
        run_folder="wan-1.3b",
        seeds=8,
        batch_size=1,
    )
    graph.add("PreviewImage", "Some videos before training", 380, images=made["preview"])
    graph.column(
        "**3. Detect and score**\n\nGroundingDINO looks at every frame. Read what *Detect* says: when many "
        "videos cannot be scored, lower *box_threshold* in *Load Detector* a little."
    )
    tracked = graph.add(
        "SpatialAlign_Detect", tall=280, run=made["run"], detector=detector["detector"], rule="default"
    )
    scored = graph.add("SpatialAlign_Score", tall=280, run=tracked["run"])
    graph.add("PreviewAny", "Share of videos that obey", source=scored["accuracy"])
    graph.column(
        "**4. Pairs**\n\nA *min_margin* of 0.2 leaves out pairs that differ too little to teach anything. "
        "*retell* makes more of the same videos."
    )
    pairs = graph.add(
        "SpatialAlign_ExportPairs",
        tall=420,
        run=scored["run"],
        video_model=model["video_model"],
        min_margin=0.2,
    )
    graph.column(
        "**5. Train**\n\n*memory_plan* 'auto' takes the fastest that fits your card. Every 100 steps some "
        "held-out videos are made and scored; the best LoRA is kept, and after four looks without progress "
        "training stops."
    )
    trained = graph.add(
        "SpatialAlign_TrainLora",
        tall=540,
        run=pairs["run"],
        video_model=model["video_model"],
        detector=detector["detector"],
        preset="published",
        lora_name="wan-1.3b",
        check_every=100,
        patience=4,
    )
    graph.add("PreviewImage", "Loss", 380, images=trained["loss_chart"])
    graph.column(
        "**6. Evaluate**\n\nThe held-out prompts without and with the LoRA, from the same noise. The LoRA "
        "is on ComfyUI's own *Load LoRA* list: use it in any Wan2.1 1.3B workflow.",
        480,
    )
    graph.add(
        "SpatialAlign_Evaluate",
        tall=850,
        run=trained["run"],
        video_model=model["video_model"],
        detector=detector["detector"],
        seeds=4,
        batch_size=1,
    )
    return graph, 0.55


def evaluate_a_lora(schemas: dict[str, Any]) -> tuple[Graph, float]:
    """The same sentence and noise, without and with a LoRA, in ComfyUI's own nodes."""
    graph = Graph("Evaluate a LoRA", schemas)
    files = _wan_files(
        graph,
        "# Evaluate a LoRA\n\nDoes a LoRA make the model listen? The same sentence and the same noise, "
        "without it and with it, and the scores of both. For any LoRA, wherever it comes from.\n\n**1. "
        "Models and sentence.** The files of ComfyUI's own Wan 2.1 template.",
    )
    graph.column(
        "**2. The LoRA**\n\nChoose it in *Load LoRA* (Model); one trained here stands there as *run "
        "folder-name*. Try other strengths too. *How many* is the number of videos each way: with four the "
        "two scores may differ by luck, with twenty hardly."
    )
    many = graph.add("PrimitiveInt", "How many", value=4)
    lora = graph.add("LoraLoaderModelOnly", "Load LoRA (Model)", model=files["model"]["MODEL"])
    seed = graph.add("PrimitiveInt", "Seed", value=0)
    parts = _wan_parts(graph, files, many)
    frames = {}
    for word, model in (("without the LoRA", files["model"]), ("with the LoRA", lora)):
        graph.column(
            f"**3. Sample {word}**\n\nBoth samplers have the same seed, so that only the LoRA differs."
        )
        shift = graph.add("ModelSamplingSD3", model=model["MODEL"], shift=8.0)
        latent = graph.add(
            "KSampler",
            f"Sample {word}",
            model=shift["MODEL"],
            positive=parts["positive"]["CONDITIONING"],
            negative=parts["negative"]["CONDITIONING"],
            latent_image=parts["latent"]["LATENT"],
            seed=seed["INT"],
            **_SAMPLER,
        )
        frames[word] = graph.add("VAEDecode", samples=latent["LATENT"], vae=files["vae"]["VAE"])
    detector = None
    for word, decoded in frames.items():
        graph.column(
            f"**4. Scores {word}**\n\nEvery video with its score; from 0.7 on it obeys. To be sure of a difference use "
            "*Evaluate* after *Train LoRA*: it measures on many sentences and says how sure it is."
        )
        if detector is None:
            detector = graph.add("SpatialAlign_LoadDetector", detector=_DETECTOR)
        best = graph.add(
            "SpatialAlign_PickBest",
            f"Scores {word}",
            700,
            detector=detector["detector"],
            images=decoded["IMAGE"],
            sentence=files["prompt"]["text"],
            clips=many["INT"],
        )
        graph.add("PreviewAny", f"Best score {word}", source=best["score"])
    return graph, 0.45


_SAMPLER = {"steps": 30, "cfg": 6.0, "sampler_name": "uni_pc", "scheduler": "simple"}


def _wan_files(graph: Graph, note: str) -> dict[str, Added]:
    graph.column(note)
    return {
        "model": graph.add("UNETLoader", unet_name=_WAN),
        "clip": graph.add(
            "CLIPLoader", clip_name="umt5_xxl_fp8_e4m3fn_scaled.safetensors", type="wan", device="default"
        ),
        "vae": graph.add("VAELoader", vae_name="wan_2.1_vae.safetensors"),
        "prompt": graph.add("SpatialAlign_PromptFromSentence", tall=270, sentence=_CAT),
    }


def _wan_parts(graph: Graph, files: dict[str, Added], many: Added | None = None) -> dict[str, Added]:
    """What a sampler wants besides the model. many: how many videos at once."""
    clip = files["clip"]["CLIP"]
    sizes: dict[str, Any] = {"width": 832, "height": 480, "length": 33}
    return {
        "positive": graph.add("CLIPTextEncode", "The sentence", clip=clip, text=files["prompt"]["text"]),
        "negative": graph.add("CLIPTextEncode", "What not to show", 220, clip=clip, text=_NOT),
        "latent": graph.add(
            "EmptyHunyuanLatentVideo", **sizes, batch_size=many["INT"] if many is not None else 1
        ),
    }


def _wan_sample(
    graph: Graph, files: dict[str, Added], parts: dict[str, Added], model: Added, **more: Any
) -> tuple[Added, Added]:
    shift = graph.add("ModelSamplingSD3", model=model["MODEL"], shift=8.0)
    latent = graph.add(
        "KSampler",
        model=shift["MODEL"],
        positive=parts["positive"]["CONDITIONING"],
        negative=parts["negative"]["CONDITIONING"],
        latent_image=parts["latent"]["LATENT"],
        **_SAMPLER,
        **more,
    )
    return latent, graph.add("VAEDecode", samples=latent["LATENT"], vae=files["vae"]["VAE"])


if __name__ == "__main__":
    main()
