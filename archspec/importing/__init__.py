"""From a Python module to a spec: it is run once on the meta device, and what it did is written.

`record` runs it, `lifting` makes nodes of the calls by the table of `functions/`, `scopes` puts
them where their weights are, `flat` writes them, `rewriting` folds that text into one that a person
would write, and `verifying` compares module and spec.
"""
