"""Which names a node, a parameter or an input may bear."""

from __future__ import annotations

import keyword
import re

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.expressions.evaluate import RESERVED

_NODE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*\Z")
MAX_NAME = 200
_MEANT = {
    "input": "stands for the list's own input",
    "self": "is what torch.fx calls the module in the code that it writes",
}

# Attributes of torch.nn.Module, nn.Sequential and fx.GraphModule (torch 2.11 to 2.15), which a
# submodule of the same name would hide. tests/document/test_names.py holds the list against torch.
MODULE_ATTRIBUTES = frozenset(
    """
    T_destination _apply _backward_hooks _backward_pre_hooks _boxed_call _buffers _call_impl
    _code _compiled_call_impl _create_node_hooks _deepcopy_hooks _deepcopy_init
    _erase_node_hooks _forward_hooks _forward_hooks_always_called _forward_hooks_with_kwargs
    _forward_pre_hooks _forward_pre_hooks_with_kwargs _get_backward_hooks
    _get_backward_pre_hooks _get_item_by_idx _get_name _graph _is_full_backward_hook
    _lineno_map _load_from_state_dict _load_state_dict_post_hooks _load_state_dict_pre_hooks
    _maybe_warn_non_full_backward_hook _modules _named_members _non_persistent_buffers_set
    _parameters _prologue_start _recompile_submodules _register_create_node_hook
    _register_deepcopy_hook _register_erase_node_hook _register_load_state_dict_pre_hook
    _register_replace_node_hook _register_state_dict_hook _replace_hooks
    _replicate_for_data_parallel _save_to_state_dict _set_replace_hook _slow_forward
    _state_dict_hooks _state_dict_pre_hooks _tracer_cls _tracer_extras
    _unregister_create_node_hook _unregister_deepcopy_hook _unregister_erase_node_hook
    _unregister_replace_node_hook _version _wrapped_call _wrapped_call_impl add_module
    add_submodule append apply bfloat16 buffers call_super_init children code compile cpu cuda
    delete_all_unused_submodules delete_submodule double dump_patches eval extend extra_repr
    float forward get_buffer get_extra_state get_parameter get_submodule graph half insert ipu
    load_state_dict meta modules mtia named_buffers named_children named_modules
    named_parameters parameters pop print_readable recompile register_backward_hook
    register_buffer register_forward_hook register_forward_pre_hook
    register_full_backward_hook register_full_backward_pre_hook
    register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module
    register_parameter register_state_dict_post_hook register_state_dict_pre_hook
    requires_grad_ set_extra_state set_submodule shape_env share_memory state_dict to to_empty
    to_folder train training type xpu zero_grad
    """.split()  # noqa: SIM905 (a hundred quoted words are harder to read)
)


def check_node_name(name: str) -> None:
    """Refuse what cannot be a part of a module path."""
    if not _NODE_NAME.match(name):
        raise Refusal(
            f"{name[:60]!r} cannot name a node",
            code=Code.NAME,
            expected="letters, digits, _ and -, not beginning with -",
            help=_plain_form(name),
        )
    if len(name) > MAX_NAME:
        raise Refusal(
            f"a name of {len(name)} characters", code=Code.NAME, expected=f"at most {MAX_NAME}"
        )
    if keyword.iskeyword(name):
        raise Refusal(
            f"{name!r} is a Python keyword and cannot name a node",
            code=Code.NAME,
            help=f"call it {name}_",
        )
    if name in MODULE_ATTRIBUTES or name in _MEANT or (name[:2] == name[-2:] == "__"):
        what = _MEANT.get(name, "belongs to torch.nn.Module")
        raise Refusal(
            f"{name!r} {what} and cannot name a node", code=Code.NAME, help=f"call it {name}_"
        )


def check_identifier(name: str, what: str) -> None:
    """Refuse what cannot name a parameter, a loop variable or an input."""
    if not name.isidentifier() or not name.isascii() or keyword.iskeyword(name):
        raise Refusal(
            f"{name[:60]!r} cannot name {what}",
            code=Code.NAME,
            expected="letters, digits and _, not beginning with a digit, and no Python keyword",
            help=_plain_form(name),
        )
    if name in RESERVED:
        raise Refusal(
            f"{name!r} is a name of the language and cannot name {what}",
            code=Code.NAME,
            help=f"call it {name}_",
        )


def _plain_form(name: str) -> str | None:
    plain = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")
    return f"call it {plain}" if plain and plain != name and len(plain) <= 60 else None
