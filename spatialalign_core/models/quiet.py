"""Peace on the screen."""

from __future__ import annotations

import logging
import warnings


def quiet_libraries() -> None:
    """Silence the loading bars and notices of the model libraries, which are no news to an artist."""
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
    logging.getLogger("torch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module="(torch|diffusers|transformers|peft).*")
