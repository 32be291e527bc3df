"""Which known word an unknown one is taken for: for certain, or as a question."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archspec.diagnostics.suggestions import certain_word, did_you_mean

KNOWN = ["linear", "relu", "global_avg_pool2d", "max_pool2d", "dropout", "dropout2d", "flatten"]


@pytest.mark.parametrize(
    ("word", "certain"),
    [
        *(
            (word, "linear")
            for word in ("Linear", "lin_ear", "linaer", "liner", "linearr", "lineor")
        ),
        *((word, None) for word in ("lineaxx", "linoor", "lnaer", "rulE", "l", "")),
        *((word, "relu") for word in ("ReLU", "re-lu", "rleu", "relx", "reluu")),
        ("rel", None),  # words of three letters are too short for a slip
        ("globalavgpool2d", "global_avg_pool2d"),
        ("global_avgg_poll2d", "global_avg_pool2d"),  # two slips in a long word
        ("globl_avgg_poll2d", None),
        ("max_pool1d", None),  # another digit is another name
        ("max_pool", "max_pool2d"),
        ("dropuot", "dropout"),
        ("droput2d", "dropout2d"),
        ("x" * 61, None),
    ],
)
def test_a_slip_is_certain(word, certain):
    assert certain_word(word, KNOWN) == certain


def test_two_words_as_near_leave_it_open():
    assert certain_word("pool_x", ["pool_a", "pool_b"]) is None
    assert certain_word("POOLA", ["pool_a", "poola"]) is None
    assert certain_word("pool_a", []) is None


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("glob", "global_avg_pool2d"),  # it begins so
        ("glo", None),
        ("linear_layer", "linear"),  # it is begun by it
        ("dropout2d_layer", "dropout2d"),
        ("relu_layer", None),
        ("flaten_it", "flatten"),
        ("unknown", None),
    ],
)
def test_what_is_near_is_asked_for(word, near):
    assert did_you_mean(word, KNOWN) == (f"did you mean {near!r}?" if near else None)


def one_slip(word: str) -> set[str]:
    """All words of these letters that are one slip away."""
    cuts = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    return {
        *(a + b[1:] for a, b in cuts if b),
        *(a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1),
        *(a + c + b[1:] for a, b in cuts if b for c in "abc"),
        *(a + c + b for a, b in cuts for c in "abc"),
    } - {word}


@settings(max_examples=200)
@given(st.text("abc", min_size=4, max_size=7), st.text("abc", min_size=4, max_size=7))
def test_a_slip_is_one_letter_of_a_short_word(word, known):
    # The set of slips is made from the word, and not the distance of two words counted.
    expected = known if known == word or known in one_slip(word) else None
    assert certain_word(word, [known]) == expected
