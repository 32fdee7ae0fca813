"""What went wrong in a node, as one sentence: ComfyUI shows an error's class in front of its message, and raw errors of
libraries tell an artist nothing."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import comfy.model_management
from comfy_api.latest import io

from ..spatialalign_core.errors import SpatialAlignError, full_memory_sentence, is_out_of_memory
from ..spatialalign_core.files import why_not


class NodeError(Exception):
    """A sentence for the artist. ComfyUI names the class with its module, but for those of Python itself."""


NodeError.__module__, NodeError.__qualname__ = "builtins", "SpatialAlign"


def speak_plainly(node: type[io.ComfyNode]) -> None:
    """Make the node raise nothing but sentences, and ComfyUI's own cancel. The log keeps where they come from."""
    own: Callable[..., Any] = node.execute.__func__  # type: ignore[attr-defined]

    @functools.wraps(own)
    def execute(cls: type[io.ComfyNode], **inputs: Any) -> Any:
        try:
            return own(cls, **inputs)
        except comfy.model_management.InterruptProcessingException:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                comfy.model_management.unload_all_models()
            raise NodeError(sentence(error, str(node.define_schema().display_name))) from error

    node.execute = classmethod(execute)  # type: ignore[assignment,method-assign]


def outright(node: type[io.ComfyNode], inputs: Mapping[str, Any]) -> io.NodeOutput:
    """What the node makes of these inputs, with the core's own errors, for whoever only wants to know."""
    return node.execute.__func__.__wrapped__(node, **inputs)  # type: ignore[attr-defined,no-any-return]


def sentence(error: Exception, node: str) -> str:
    """What to say of an error. node: its name on the screen."""
    if isinstance(error, (SpatialAlignError, NodeError)):
        return str(error)
    if is_out_of_memory(error):
        return full_memory_sentence(error, ())
    if isinstance(error, OSError) and (why := why_not(error)):
        return f"{error.filename or 'A file'}: {why}. What is done is kept."
    return (
        f"{node} met an error that it does not know ({type(error).__name__}), which is a fault of SpatialAlign. "
        "ComfyUI's log tells more; please report it with the workflow. What is done is kept."
    )
