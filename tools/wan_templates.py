"""The templates with Wan: in ComfyUI's own nodes, and the loop on Wan2.1 1.3B. `templates.py` writes them."""

from __future__ import annotations

from typing import Any

from graphs import Added, Graph

_CAT = "In a park, a cat is on the left of a wooden box, then the cat jumps to the right of the box."
_DETECTOR = "download IDEA-Research/grounding-dino-tiny"
_WAN = "wan2.1_t2v_1.3B_fp16.safetensors"
# The negative prompt that Wan's authors recommend, as in ComfyUI's own template.
_NOT = (
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，JPEG压缩残留，丑陋的，残缺的，"
    "多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画面，杂乱的背景，三条腿，背景人很多，"
    "倒着走"
)
_SAMPLER = {"steps": 30, "cfg": 6.0, "sampler_name": "uni_pc", "scheduler": "simple"}


def best_of_n(schemas: dict[str, Any]) -> Graph:
    """Several videos of one sentence with ComfyUI's own nodes."""
    graph = Graph("Best of N with ComfyUI's own Wan nodes", schemas)
    files = _wan_files(
        graph,
        "# Best of N\n\nGenerates several videos of one sentence with ComfyUI's own Wan nodes, scores them, and keeps "
        "the best. No training.\n\n**1. Models and sentence.** The three files of ComfyUI's own Wan 2.1 template; "
        "it offers to download what is missing.",
    )
    graph.column(width=320)
    graph.note(
        "## 2. Several at once\n\n*How many* sets the batch of the empty latent and tells *Pick Best* how many clips "
        "there are. If memory is short, lower it, or make the videos smaller or shorter."
    )
    many = graph.add("PrimitiveInt", "How many", value=4)
    parts = _wan_parts(graph, files, many)
    graph.column(
        "## 3. Sampling\n\nWith ComfyUI's own nodes. Any other sampler or model can take its place: *Pick Best* only "
        "needs the frames.",
        width=290,
    )
    _, frames = _wan_sample(graph, files, parts, files["model"], after="randomize")
    graph.column(
        "## 4. Pick\n\n*Load Detector* downloads GroundingDINO once (0.7 GB) into *models/grounding-dino*. A video in "
        "which the subject or the object was not detected never wins over one in which both were.",
        width=380,
    )
    detector = graph.add("SpatialAlign_LoadDetector", detector=_DETECTOR)
    best = graph.add(
        "SpatialAlign_PickBest",
        detector=detector["detector"],
        images=frames["IMAGE"],
        sentence=files["prompt"]["text"],
        clips=many["INT"],
    )
    graph.column("## 5. The winner\n\nIt is saved in ComfyUI's output folder, in *video*.", width=380)
    video = graph.add("CreateVideo", images=best["images"], fps=16.0)
    graph.add("SaveVideo", video=video["VIDEO"], filename_prefix="video/BestOfN")
    return graph


def collect_samples(schemas: dict[str, Any]) -> Graph:
    """Pairs out of one's own workflow."""
    graph = Graph("Collect samples from ComfyUI's own Wan nodes", schemas)
    files = _wan_files(
        graph,
        "# Collect samples\n\nEach *Run* generates one video with ComfyUI's own Wan nodes and keeps it, with prompt "
        "and seed, in a run folder. From about eight videos of a sentence on there are usually pairs to learn "
        "from.\n\n**1. Models and sentence.** The files of ComfyUI's own Wan 2.1 template.",
    )
    graph.column(width=320)
    graph.note(
        "## 2. One seed for both\n\n*Seed* goes to the sampler and to *Collect Sample*, and is one higher after each "
        "run. Queue as many runs as you like (the number beside *Run*)."
    )
    seed = graph.add("PrimitiveInt", "Seed", value=0, after="increment")
    parts = _wan_parts(graph, files)
    graph.column(
        "## 3. Collect\n\nWith the sampler's latents connected, no video has to be encoded for training later.",
        width=320,
    )
    latent, frames = _wan_sample(graph, files, parts, files["model"], seed=seed["INT"])
    kept = graph.add(
        "SpatialAlign_CollectSample",
        images=frames["IMAGE"],
        latent=latent["LATENT"],
        prompts=files["prompt"]["prompts"],
        seed=seed["INT"],
        run_folder="wan",
    )
    graph.column(
        "## 4. Detect and score\n\nOnly new videos. *Load Detector* downloads GroundingDINO once (0.7 GB) into "
        "*models/grounding-dino*.",
        width=300,
    )
    detector = graph.add("SpatialAlign_LoadDetector", detector=_DETECTOR)
    tracked = graph.add("SpatialAlign_Detect", run=kept["run"], detector=detector["detector"], rule="default")
    scored = graph.add("SpatialAlign_Score", run=tracked["run"])
    model = graph.add("SpatialAlign_LoadVideoModel", muted=True, model="pocket")
    graph.column(
        "## 5. Train, when there are enough\n\nThe three grey nodes are muted: select them, press "
        "**Ctrl+M**, choose the model that made the videos in *Load Video Model*, and run once more.",
        width=400,
    )
    pairs = graph.add(
        "SpatialAlign_ExportPairs", muted=True, run=scored["run"], video_model=model["video_model"]
    )
    graph.add(
        "SpatialAlign_TrainLora",
        muted=True,
        run=pairs["run"],
        video_model=model["video_model"],
        lora_name="wan",
    )
    return graph


