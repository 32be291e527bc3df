"""YAML texts to values with places, within bounds."""
