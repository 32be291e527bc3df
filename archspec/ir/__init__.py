"""The intermediate representation: shapes, ops, graphs and the abstract autograd tape."""
