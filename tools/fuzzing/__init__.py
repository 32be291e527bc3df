"""The parts of `tools/fuzz.py`: mutations, the checks that hold them to the contract, a sandbox."""
