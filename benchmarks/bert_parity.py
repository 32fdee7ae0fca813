"""Does groundingdino-py compute the same on transformers 5, through our shim, as on transformers 4.57, without it?

Run it with the older environment's Python and `make FOLDER`: a Swin-T model with random weights, its input and its
output go there. Then run it with the newer environment's Python and `compare FOLDER`: it loads the weights and
prints the largest differences. The last line is one line of JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
import transformers
from transformers import BertModel

from spatialalign_core.detect.checkpoints import FileKind
from spatialalign_core.detect.original import build, settings

CAPTIONS = ["red fox . wooden box .", "traffic cone . cat . dog ."]


def bert_folder(folder: Path) -> Path:
    """bert-base's size and, at their true places, the few words and special tokens that are needed."""
    words = ["red", "fox", "wooden", "box", "traffic", "cone", "cat", "dog"]
    vocabulary = [f"[unused{index}]" for index in range(1040)] + words
    for place, token in {
        0: "[PAD]",
        100: "[UNK]",
        101: "[CLS]",
        102: "[SEP]",
        103: "[MASK]",
        1012: ".",
        1029: "?",
    }.items():
        vocabulary[place] = token
    bert = folder / "bert-base-uncased"
    bert.mkdir(parents=True, exist_ok=True)
    (bert / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    config = {"model_type": "bert", "vocab_size": len(vocabulary)}
    (bert / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return bert


def main(verb: str, folder: Path) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = build(settings(FileKind("grounding-dino", "Swin-T"), Path("random weights")), bert_folder(folder))
    pictures = torch.randn(2, 3, 224, 288, generator=torch.Generator().manual_seed(1))
    if verb == "make":
        for parameter in model.parameters():  # the last layers start at zero and would hide a difference
            parameter.data += 0.02 * torch.randn_like(parameter)
        torch.save(model.state_dict(), folder / "model.pth")
    else:
        result = model.load_state_dict(torch.load(folder / "model.pth", weights_only=True), strict=False)
        print("keys:", result)
    with torch.no_grad():
        tokens = model.tokenizer(CAPTIONS, padding="longest", return_tensors="pt")["input_ids"]
        found = model(pictures, captions=CAPTIONS)
    print(f"transformers {transformers.__version__}, own methods: {hasattr(BertModel, 'get_head_mask')}")
    if verb == "make":
        torch.save({"tokens": tokens, **found}, folder / "output.pth")
        return
    expected = torch.load(folder / "output.pth", weights_only=True)
    assert torch.equal(tokens, expected["tokens"]), "the tokenizers disagree"
    finite = torch.isfinite(expected["pred_logits"])
    assert torch.equal(finite, torch.isfinite(found["pred_logits"]))
    logits = (found["pred_logits"] - expected["pred_logits"])[finite]
    boxes = found["pred_boxes"] - expected["pred_boxes"]
    spread = expected["pred_logits"][finite].std()
    print(
        json.dumps(
            {
                "logits": float(logits.abs().max()),
                "logits_spread": float(spread),
                "boxes": float(boxes.abs().max()),
                "boxes_spread": float(expected["pred_boxes"].std()),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
