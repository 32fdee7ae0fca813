"""The help that teaches the command line."""

from __future__ import annotations

COMMAND = "python -m spatialalign_core"

ABOUT = f"""
    Teach a video model where things go: "left of, then right of".

    The loop, one verb a stage. Everything lies in one run folder; each verb goes on where it stopped,
    and does nothing that is done already.

        prompts -> generate -> detect -> score -> pairs -> train -> generate, detect, score -> evaluate
                   (base)                                           (aligned)

    Two LoRAs or strengths against each other: compare.

    See the whole loop on the small bundled model:   {COMMAND} quickstart
    Read about one stage:                            {COMMAND} train --help
"""

HELP: dict[str, tuple[str, str]] = {
    "prompts": (
        "make or import the prompt set of a run",
        """
        Write prompts.csv: sentences that say where the subject is first and where it goes.

        Without word lists the words of the pocket model's sprite world are used. Held-out prompts are for judging:
        no combination of subject, object and relation change is in both parts. L is left of, R right of, T on top of;
        LR means "left of, then right of".

        Examples:
          prompts runs/first --count 24 --held-out 12
          prompts runs/cats --subjects "cat,dog" --objects "box,chair" --changes LR,RL --verbs "jumps,walks" --count 8
          prompts runs/eval --file eval120.csv         a table with the published columns
        """,
    ),
    "generate": (
        "make videos of every prompt",
        """
        Make the videos of seeds 0 .. N-1 of every prompt, with latents and noise, into samples/<set>/.

        The set "base" is the model as it is; "aligned" is made with the LoRA that `train` has made (or --lora FILE).
        The same prompt and seed start from the same noise in both. Finished videos are not made again.

        Examples:
          generate runs/first --seeds 8
          generate runs/first --seeds 5 --split held_out --set aligned
          generate runs/big --model models/Wan2.1-T2V-1.3B-Diffusers --seeds 4 --batch 1
          generate /shared/runs/big --model /shared/models/Wan2.1-T2V-1.3B-Diffusers --workers ray
        """,
    ),
    "collect": (
        "take videos of another program into a run",
        """
        Put videos that were made elsewhere, all of one sentence, where `generate` would have put its own, so that
        `detect`, `score`, `pairs` and `train` go on from them. Their latents are encoded by `pairs`, with the model
        that is to learn; all videos of a run must be of one size and length.

        VIDEO is a file, a folder (all videos that lie in it, by name) or a pattern in quotes; what is skipped is told.
        Also animated WebP, GIF and PNG. Videos are taken as players show them: turned as the phone was held, with
        square pixels. A video that cannot be read keeps its seed and is told, the others are taken.

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
        Reads sentences and shows who moves, what it is seen from, and where it is first and last. Nothing is made and
        nothing is scored. What is not clear is a doubt, told in a sentence with what to write instead; nodes and verbs
        refuse a sentence in doubt. FILE is a JSON list of {"id": ..., "text": ...}, a CSV table with a column prompt
        or text, or a text file with one sentence a line.

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
        Look for subject and object in every frame of the videos, into tracks/<set>/. A video that cannot be read is
        set aside with its reason, the others go on.

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
        and did both change. A video obeys when it has at least 0.7 and the subject starts and ends where the sentence
        says (SSR of 0.2 or more there; on top is over the object, not only higher in the picture). A video in which too
        little was found is INVALID.

        RUN scores the tracks of a run folder into scores.csv. FILE scores boxes that were detected elsewhere: one box
        of each in a frame, by the published rule of 20 counted frames,
          {"cases": [{"id": "a", "relation": "LR", "subject": "cat", "object": "box",
                      "frames": [{"frame": 0, "boxes": {"cat": [x0, y0, x1, y1], "box": [...]}}, ...]}, ...]}
        or everything that a detector found in each frame, by the rule default (--rule published for the other):
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
        "choose winners and losers to learn from",
        """
        For each training prompt, pair videos that obey (winners) with videos that do not (losers), into pairs/: a
        folder that Hugging Face `datasets` loads, with latents and text embeddings. A video that obeys another
        change than it was asked for wins under the sentence that tells of that one (--no-retell: not so), but no
        sentence is told of what a held-out prompt asks for. When nothing can be paired, the explanation says what
        helps.

        Examples:
          pairs runs/first
          pairs runs/first --min-margin 0.2 --mode best_worst
          pairs runs/first --drop cat_box_LR 3 5          never seed 3 over seed 5 of that prompt, whatever they score
          pairs runs/first --keep cat_box_LR~RL 2 0       always, under the sentence that tells of RL
        """,
    ),
    "train": (
        "train a LoRA on the pairs",
        """
        Preference training (DPO with zeroth-order regularisation) of a LoRA that ComfyUI's own Load LoRA takes, into
        lora/<name>.safetensors. Stop it whenever you like: it goes on from the last checkpoint, with the same result.

        The preset "default" is what works best here; "published" is the recipe of the SpatialAlign paper.

        Memory: the fastest plan that fits is found before the model is loaded; when the memory is full all the same,
        the training goes on from the last step with the next plan. --plans shows what each plan needs.
        Watching: --check-every makes and scores the same few held-out videos now and then, notes their score in
        training.csv beside the loss, and leaves the LoRA with the best score. `control` talks to it while it runs.
        Several cards or machines share the pairs of each step: start the same command by `accelerate launch`.

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
        "learn from its own videos again and again",
        """
        Self-improvement: each round makes new videos of the training prompts with the LoRA so far, scores them, pairs
        them with all videos before, trains on from that LoRA, and scores held-out videos with the new one. It ends when
        the held-out score stops rising, or after --rounds. The LoRA of the best round becomes lora/<name>.safetensors;
        every round's LoRA, pairs and scores stay in the run folder, and rounds.json has the numbers.

        Stop it whenever you like: the same command goes on where it stopped. A finished round is not done again.

        Examples:
          rounds runs/first
          rounds runs/first --rounds 8 --patience 2 --seeds 6 --steps 120
        """,
    ),
    "control": (
        "pause, resume, save, sample or stop a training that runs",
        """
        Ask the training that works in this run folder, from another terminal, to rest between two steps with everything
        saved (pause), to go on (resume), to save a checkpoint and its LoRA now (save), or to make and score its
        held-out videos now (sample; for a training started with --check-every or --detector), or to end here with
        everything saved (stop). Prints what the training said last.

        Examples:
          control runs/first pause
          control runs/first resume
        """,
    ),
    "evaluate": (
        "compare before and after, write the report",
        """
        Compare base and aligned videos of the held-out prompts, same seeds: how many obey, and accuracy, with 95 %
        intervals, per relation change, videos side by side. Writes report.html (one file, opens anywhere) and
        report.json, prints a summary: accuracy at tau as base and aligned, the share that obeys as obey_base and
        obey_aligned (it must also start and end where the prompt says).

        Examples:
          evaluate runs/first
          evaluate runs/first --tau 0.6
        """,
    ),
    "compare": (
        "compare two LoRAs, or two strengths, side by side",
        """
        Make, find and score videos of the same prompts and noise with LoRA A and with LoRA B, or without any, and write
        comparisons/<a>--<b>/: comparison.json with shares and their 95 % intervals, and picture.png to share.
        Leave a LoRA out to compare with the model as it is. Finished videos are not made again.

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
        Everything in one go, on the small model that comes with the pack; some minutes on two CPU cores. Ends with the
        path of the report and one line of JSON. Stop it whenever you like: the same command goes on where it stopped.

        Examples:
          quickstart
          quickstart --run runs/tiny --train-prompts 12 --held-out 6 --train-seeds 4 --seeds 2 --train-steps 20
        """,
    ),
}  # fmt: skip
