"""The keys of a LoRA file, of any trainer: which layer each means, and which part of its change."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from ..errors import SpatialAlignError
from .lora_kinds import PARTS

_ADAPTER = r"(?:\.(?!(?:weight|bias)$)[^.]+)?"  # peft's name of an adapter, such as "default"
_HALF = re.compile(
    rf"(.+?)(?:[._]lora\.|\.lora_linear_layer\.|\.lora_)(A|B|down|up){_ADAPTER}(?:\.(weight|bias))?"
)
_MAGNITUDE = re.compile(rf"(.+?)\.lora_magnitude_vector{_ADAPTER}(?:\.weight)?")
_OTHER = re.compile(rf"(.+?)\.({'|'.join(PARTS)}|[ab][12]\.weight)")
_PEFT_PRODUCT = re.compile(r"(.+?)\.(hada_w[12]_[ab]|lokr_w[12](?:_[ab])?)\.[^.]+")
_WHOLE = re.compile(r"(.+?)(?:\.modules_to_save(?:\.[^.]+)?|\.base_layer|\.original_module)?\.(weight|bias)")
_TEXT_ENCODER = re.compile(r"(?:base_model\.model\.)?(?:lora_te\d?_|text_encoders?(?:_\d)?\.|text_model\.)")
_PREFIX = re.compile(
    r"base_model\.model\.|model\.diffusion_model\.|diffusion_model\.|transformer(?:_2)?\.|unet\.|pipe\.|dit\."
    r"|(?:high|low)_noise(?:_model)?\.|model\.|module\.|denoiser\.|net\."
    r"|lora_unet_+|lora_transformer_|lora_dit_|lycoris_"
)
_EXPERTS = (
    re.compile(r"(?:base_model\.model\.)?(?:high_noise(?:_model)?\.|transformer\.)"),
    re.compile(r"(?:base_model\.model\.)?(?:low_noise(?:_model)?\.|transformer_2\.)"),
)
_STRANGERS = {
    r"lora_mid\b": "a LoRA of a convolution with a middle factor (LoCon, Tucker)",
    r"(?:hada|lokr)_t\d": "a LoHa or LoKr of a convolution (Tucker)",
    r"reshape_weight": "a LoRA that makes a layer larger",
    r"boft_[Rs]\b": "peft's BOFT",
    r"oft_[Rr]\b": "peft's OFT",
    r"ia3_l": "an IA3",
    r"vera_": "a VeRA",
    r"vblora_": "a VB-LoRA",
    r"randlora_": "a RandLoRA",
    r"fourierft_": "a FourierFT",
    r"hra_u": "an HRA",
    r"lora_embedding_": "a LoRA of a text encoder's embedding",
    r"lora_route|router": "a mixture of several LoRAs",
    r"\.scale_weight|\.scale_input|comfy_quant": "a scaled fp8 weight",
}


def sort_parts(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Module name of the file -> its parts, in float32, by the names of `lora_kinds.PARTS`, "down", "up" and others.

    SpatialAlignError for a key of no known kind, and for a file that is no LoRA.
    """
    found: dict[str, dict[str, Tensor]] = {}
    whole: list[str] = []
    for key, value in state.items():
        if _TEXT_ENCODER.match(key):
            raise SpatialAlignError(
                f"it also changes the text encoder ({key!r}), and only changes of the video network are applied here"
            )
        module, part = _parsed(key)
        if part in ("set_weight", "set_bias") and not key.endswith(".set_weight"):
            whole.append(key)
        parts = found.setdefault(module, {})
        if part in parts:
            raise SpatialAlignError(f"it holds the part {part!r} of {module!r} twice, as of two adapters")
        parts[part] = value.float()
    if whole and len(whole) == len(state):
        raise SpatialAlignError(
            f"it holds whole weights such as {whole[0]!r}, as a model's own file does, and no LoRA"
        )
    return found


def bare(module: str) -> str:
    """A module's name without what trainers put before it, and without an attention processor's name."""
    before = None
    while before != module:
        before = module
        if match := _PREFIX.match(module):
            module = module[match.end() :]
    return module.replace(".processor.", ".")


def canonical(module: str) -> str:
    """`bare`, and with kohya's one sign between words."""
    return bare(module).replace(".", "_")


def of_expert(state: Mapping[str, Tensor], expert: int) -> dict[str, Tensor]:
    """What a file holds for one of two networks (0: high noise); everything, where it does not tell them apart."""
    told = [[key for key in state if pattern.match(key)] for pattern in _EXPERTS]
    if not told[1]:
        # "transformer." alone is what every file of diffusers begins with.
        return dict(state) if expert == 0 or not _named(told[0]) else {}
    return {key: state[key] for key in told[expert]}


def second_network(keys: Iterable[str]) -> str | None:
    """A key that only a model of two networks can have."""
    return next((key for key in keys if key.startswith(("transformer_2.", "low_noise", "high_noise"))), None)


def _named(keys: Iterable[str]) -> bool:
    return any("high_noise" in key for key in keys)


def _parsed(key: str) -> tuple[str, str]:
    for pattern, what in _STRANGERS.items():
        if re.search(pattern, key):
            raise SpatialAlignError(f"it is {what} (by its key {key!r}), which is not supported here")
    if match := _HALF.fullmatch(key):
        half = "down" if match[2] in ("A", "down") else "up"
        return match[1], f"{half}_bias" if match[3] == "bias" else half
    if match := _MAGNITUDE.fullmatch(key):
        return match[1], "lora_magnitude_vector"
    if match := _OTHER.fullmatch(key) or _PEFT_PRODUCT.fullmatch(key):
        return match[1], match[2]
    if match := _WHOLE.fullmatch(key):
        return match[1], f"set_{match[2]}"
    raise SpatialAlignError(f"it holds {key!r}, a kind of weight that is not known here")
