"""What is said of a mistake: codes, places, messages and fixes."""
