"""docs/language/tensors.md: its examples are the networks that the page says."""

import re
from pathlib import Path

import torch
from torch import nn

import archspec

PAGE = (Path(__file__).resolve().parent.parent / "docs/language/tensors.md").read_text("utf-8")
TEXT, POSITIONS = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)


class HandWritten(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(50, 8), nn.Embedding(20, 8).requires_grad_(False)
        self.queries = nn.Parameter(torch.randn(3, 8))
        self.lm_head = nn.Linear(8, 50, bias=False)
        self.lm_head.weight = self.wte.weight
        scale = torch.cos(torch.pi * torch.arange(8, dtype=torch.float64) / 8).float()
        self.register_buffer("scale", scale, persistent=False)

    def forward(self, tokens):
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        x = torch.cat((self.queries.expand(len(x), -1, -1), x * self.scale), dim=1)
        return self.lm_head(x)


def test_the_example_is_the_network_written_by_hand():
    arch, hand = archspec.loads(TEXT), HandWritten()
    assert not arch.warnings
    net = arch.build()
    assert net.state_dict().keys() == hand.state_dict().keys()
    net.load_state_dict(hand.state_dict())
    for length in (1, 20):
        tokens = torch.randint(50, (2, length))
        assert torch.equal(net(tokens), hand(tokens))
    learned = {key for key, parameter in net.named_parameters() if parameter.requires_grad}
    assert learned == {"wte.weight", "queries"}
    assert "1 ≤ T ≤ 20" in str(arch.contract())
    assert arch.verify().ok


def test_the_example_of_positions_takes_the_best():
    net = archspec.loads(POSITIONS).build()
    tokens = torch.randn(3, 12, 8)
    given = net(tokens)
    scores = (tokens @ net.score.weight.T + net.score.bias)[..., 0]
    for sample, row in enumerate(scores):
        ordered = sorted(range(12), key=lambda token: -row[token])
        assert torch.equal(given["kept"][sample], tokens[sample, ordered[:2]])
        best = row[: ordered[0] + 1].sum()
        torch.testing.assert_close(given["at_best"][sample].flatten()[0], best)
