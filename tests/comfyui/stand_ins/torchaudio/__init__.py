"""Stands in for torchaudio while the tests run ComfyUI, which imports it at start-up and uses it only for sound.

The newest torchaudio on PyPI may be built for another CUDA than the newest torch; it then refuses to be imported and
takes ComfyUI and transformers down with it. The harness puts this folder in front only when the real one is missing
or refuses.
"""

from . import functional, transforms

__version__ = "0.0.0"
__all__ = ["functional", "transforms"]