def align_wan(schemas: dict[str, Any]) -> Graph:
    """The whole loop on a real model."""
    graph = Graph("Align Wan2.1-1.3B on one GPU", schemas)
    graph.column(
        "# Align Wan2.1 1.3B\n\nThe Quickstart's loop on a real model, sized for one night: about **8 h 20 min** on "
        "an RTX 4090 (at 80 TFLOP/s), **11 GB** of GPU memory and **5 GB** of files besides the models. All three are "
        "estimated; *Generate* shows the time left, measured from its first video on. *Cancel* keeps all that is "
        "done.\n\n**1. Model, detector and prompts.** Both models are downloaded once into "
        "your models folder; if you have Wan2.1's files, choose them instead.",
        width=300,
        note_width=646,
    )
    model = graph.add("SpatialAlign_LoadVideoModel", model="download Wan-AI/Wan2.1-T2V-1.3B-Diffusers")
    prompts = graph.add(
        "SpatialAlign_PromptSet",
        subjects="cat, dog, rabbit, goat, parrot, monkey",
        objects="wooden box, tree stump, bench, suitcase, barrel, stone",
        scenes="in a park, on a beach, in a garden, by a lake, in a living room, on a farm",
        verbs="jumps, hops, leaps, runs, walks, moves",
        train_prompts=24,
        held_out_prompts=8,
    )
    graph.column(width=320)
    detector = graph.add("SpatialAlign_LoadDetector", detector=_DETECTOR)
    graph.note(
        "## 2. Generate\n\nSix videos of every prompt, 33 frames each, one at a time (2 h 50 min); with memory to "
        "spare raise *batch_size*. If only a few percent obey, raise *seeds*: without a video that obeys there is no "
        "winner to learn from."
    )
    made = graph.add(
        "SpatialAlign_Generate",
        video_model=model["video_model"],
        prompts=prompts["prompts"],
        run_folder="wan-1.3b",
        seeds=6,
        steps=30,
        frames=33,
        batch_size=1,
    )
    graph.column(
        "## 3. Detect and score\n\nIf *Detect* says that many videos cannot be scored, lower *box_threshold* in "
        "*Load Detector* a little.",
        width=300,
    )
    tracked = graph.add("SpatialAlign_Detect", run=made["run"], detector=detector["detector"], rule="default")
    scored = graph.add("SpatialAlign_Score", run=tracked["run"])
    graph.note("## 4. Pairs\n\nA *min_margin* of 0.2 leaves out pairs that differ too little to learn from.")
    pairs = graph.add(
        "SpatialAlign_ExportPairs",
        run=scored["run"],
        video_model=model["video_model"],
        min_margin=0.2,
    )
    graph.column(
        "## 5. Train\n\nAfter 50 and 100 steps the held-out videos are generated and scored, and the better LoRA is "
        "kept (4 h 40 min). *memory_plan* 'auto' takes the fastest that fits your card.",
        width=400,
    )
    trained = graph.add(
        "SpatialAlign_TrainLora",
        run=pairs["run"],
        video_model=model["video_model"],
        detector=detector["detector"],
        steps=100,
        lora_name="wan-1.3b",
        check_every=50,
    )
    graph.column(
        "## 6. Evaluate\n\nThe held-out prompts without and with the LoRA, from the same noise (55 min). The LoRA is "
        "on the list of ComfyUI's own *Load LoRA*.",
        width=340,
    )
    graph.add(
        "SpatialAlign_Evaluate",
        run=trained["run"],
        video_model=model["video_model"],
        detector=detector["detector"],
        seeds=3,
        batch_size=1,
    )
    return graph


def _wan_files(graph: Graph, note: str) -> dict[str, Added]:
    graph.column(note, width=300, note_width=646)
    return {
        "model": graph.add("UNETLoader", unet_name=_WAN),
        "clip": graph.add(
            "CLIPLoader", clip_name="umt5_xxl_fp8_e4m3fn_scaled.safetensors", type="wan", device="default"
        ),
        "vae": graph.add("VAELoader", vae_name="wan_2.1_vae.safetensors"),
        "prompt": graph.add("SpatialAlign_PromptFromSentence", sentence=_CAT),
    }


def _wan_parts(graph: Graph, files: dict[str, Added], many: Added | None = None) -> dict[str, Added]:
    """What a sampler wants besides the model. many: how many videos at once."""
    clip = files["clip"]["CLIP"]
    sizes: dict[str, Any] = {"width": 832, "height": 480, "length": 33}
    return {
        "positive": graph.add("CLIPTextEncode", "The sentence", clip=clip, text=files["prompt"]["text"]),
        "negative": graph.add("CLIPTextEncode", "What not to show", clip=clip, text=_NOT),
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
