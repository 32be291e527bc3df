"""Values to a checked document."""
