"""Nothing here works; it only has to be importable."""

from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)

    def unavailable(*_: object, **__: object) -> None:
        raise RuntimeError(f"torchaudio's {name} is not available in this test environment.")

    return unavailable
