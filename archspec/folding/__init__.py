"""Finds the classes, parameters and loops behind a network that is written out in full.

`tree` is what goes in: nested lists of nodes with their numbers. `template` is what comes out:
lists with parameters, calls and loops, which a writer turns into YAML or Python. Nothing here knows
an op, YAML or torch.
"""
