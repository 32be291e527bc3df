"""A checked document to a graph with shapes."""
