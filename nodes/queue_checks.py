"""A whole workflow is looked at before its first node runs: what is wrong with it is said at once, and nothing runs.

ComfyUI asks a node about its own widgets only. So the workflow is looked at as it arrives (`look`), what is wrong is
kept for this request, and each of our nodes tells its part when ComfyUI asks it (`Verdict`).
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

from comfy_api.latest import io
from comfy_execution.utils import get_executing_context

import nodes as comfy_nodes

from .failures import NodeError
from .queue_faults import CHECKED_HERE, Fault, faults
from .workflow import Workflow, is_link

_found: ContextVar[Sequence[Fault]] = ContextVar("spatialalign_faults", default=())
"""Of the workflow that the request at hand brought: ComfyUI asks the nodes in the same task."""


def look(request: dict[str, Any]) -> dict[str, Any]:
    """ComfyUI's handler of every workflow that is queued. Where something is wrong, no other part of it runs either."""
    _found.set(())
    nodes = request.get("prompt")
    workflow = Workflow(nodes if isinstance(nodes, dict) else {})
    if not any(workflow.is_ours(id) for id in workflow.nodes):
        return request
    outputs = [id for id in workflow.nodes if _is_output(workflow, id)]
    wanted = request.get("partial_execution_targets")
    if isinstance(wanted, list):
        outputs = [id for id in outputs if id in wanted]
    needed = workflow.before(*outputs)
    found = [fault for fault in faults(workflow) if fault.node in needed]
    _found.set(found)
    wrong = {fault.node for fault in found} | {id for id in needed if _is_refused(workflow, id)}
    if wrong:
        request["partial_execution_targets"] = [id for id in outputs if wrong & workflow.before(id)]
    return request


class Verdict:
    """`validate_inputs` of a node class. ComfyUI blames every input that the function names, and no longer compares
    these with their limits: so it names those alone that something is wrong with now, or, while nothing is, those
    whose lists are not the last word."""

    def __get__(self, _: Any, owner: type[io.ComfyNode]) -> Callable[..., bool | str]:
        def validate_inputs(cls: type[io.ComfyNode], **inputs: Any) -> bool | str:
            context = get_executing_context()
            mine = [each for each in _found.get() if context is not None and each.node == context.node_id]
            for fault in mine:
                if fault.input in inputs:
                    return fault.sentence
            if mine:  # with what comes through a wire, or with the node as a whole
                raise NodeError(mine[0].sentence)
            return True

        kind = owner.__name__
        wrong = dict.fromkeys(each.input for each in _found.get() if each.kind == kind and each.input)
        names = ["cls", *(wrong or CHECKED_HERE.get(kind, ()))]
        parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
        validate_inputs.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return types.MethodType(validate_inputs, owner)


def _is_refused(workflow: Workflow, id: str) -> bool:
    """Whether ComfyUI itself refuses a node of ours: it tells so, but runs the other parts of the workflow."""
    kind = comfy_nodes.NODE_CLASS_MAPPINGS.get(workflow.nodes[id].get("class_type"))
    if kind is None or not workflow.is_ours(id):
        return False
    types, inputs = kind.INPUT_TYPES(), workflow.inputs(id)
    required = types.get("required", {})
    if not required.keys() <= inputs.keys():
        return True
    checked = CHECKED_HERE.get(workflow.kind(id), ())
    return any(
        _is_off_limits(inputs[name], spec)
        for name, spec in {**required, **types.get("optional", {})}.items()
        if name in inputs and name not in checked and not is_link(inputs[name])
    )


def _is_off_limits(value: Any, spec: Sequence[Any]) -> bool:
    """Whether a widget's value is not on its list, or beyond its limits."""
    about = spec[1] if len(spec) > 1 else {}
    options = spec[0] if isinstance(spec[0], list) else about.get("options")
    if options is not None:
        return value not in options
    if isinstance(value, int | float):
        return bool(value < about.get("min", value) or value > about.get("max", value))
    return False


def _is_output(workflow: Workflow, id: str) -> bool:
    kind = workflow.nodes[id].get("class_type")
    found = comfy_nodes.NODE_CLASS_MAPPINGS.get(kind)
    return bool(getattr(found, "OUTPUT_NODE", False))
