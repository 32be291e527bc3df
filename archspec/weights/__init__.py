"""Trained weights into a compiled network: files, published names, and what fits of them."""

from archspec.weights.errors import WeightsError
from archspec.weights.load import load_weights
from archspec.weights.read import Weights
from archspec.weights.rename import Renames
from archspec.weights.report import Difference, LoadReport

__all__ = ["Difference", "LoadReport", "Renames", "Weights", "WeightsError", "load_weights"]
