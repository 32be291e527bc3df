"""What torch lacks to run a network, and measuring of a real run.

These modules import torch, and ops must not: so a module stands here and not beside its op. It is
no part of a function either, since pickle finds classes by import. Modules of other packages are
run here too (`foreign`), because the op that names one needs the figures of a real run.
"""
