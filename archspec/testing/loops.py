"""Random specs of loops and lists of values, for property tests of what a graph is made of.

All values are (N, 4), so that almost every drawn wiring compiles.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from archspec.testing.several import Data

BLOCKS: dict[str, Data] = {
    "joined": {
        "inputs": ["x", "xs..."],
        "layers": [{"name": "all", "from": ["x", "xs"]}, "concat", {"linear": 4}],
    },
    "each": {
        "inputs": ["xs..."],
        "layers": [{"name": "l", "parallel": {"i": "len(xs)"}, "from": "xs[i]", "linear": 4}],
    },
    "cell": {
        "inputs": ["x", "h", "c"],
        "outputs": {"h": "g", "c": "k"},
        "layers": [
            {"name": "l", "linear": 4},
            {"name": "g", "add": ["l", "h"]},
            {"name": "k", "mul": [-1, "c"]},
        ],
    },
    "memory": {"inputs": ["x", "m"], "layers": [{"linear": 4}, {"add": [-1, "m"]}]},
}


@st.composite
def loop_specs(draw: DrawFn) -> dict[str, Data]:
    """Specs of `parallel`, `repeat`, shared loops, names for values and blocks of many inputs."""
    layers: list[Data] = [{"name": "a", "linear": 4}, {"name": "b", "tanh": None, "from": "input"}]
    values = ["a", "b"]
    for number in range(draw(st.integers(1, 5))):
        node = draw(_node(values))
        name = f"n{number}"
        layers.append({"name": name, **node})
        if draw(st.booleans()):
            layers.append({"add": [-1, "a", "b"]} if _gives_one(node) else "concat")
            layers.append({"linear": 4})
        if _gives_one(node):
            values.append(name)
    layers.append({"concat": ["a", "b", -1]})
    return {"input": [4], "blocks": BLOCKS, "layers": layers}


def _gives_one(node: dict[str, Data]) -> bool:
    return "merge" in node or ("cell" not in node and "repeat" in node and "each" not in node)


def _node(values: list[str]) -> SearchStrategy[dict[str, Any]]:
    one = st.sampled_from([*values, -1, "input"])
    some = st.lists(one, min_size=2, max_size=3)
    times = st.integers(1, 3)
    body = st.sampled_from([{"linear": 4}, {"relu": None}, {"layers": [{"linear": 4}, "relu"]}])
    loop = st.fixed_dictionaries({"repeat": times}, optional={"share": st.just(True)})
    side = st.fixed_dictionaries(
        {"parallel": st.integers(2, 3)},
        optional={
            "from": one,
            "when": st.sampled_from(["index != 1", "index > 0"]),
            "merge": st.sampled_from(["add", {"concat": {"dim": -1}}]).map(_joined),
            "share": st.just(True),
        },
    )
    calls = [
        some.map(lambda read: {"joined": None, "from": read}),
        some.map(lambda read: {"each": None, "from": read}),
        st.tuples(one, one).map(lambda two: {"memory": None, "from": {"m": two[0], "x": two[1]}}),
        st.tuples(one, one).map(lambda two: {"cell": None, "from": [*two, two[0]]}),
    ]
    return st.one_of(
        st.builds(lambda a, b: {**a, **b}, loop, body),
        st.builds(lambda a, b: {**a, **b}, side, body),
        *[st.builds(lambda a, b: {**a, **b}, loop, call) for call in calls],
        some.map(lambda read: {"from": read}),
    )


def _joined(merge: Data) -> Data:
    """A merge that gives (N, 4) again."""
    return merge if merge == "add" else "mul"
