"""Keys that build the network itself, in a spec or in a block."""

from __future__ import annotations

from archspec.document.keys.key import FileKey
from archspec.document.schema_words import IDENTIFIER, Schema, ref
from archspec.ir.op import REGISTRY


class Params(FileKey):
    """`params: {growth_rate: 32}`."""

    name = "params"
    doc = "Parameters with their defaults; with `extends`, new values for the base's."
    is_resolved = True

    def schema(self) -> Schema:
        return {"type": "object", "propertyNames": {"pattern": IDENTIFIER}}


class NetworkLayers(FileKey):
    """`layers: [flatten, {linear: 10}]`."""

    name = "layers"
    doc = "The network: a list of nodes, each reading the one before it."

    def schema(self) -> Schema:
        return ref("nodes")


class Blocks(FileKey):
    """`blocks: {mlp: {params: …, layers: …}}`."""

    name = "blocks"
    doc = "The file's own blocks."

    def schema(self) -> Schema:
        taken = sorted(name for name, op in REGISTRY.items() if not op.since)
        return {
            "type": "object",
            "propertyNames": {"pattern": IDENTIFIER, "not": {"enum": taken}},
            "additionalProperties": ref("block"),
        }


class Outputs(FileKey):
    """`outputs: {logits: fc, features: pool}`."""

    name = "outputs"
    doc = "The outputs by name (a dict is returned), or one node."
    behind_layers = 1

    def schema(self) -> Schema:
        return ref("outputs")
