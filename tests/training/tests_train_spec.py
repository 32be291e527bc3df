"""The network that the trainer's tests train, and what they all ask of a run."""

from pathlib import Path

from PIL import Image

SMALL = """
name: small
input: [1, 8, 8]
params: {num_classes: 10}
layers:
  - conv2d: {out_channels: 4, kernel_size: 3}
  - batch_norm
  - relu
  - flatten
  - dropout: 0.2
  - linear: num_classes
train: {dataset: digits, batch_size: 16, epochs: 2, lr: 0.01, limit_train: 100, limit_test: 40}
"""


def assert_drawn(run: Path) -> None:
    """Both charts are pictures with more than an empty sheet."""
    for name in ("curves.png", "confusion.png"):
        with Image.open(run / name) as chart:
            assert min(chart.size) > 400 and len(chart.convert("RGB").getcolors(2**24)) > 20, name
