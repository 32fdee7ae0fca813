"""The help that teaches the command line."""

from __future__ import annotations

COMMAND = "python -m spatialalign_core"

ABOUT = f"""
    Train a video model to follow spatial instructions: "left of, then right of".

    Each stage of the loop is one verb. All files are in one run folder; each verb continues where it stopped
    and skips finished work.

        prompts -> generate -> detect -> score -> pairs -> train -> generate, detect, score -> evaluate
                   (base)                                           (aligned)

    Compare two LoRAs or strengths:                  {COMMAND} compare --help

    See the whole loop on the small bundled model:   {COMMAND} quickstart
    Read about one stage:                            {COMMAND} train --help
"""

HELP: dict[str, tuple[str, str]] = {
    "prompts": (
        "make or import the prompt set of a run",
        """
        Write prompts.csv: sentences that say where the subject starts and where it ends.

        Without word lists the words of the pocket model's sprite world are used. Held-out prompts are for evaluation:
        training and held-out prompts never share subject, object and movement. L is left of, R right of, T on top of;
        LR means "left of, then right of".

        FILE holds your own prompts: a .txt with one sentence a line (# begins a comment), a CSV or TSV with a column
        prompt, or a JSON list. Each is read as `read` does; what is in doubt, not understood or a repetition is set
        aside and named with its line and reason, the rest go on. A quarter is held out, or as many as --held-out says.
        A table with all published columns is taken as it is.

        Examples:
          prompts runs/first --count 24 --held-out 12
          prompts runs/cats --subjects "cat,dog" --objects "box,chair" --changes LR,RL --verbs "jumps,walks" --count 8
          prompts runs/own --file my_prompts.txt --held-out 5    one sentence a line
          prompts runs/eval --file eval120.csv         a table with the published columns
        """,
    ),
    "generate": (
        "make videos of every prompt",
        """
        Make the videos of seeds 0 .. N-1 of every prompt, with latents and noise, into samples/<set>/.

        The set "base" is made without a LoRA; "aligned" with the LoRA from `train` (or --lora FILE).
        The same prompt and seed start from the same noise in both. Finished videos are not made again.

        Examples:
          generate runs/first --seeds 8
          generate runs/first --seeds 5 --split held_out --set aligned
          generate runs/big --model models/Wan2.1-T2V-1.3B-Diffusers --seeds 4 --batch 1
          generate /shared/runs/big --model /shared/models/Wan2.1-T2V-1.3B-Diffusers --workers ray
        """,
    ),
    "collect": (
        "add videos from another program to a run",
        """
        Save videos that were made elsewhere, all from one sentence, as `generate` saves its own, so that
        `detect`, `score`, `pairs` and `train` can use them. `pairs` encodes their latents with the model
        to be trained; all videos of a run must have the same size and length.

        VIDEO is a file, a folder (all videos in it, by name) or a pattern in quotes; skipped files are reported.
        Animated WebP, GIF and PNG are read too. Videos are read as players show them: rotated as recorded, with
        square pixels. A video that cannot be read is reported and keeps its seed; the others are added.

        Examples:
          collect runs/own clip1.mp4 clip2.mp4 --sentence "a cat is on the left of a box, then it jumps on top of it"
          collect runs/own clips --sentence "..."                       all videos of the folder
          collect runs/own "clips/*.mp4" --sentence "..."
          collect runs/own phone.mov --start 12 --duration 5 --short-side 480 --sentence "..."
          collect runs/own clip9.mp4 --seed 9 --sentence "..."
        """,
    ),
    "read": (
        "show what is understood of sentences",
        """
        Reads sentences and shows the subject, the object, and where the subject starts and ends. It generates and
        scores nothing. What is unclear is listed as a doubt, with what to write instead; nodes and verbs
        refuse a sentence with doubts. FILE is a JSON list of {"id": ..., "text": ...}, a CSV table with a column prompt
        or text, or a text file with one sentence per line.

        --json prints [{id, subject, object, motion, doubts, remarks}, ...]. motion is a list of relation codes: L left,
        R right, T top; F in front, B behind, U under and I inside are read, but not scored yet.

        Examples:
          read prompts.csv
          read prompts.json --json
        """,
    ),
    "detect": (
        "find subject and object in every frame",
        """
        Detect subject and object in every frame of the videos and write tracks/<set>/. A video that cannot be read is
        set aside with the reason; the others are processed.

        Examples:
          detect runs/first
          detect runs/first --set aligned
          detect /shared/runs/big --workers ray
        """,
    ),
    "score": (
        "score how well videos obey their prompts",
        """
        The published DSR-Score, 0 to 1: is the subject at the first relation at the start, at the last one at the end,
        and did both change. A video obeys when it scores at least 0.7 and the subject starts and ends where the
        sentence says (SSR of 0.2 or more there; on top means over the object, not only higher in the picture). A video
        with too few detections is INVALID.

        RUN scores the tracks of a run folder and writes scores.csv. FILE scores boxes from another detector: one box
        of each thing per frame, by the published rule of 20 valid frames,
          {"cases": [{"id": "a", "relation": "LR", "subject": "cat", "object": "box",
                      "frames": [{"frame": 0, "boxes": {"cat": [x0, y0, x1, y1], "box": [...]}}, ...]}, ...]}
        or all detections of each frame, by the rule default (or --rule published):
          {"clips": [{"id": "a", "width": 854, "height": 480, "fps": 24, "subject": "cat", "object": "box",
                      "subject_detections": [[[x1, y1, x2, y2, score], ...], ...], "object_detections": [...],
                      "sentences": [{"change": "LR"}, ...]}, ...]}
        --json prints [{id, valid, reason, dsr, initial_ssr, final_ssr, initial_gap, final_gap, scored_frames, ...,
        obeys}, ...]; id is "<clip>/<change>" for clips.

        Examples:
          score runs/first
          score boxes.json --json
        """,
    ),
    "pairs": (
        "choose winners and losers for training",
        """
        For each training prompt, pair videos that obey (winners) with videos that do not (losers), into pairs/: a
        folder that Hugging Face `datasets` loads, with latents and text embeddings. Hindsight relabelling: a video
        that obeys another relation change than its prompt's is a winner for the sentence of that change (--no-retell
        turns this off); held-out prompts are never used. If there is no pair, the explanation says what to do.

        Examples:
          pairs runs/first
          pairs runs/first --min-margin 0.2 --mode best_worst
          pairs runs/first --drop cat_box_LR 3 5          never pair seed 3 with seed 5 of that prompt
          pairs runs/first --keep cat_box_LR~RL 2 0       always, relabelled as RL
        """,
    ),
    "train": (
        "train a LoRA on the pairs",
        """
        Preference training (DPO with zeroth-order regularisation) of a LoRA for ComfyUI's own Load LoRA, saved as
        lora/<name>.safetensors. You can stop it at any time: it continues from its last checkpoint, exactly.

        The preset "default" works best in our tests; "published" is the recipe of the SpatialAlign paper.

        Memory: the fastest plan that fits is selected before the model is loaded; if the memory still runs out,
        training continues from the last step with the next plan. --plans lists the memory that each plan needs.
        Validation: --check-every generates and scores the same few held-out videos at intervals, logs their score in
        training.csv beside the loss, and keeps the LoRA with the best score. `control` controls the running training.
        Several cards or machines share the pairs of each step: start the same command with `accelerate launch`.

        Examples:
          train runs/first
          train runs/first --preset published --steps 600 --name published
          train runs/first --check-every 50 --patience 4
          train runs/first --continue-from runs/other/lora/spatialalign.safetensors --name further
          train runs/big --model models/Wan2.1-T2V-1.3B-Diffusers --memory 16
          accelerate launch --multi_gpu --num_processes 8 -m spatialalign_core train /shared/runs/big
        """,
    ),
    "rounds": (
        "repeat the loop, each time from the last LoRA",
        """
        Self-improvement: each round generates new videos of the training prompts with the LoRA so far, scores and pairs
        them with all earlier videos, continues training from that LoRA, and scores held-out videos. It ends when
        the held-out score stops rising, or after --rounds. The LoRA of the best round becomes lora/<name>.safetensors;
        every round's LoRA, pairs and scores stay in the run folder, and rounds.json has the numbers.

        You can stop it at any time: the same command continues where it stopped. Finished rounds are not repeated.

        Examples:
          rounds runs/first
          rounds runs/first --rounds 8 --patience 2 --seeds 6 --steps 120
        """,
    ),
    "control": (
        "pause, resume, save, sample or stop a running training",
        """
        Control the training that is running in this run folder from another terminal: pause it between two steps with
        everything saved (pause), continue (resume), save a checkpoint and its LoRA now (save), generate and score its
        held-out videos now (sample; for a training started with --check-every or --detector), or end it with
        everything saved (stop). Prints the last status of the training.

        Examples:
          control runs/first pause
          control runs/first resume
        """,
    ),
    "estimate": (
        "how long the loop takes, before it begins",
        """
        Count the operations of the whole loop on RUN's prompts, from the sizes of the model alone, and say how long
        this machine takes for them and how much room the files need. Nothing is made or downloaded: --model also takes
        Wan-AI/Wan2.1-T2V-1.3B-Diffusers and Wan-AI/Wan2.1-T2V-14B-Diffusers, which need not be here yet.

        The speed is that of large matrix products on this machine, less what a model never reaches. For another
        machine say --tflops: an RTX 4090 does about 80 of these models' operations a second, times 10^12. `generate`
        says the same when it begins, and from its first video on what was measured.

        Examples:
          estimate runs/first
          estimate runs/cats --model Wan-AI/Wan2.1-T2V-1.3B-Diffusers --seeds 6 --frames 33 --steps 30 --tflops 80
        """,
    ),
    "evaluate": (
        "compare before and after, write the report",
        """
        Compare base and aligned videos of the held-out prompts with the same seeds: how many obey, and accuracy, with
        95 % intervals, per relation change, videos side by side. Writes report.html (one file, opens anywhere) and
        report.json, and prints a summary: accuracy at tau as base and aligned, the share that obeys as obey_base and
        obey_aligned (such videos also start and end where the prompt says).

        Examples:
          evaluate runs/first
          evaluate runs/first --tau 0.6
        """,
    ),
    "compare": (
        "compare two LoRAs, or two strengths, side by side",
        """
        Generate, detect and score videos of the same prompts and noise with LoRA A and with LoRA B, or without one, and
        write comparisons/<a>--<b>/: comparison.json with shares and their 95 % intervals, and picture.png to share.
        Omit a LoRA to compare with the model without it. Finished videos are not made again.

        Examples:
          compare runs/first --lora-b runs/first/lora/spatialalign.safetensors
          compare runs/first --lora-a my.safetensors --strength-a 0.5 --lora-b my.safetensors --strength-b 1
        """,
    ),
    "runs": (
        "look after run folders: sizes, names, notes, bin, copies, zip, room",
        """
        List the runs of a folder with their size, result and note; rename, note, duplicate, delete and share them, and
        free room in them. What is deleted lies in .bin beside the runs until the bin is emptied.

        Examples:
          runs list runs --find "fox night"
          runs note runs/first "lower learning rate"
          runs delete runs/first            then: runs restore runs, or: runs empty runs --yes
          runs share runs/first first.zip --with report,lora,workflow
          runs slim runs/first              then: runs slim runs/first --free unused,checkpoints
        """,
    ),
    "quickstart": (
        "the whole loop on the pocket model",
        """
        The whole loop on the small model that comes with the pack; about ten minutes on two CPU cores. It ends with the
        path of the report and one line of JSON. You can stop it at any time: the same command continues.

        Examples:
          quickstart
          quickstart --run runs/tiny --train-prompts 12 --held-out 6 --train-seeds 4 --seeds 2 --train-steps 20
        """,
    ),
}  # fmt: skip
