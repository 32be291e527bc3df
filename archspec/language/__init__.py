"""The language: text to values with places, to a checked document, to a graph of ops."""
