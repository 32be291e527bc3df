"""Weights into a module: all of them, or on request what fits."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from archspec.diagnostics.diagnostic import Note
from archspec.weights.errors import WeightsError
from archspec.weights.match import match
from archspec.weights.read import Weights, read_weights
from archspec.weights.rename import Renames, read_renames
from archspec.weights.report import LoadReport

MAX_NOTES = 40
"""Differences that an error lists; its `report` has them all."""


def load_weights(
    module: nn.Module,
    weights: Weights,
    *,
    renames: Renames | None = None,
    partial: bool = False,
    network: str | None = None,
    whole: Mapping[str, Tensor] | None = None,
) -> LoadReport:
    """Load `weights` into a module and say what became of each key.

    `weights` are a file (torch.save's or safetensors'), the name of weights that torchvision
    publishes, or a state dict. `renames` maps paths of the file to those of the network: a key, or
    the start of one up to a dot. Unless every key of the one fits one of the other, nothing is
    loaded; with `partial` what fits is, and the report names the rest. Values keep the module's
    device and precision; on the meta device the report is all.

    `network` names it in messages. A module that is a part of a network takes its part of the
    weights: `whole` is then that network's state dict, which they must fit.

    Raises `WeightsError`, whose `report` says the same of each key.
    """
    loaded = read_weights(weights)
    name = network or type(module).__name__
    expected = module.state_dict() if whole is None else whole
    report, fitting = match(name, expected, loaded, read_renames(renames), tied_keys(module))
    if not report.matched or not (report.fits or partial):
        raise _refusal(report)
    if not any(value.is_meta for value in module.state_dict().values()):
        module.load_state_dict(fitting, strict=False)
    return report


def tied_keys(module: nn.Module) -> dict[str, str]:
    """Keys that are second names of a tensor, each with the first one."""
    first: dict[int, str] = {}
    tied: dict[str, str] = {}
    for key, tensor in module.state_dict(keep_vars=True).items():
        known = first.setdefault(id(tensor), key)
        if known != key:
            tied[key] = known
    return tied


def _refusal(report: LoadReport) -> WeightsError:
    differences = report.differences
    notes = [Note(f"{kind}: {each.key}: {each.why}") for kind, each in differences[:MAX_NOTES]]
    if len(differences) > MAX_NOTES:
        notes.append(Note(f"and {len(differences) - MAX_NOTES:,} more"))
    counts = {
        "missing": len(report.missing),
        "unexpected": len(report.unexpected),
        "of another shape": len(report.other_shape),
    }
    found = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)
    return WeightsError(
        f"the weights of {report.source} do not fit {report.network}: nothing is loaded",
        expected=f"the {report.total:,} keys of the network",
        found=f"{len(report.matched):,} that match; {found}",
        help=report.help,
        notes=(*map(Note, report.notes), *notes),
        report=report,
    )
