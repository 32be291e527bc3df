"""Expressions: parsed once, evaluated within a budget."""
