"""Sizes that depend on symbols: exact formulas, the questions asked of them, sets of sizes."""
