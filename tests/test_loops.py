"""Random specs of loops: what is accepted runs as stated, and reads back from its expansion."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings

from archspec.testing import graphs
from archspec.testing.loops import loop_specs


def test_random_loops_are_what_they_say():
    seen: Counter[str] = Counter()

    @settings(max_examples=80)
    @given(loop_specs())
    def check(spec: graphs.Data) -> None:
        refusal = graphs.check_spec(graphs.to_text(spec))
        if refusal is not None:
            seen["refused"] += 1
            return
        seen.update(key for node in spec["layers"] if isinstance(node, dict) for key in node)

    check()
    assert seen["refused"] <= 30, seen
    for key in ("parallel", "repeat", "share", "merge", "cell", "each", "joined", "memory"):
        assert seen[key] >= 1, (key, seen)


@pytest.mark.parametrize("share", [{}, {"share": True}])
def test_a_repeat_of_many_values_is_drawn_and_accepted(share):
    spec = {
        "input": [4],
        "blocks": {
            "each": {
                "inputs": ["xs..."],
                "layers": [
                    {"name": "l", "parallel": {"i": "len(xs)"}, "from": "xs[i]", "linear": 4}
                ],
            }
        },
        "layers": [
            {"name": "a", "linear": 4},
            {"name": "n", "repeat": 2, **share, "each": None, "from": ["a", "input"]},
            "concat",
        ],
    }
    assert graphs.check_spec(graphs.to_text(spec)) is None
