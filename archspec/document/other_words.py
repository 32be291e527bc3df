"""What people call things elsewhere, and what it is here; for help lines alone."""

from __future__ import annotations

SYNONYMS = {
    "attention": "multi_head_attention",
    "avgpool": "avg_pool2d",
    "bn": "batch_norm",
    "cat": "concat",
    "concatenate": "concat",
    "conv": "conv2d",
    "fc": "linear",
    "gap": "global_avg_pool2d",
    "maxpool": "max_pool2d",
    "mha": "multi_head_attention",
    "multiply": "mul",
    "selfattention": "multi_head_attention",
    "sum": "add",
    "swish": "silu",
    "transpose": "permute",
    "view": "reshape",
}
"""Words of other libraries, in small letters alone, and the ops they mean."""

TORCH_CLASSES = frozenset(
    """
    AdaptiveAvgPool1d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool3d AlphaDropout AvgPool1d
    AvgPool3d CELU ChannelShuffle CircularPad1d CircularPad2d CircularPad3d ConstantPad1d
    ConstantPad2d ConstantPad3d Conv3d ConvTranspose1d ConvTranspose3d Dropout1d Dropout3d
    FeatureAlphaDropout Fold FractionalMaxPool2d FractionalMaxPool3d GLU Hardshrink Hardtanh
    LPPool1d LPPool2d LPPool3d LogSigmoid LogSoftmax MaxPool1d MaxPool3d Mish PixelShuffle
    PixelUnshuffle RMSNorm RReLU ReflectionPad1d ReflectionPad2d ReflectionPad3d ReplicationPad1d
    ReplicationPad2d ReplicationPad3d SELU Softmax2d Softmin Softshrink Softsign Tanhshrink
    Threshold Unfold ZeroPad1d ZeroPad2d ZeroPad3d
    """.split()  # noqa: SIM905 (sixty quoted words are harder to read)
)
"""Classes of torch.nn from one value to one that no op has, and that `module` can name."""

_BY_LETTERS = {name.lower(): name for name in TORCH_CLASSES}


def elsewhere(word: str) -> str | None:
    """A help for a word that is no op, where other libraries have it."""
    letters = word.rpartition(".")[2].lower().replace("_", "").replace("-", "")
    if letters in _BY_LETTERS:
        path = f"torch.nn.{_BY_LETTERS[letters]}"
        return (
            f"archspec has no such op; torch has: `module: {path}`, allowed by --allow-module torch"
        )
    if letters in SYNONYMS:
        return f"it is called {SYNONYMS[letters]!r} here"
    return None
