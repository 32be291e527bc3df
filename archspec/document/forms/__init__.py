"""The forms of a node, a class each: how it is read, its step, what it joins."""

from archspec.document.forms.branches import Branches
from archspec.document.forms.form import FixedForm
from archspec.document.forms.group import Group

FIXED: dict[str, type[FixedForm]] = {form.own_word: form for form in (Group, Branches)}
"""The forms that have a word of their own. All others begin with an op, a block or a `$`."""
