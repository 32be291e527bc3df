"""What is said of a mistake: codes, places, messages, what mends it."""
