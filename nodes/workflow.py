"""A queued workflow as ComfyUI gets it: which node is connected to which, and what stands in their widgets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

PREFIX = "SpatialAlign_"


class Workflow:
    """nodes: id -> {"class_type", "inputs"}, ComfyUI's API format."""

    def __init__(self, nodes: Mapping[str, Any]) -> None:
        self.nodes: dict[str, Mapping[str, Any]] = {
            str(id): node for id, node in nodes.items() if isinstance(node, Mapping)
        }
        self.known: dict[str, Any] = {}
        """What was found out about a node, for the next who asks."""

    def is_ours(self, id: str) -> bool:
        return str(self.nodes[id].get("class_type")).startswith(PREFIX)

    def kind(self, id: str) -> str:
        """Class of a node, without our prefix."""
        return str(self.nodes[id].get("class_type")).removeprefix(PREFIX)

    def of(self, *kinds: str) -> list[str]:
        """Ids of our nodes of these classes."""
        return [id for id in self.nodes if self.is_ours(id) and self.kind(id) in kinds]

    def inputs(self, id: str) -> Mapping[str, Any]:
        """Widgets and links of a node."""
        found = self.nodes[id].get("inputs")
        return found if isinstance(found, Mapping) else {}

    def source(self, id: str, name: str) -> str | None:
        """The node that is connected to an input; None where nothing is."""
        value = self.inputs(id).get(name)
        return str(value[0]) if is_link(value) and str(value[0]) in self.nodes else None

    def value(self, id: str, name: str) -> Any:
        """What stands in a widget; None where it comes through a wire, or the widget is not there."""
        value = self.inputs(id).get(name)
        return None if is_link(value) else value

    def before(self, *ids: str) -> set[str]:
        """These nodes and all that they depend on."""
        found: set[str] = set()
        waiting = [id for id in ids if id in self.nodes]
        while waiting:
            id = waiting.pop()
            if id not in found:
                found.add(id)
                waiting.extend(filter(None, (self.source(id, name) for name in self.inputs(id))))
        return found

    def chain(self, id: str, name: str) -> Iterator[str]:
        """The nodes that an input hangs on, one behind the other by inputs of the same name, as a run goes."""
        seen: set[str] = set()
        found = self.source(id, name)
        while found is not None and found not in seen:
            seen.add(found)
            yield found
            found = self.source(found, name)


def is_link(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[1], int)
        and not isinstance(value[0], dict)
    )
