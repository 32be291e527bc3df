"""Random specs, read by archspec and by `eager`: what both make of them must agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from eager import runs, same_function
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

import archspec
from archspec.testing import graphs


def agreement(
    specs: SearchStrategy[graphs.Data],
    most: int,
    forms_of: Callable[[archspec.Architecture], Iterable[str]],
    refused: Callable[[set[str], archspec.SpecError], tuple[str, bool]],
) -> tuple[Counter[str], Counter[str]]:
    """What became of `most` drawn specs, and how many of those accepted have which form.

    `refused` names the kind of a refusal, and says whether torch must fail as well.
    """
    seen: Counter[str] = Counter()
    forms: Counter[str] = Counter()

    @settings(max_examples=most, suppress_health_check=list(HealthCheck))
    @given(specs)
    def agree(spec: graphs.Data) -> None:
        text = graphs.to_text(spec)
        refusal = graphs.check_spec(text)
        if refusal is None:
            seen["accepted"] += 1
            failure = runs(spec)
            assert failure is None, f"{failure}\n{text}"
            arch = archspec.loads(text, warn=False)
            same_function(spec, arch)
            forms.update(forms_of(arch))
            return
        kind, torch_fails = refused({each.code for each in refusal.diagnostics}, refusal)
        seen[kind] += 1
        if torch_fails:
            assert runs(spec) is not None, f"torch runs what is refused:\n{refusal}\n{text}"

    agree()
    return seen, forms
