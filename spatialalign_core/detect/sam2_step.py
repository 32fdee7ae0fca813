"""One frame of SAM 2's way through a video, for all things that are followed at once.

transformers' own session runs the memory and the mask decoder once for each thing. Things do not know of each other, so
here they are a batch; else it is the same procedure, after "SAM 2: Segment Anything in Images and Videos" (Ravi et al.
2024). The tracker and the training of the pocket SAM 2 both go through here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_NOT_THERE = -1024.0  # logits of a mask of something that is not to be seen


@dataclass(frozen=True, eq=False)
class Seen:
    """What the model sees in F pictures.

    levels: from fine to coarse, (cells, F, C) each. places: where the cells of the coarsest are, (cells, F, C).
    """

    levels: list[Tensor]
    places: Tensor

    def picture(self, index: int) -> Seen:
        """One of them, F = 1."""
        return Seen([level[:, index : index + 1] for level in self.levels], self.places[:, index : index + 1])


def look(model: Any, pixels: Tensor) -> Seen:
    """The picture features of normalised pixels (F, 3, side, side)."""
    features = model.get_image_features(pixels, return_dict=True)
    return Seen(list(features.fpn_hidden_states), features.fpn_position_encoding[-1])


@dataclass(frozen=True, eq=False)
class Found:
    """What was found in a frame.

    masks: logits (N, h, w) at a quarter of the model's side. quality: predicted IoU (N,), 0..1. scores: logits (N,)
    that the thing is to be seen.
    """

    masks: Tensor
    quality: Tensor
    scores: Tensor


@dataclass(frozen=True, eq=False)
class _Memory:
    features: Tensor  # (cells, N, M)
    places: Tensor
    pointers: Tensor  # (N, C)


class Following:
    """N things from their boxes (N, 4), xyxy in the model's pixels, in the first frame that is shown.

    total: frames of the whole clip. Frames go by in order from the seed on, then from the seed backwards.
    """

    def __init__(self, model: Any, boxes: Tensor, total: int) -> None:
        self.model = model
        self.boxes = boxes
        self.total = total
        self.seed = -1
        self.memories: dict[int, _Memory] = {}
        self.places = model.get_image_wide_positional_embeddings().repeat(len(boxes), 1, 1, 1)

    def step(self, seen: Seen, index: int, there: Tensor | None = None, remember: bool = True) -> Found:
        """Find the things in the next frame.

        seen: of this frame, F = 1 or one for each thing. there: bool (N,), whether each is to be seen, where the model
        shall not decide it itself. remember: False for a last frame.
        """
        model, count = self.model, len(self.boxes)
        first = not self.memories
        levels = [level.expand(-1, count, -1) for level in seen.levels]
        top = levels[-1]
        if first:
            self.seed = index
            informed = top + model.no_memory_embedding
        else:
            informed = self._informed(top, seen.places.expand(-1, count, -1), index)
        maps = [
            level.permute(1, 2, 0).unflatten(2, tuple(size))
            for level, size in zip([*levels[:-1], informed], model.backbone_feature_sizes, strict=True)
        ]
        masks, quality, tokens, scores = self._decode(maps, first)
        rows, best = torch.arange(count, device=masks.device), quality.argmax(-1)
        masks, quality = masks[rows, best], quality[rows, best]
        tokens = tokens[rows, best if tokens.shape[1] > 1 else 0]
        present = scores > 0 if there is None else there
        masks = torch.where(present[:, None, None], masks, _NOT_THERE)
        if remember:
            self.memories[index] = self._memory(top, masks, tokens, present, first)
        return Found(masks, quality, scores)

    def forget(self, index: int) -> None:
        """After frame `index`: drop what no later frame looks at."""
        config = self.model.config
        span = max(config.num_maskmem, config.max_object_pointers_in_encoder)

        def needed(frame: int) -> bool:
            if frame == self.seed:
                return True
            if index < self.seed:  # on the way back
                return frame < index + span
            return frame > index - span or frame < self.seed + span

        for frame in [frame for frame in self.memories if not needed(frame)]:
            del self.memories[frame]

    def _decode(self, maps: list[Tensor], first: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Masks (N, K, h, w), quality (N, K), tokens (N, K or 1, C) and scores (N,)."""
        model, config, count = self.model, self.model.config, len(self.boxes)
        kind = maps[-1]
        if first:  # the two corners of the box
            points = self.boxes.to(kind).reshape(count, 1, 2, 2)
            labels = torch.tensor([2, 3], dtype=torch.int32, device=kind.device).expand(count, 1, 2)
        else:
            points = kind.new_zeros(count, 1, 1, 2)
            labels = torch.full((count, 1, 1), -1, dtype=torch.int32, device=kind.device)
        sparse, dense = model.prompt_encoder(points, labels, None, None)
        prompts = 2 if first else 0
        several = (
            config.multimask_output_in_sam
            and (first or config.multimask_output_for_tracking)
            and config.multimask_min_pt_num <= prompts <= config.multimask_max_pt_num
        )
        masks, quality, tokens, scores = model.mask_decoder(
            image_embeddings=kind,
            image_positional_embeddings=self.places,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=bool(several),
            high_resolution_features=maps[:-1],
        )
        return masks[:, 0], quality[:, 0], tokens[:, 0], scores[:, 0, 0]

    def _memory(self, top: Tensor, masks: Tensor, tokens: Tensor, present: Tensor, first: bool) -> _Memory:
        model = self.model
        large = functional.interpolate(
            masks[:, None].float(), size=(model.image_size,) * 2, mode="bilinear", align_corners=False
        ).to(masks.dtype)
        features, places = model._encode_new_memory(top, large, present[:, None, None].float() - 0.5, first)
        pointers = torch.where(present[:, None], model.object_pointer_proj(tokens), model.no_object_pointer)
        return _Memory(features, places, pointers)

    def _informed(self, top: Tensor, places: Tensor, index: int) -> Tensor:
        """Features (cells, N, C) of frame `index` after attention to the seed, the frames before and their pointers."""
        model, config, count = self.model, self.model.config, len(self.boxes)
        way = 1 if index > self.seed else -1
        known = {
            (index - frame) * way: memory for frame, memory in self.memories.items() if frame != self.seed
        }
        seed = self.memories[self.seed]
        chosen = [(0, seed)] + [(b, known[b]) for b in range(config.num_maskmem - 1, 0, -1) if b in known]
        most = min(self.total, config.max_object_pointers_in_encoder)
        pointers = [(abs(index - self.seed), seed)] + [(b, known[b]) for b in range(1, most) if b in known]
        tokens, token_places = model._process_object_pointers(
            [back for back, _ in pointers],
            [memory.pointers for _, memory in pointers],
            most,
            count,
            model.hidden_dim,
            top.device,
        )
        times = model.memory_temporal_positional_encoding
        attended = model.memory_attention(
            current_vision_features=top,
            current_vision_position_embeddings=places,
            memory=torch.cat([*(memory.features.to(top.dtype) for _, memory in chosen), tokens]),
            memory_posision_embeddings=torch.cat(
                [*(memory.places + times[back - 1] for back, memory in chosen), token_places]
            ),
            num_object_pointer_tokens=len(tokens),
        )
        return attended.reshape(count, -1, model.hidden_dim).transpose(0, 1)
