"""Questions about a checked graph without torch: what it costs, what it keeps, how it reads."""
