"""Trained weights into a compiled network: files, published names, and what fits of them."""

from archspec.weights.errors import WeightsError
from archspec.weights.load import load_weights
from archspec.weights.match import Difference, Report
from archspec.weights.read import Weights
from archspec.weights.rename import Renames

__all__ = ["Difference", "Renames", "Report", "Weights", "WeightsError", "load_weights"]
