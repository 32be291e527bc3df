"""How a network is trained: every field, what it may be, and where its value came from."""
