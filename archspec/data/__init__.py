"""Data sets: real images by name, split with a seed, as batches on a device.

    data = open_dataset("digits", resize=28, device="cpu")
    for images, labels in data.train.batches(16, device="cpu"):
        ...

`register` brings in a data set of your own.
"""

from archspec.data.errors import DataError
from archspec.data.opening import open_dataset, read_images
from archspec.data.registry import names, register
from archspec.data.split import Data, Split

__all__ = [
    "Data",
    "DataError",
    "Split",
    "names",
    "open_dataset",
    "read_images",
    "register",
]
