"""What docs/errors-compared.md says of archspec is what archspec says.

After a change of wording, `python tests/diagnostics/test_compared.py` writes the page's own parts
anew.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import archspec

PAGE = Path(__file__).resolve().parents[2] / "docs" / "errors-compared.md"
HEAD = "input: [3, 32, 32]\nlayers:\n"

SPECS = {
    "A misspelt argument": "  - conv2d: {out_channels: 4, kernal_size: 3}\n",
    "A misspelt layer": "  - conv2: {out_channels: 4, kernel_size: 3}\n",
    "A missing argument": "  - conv2d: {out_channels: 4}\n",
    "A fraction as a size": "  - linear: 16.5\n",
    "A negative size": "  - linear: -10\n",
    "`no` for a truth value": "  - conv2d: {out_channels: 4, kernel_size: 3, bias: no}\n",
    "An image that is too small": """\
  - repeat: 4
    layers:
      - conv2d: {out_channels: 8, kernel_size: 3}
      - max_pool2d: 2
""",
    "A convolution after `flatten`": "  - flatten\n  - conv2d: {out_channels: 8, kernel_size: 3}\n",
    "A shortcut without the stride of its branch": """\
  - {name: a, conv2d: {out_channels: 16, kernel_size: 3, padding: 1, stride: 2}}
  - {name: b, conv2d: {out_channels: 16, kernel_size: 1}, from: input}
  - add: [a, b]
""",
    "A concatenation of different sizes": """\
  - {name: a, conv2d: {out_channels: 8, kernel_size: 3, padding: 1, stride: 2}}
  - {name: b, conv2d: {out_channels: 8, kernel_size: 1}, from: input}
  - concat: [a, b]
""",
    "Groups that do not divide the channels": (
        "  - conv2d: {out_channels: 8, kernel_size: 3, groups: 2}\n"
    ),
    "A reference to a node that is not there": """\
  - {name: stem, conv2d: {out_channels: 3, kernel_size: 1}}
  - add: [stem, shortcut]
""",
    "A name that stands twice": "  - {name: act, relu: }\n  - {name: act, tanh: }\n",
}

SECTION = re.compile(r"^## (.+?)\n.*?^\*\*archspec\*\*\n\n```text\n(.*?)```", re.S | re.M)


def said(heading: str) -> str:
    with pytest.raises(archspec.SpecError) as raised:
        archspec.loads(HEAD + SPECS[heading], name="net.yaml")
    return f"{raised.value}\n"


def shown() -> dict[str, str]:
    return dict(SECTION.findall(PAGE.read_text(encoding="utf-8")))


def test_every_section_is_tested():
    assert list(shown()) == list(SPECS)


@pytest.mark.parametrize("heading", SPECS)
def test_the_page_shows_what_is_said(heading):
    assert shown()[heading] == said(heading)


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    for heading, old in shown().items():
        place = text.index(old, text.index(f"## {heading}\n"))
        text = text[:place] + said(heading) + text[place + len(old) :]
    PAGE.write_text(text, encoding="utf-8")
