"""`archspec completion SHELL`: completion scripts, made from the parser so that they follow it."""

from __future__ import annotations

import argparse
from argparse import Namespace
from collections.abc import Sequence
from typing import NamedTuple

from archspec.cli.output import write
from archspec.cli.parser import build_parser


class CompletionOption(NamedTuple):
    """An option of a command; `metavar` is None for a switch."""

    flags: tuple[str, ...]
    help: str
    metavar: str | None
    choices: tuple[str, ...]
    repeats: bool


class Command(NamedTuple):
    """A command: its options, and what its words may be (a spec, or one of `words`)."""

    name: str
    help: str
    options: tuple[CompletionOption, ...]
    takes_specs: bool
    words: tuple[str, ...]


def run(args: Namespace) -> int:
    """Print the script."""
    parser = build_parser()
    scripts = {"bash": bash_script, "zsh": zsh_script, "fish": fish_script}
    write(scripts[args.shell](commands(parser), _options(parser)).rstrip("\n"))
    return 0


def commands(parser: argparse.ArgumentParser) -> list[Command]:
    """The commands of a parser. (argparse has no public way to list what was added to it.)"""
    subparsers = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    helps = {action.dest: action.help or "" for action in subparsers._choices_actions}
    return [_command(name, helps[name], sub) for name, sub in subparsers.choices.items()]


def _command(name: str, help_text: str, parser: argparse.ArgumentParser) -> Command:
    words = [action for action in parser._actions if not action.option_strings]
    return Command(
        name,
        help_text,
        _options(parser),
        takes_specs=any(action.metavar == "SPEC" for action in words),
        words=tuple(str(choice) for action in words for choice in action.choices or ()),
    )


def _options(parser: argparse.ArgumentParser) -> tuple[CompletionOption, ...]:
    return tuple(
        CompletionOption(
            tuple(action.option_strings),
            action.help or "",
            None if action.nargs == 0 else str(action.metavar or action.dest),
            tuple(map(str, action.choices or ())),
            isinstance(action, argparse._AppendAction),
        )
        for action in parser._actions
        if action.option_strings
    )


BASH = """\
# bash completion for archspec
_archspec() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
    local words='' specs=''
    if ((COMP_CWORD == 1)); then
        words='%(top)s'
    else
        case "${COMP_WORDS[1]} $previous" in
%(values)s
            *)
                case "${COMP_WORDS[1]}" in
%(commands)s
                esac ;;
        esac
        if [[ $current == -* ]]; then specs=''; fi
    fi
    local IFS=$'\\n'
    COMPREPLY=($(compgen -W "${words// /$'\\n'}" -- "$current"))
    if [[ $specs ]]; then
        compopt -o filenames
        COMPREPLY+=($(compgen -W "$(archspec list --names 2>/dev/null)" -- "$current")
            $(compgen -f -X '!*.yaml' -- "$current") $(compgen -f -X '!*.yml' -- "$current")
            $(compgen -d -- "$current"))
    fi
}
complete -F _archspec archspec
"""


def bash_script(all_commands: Sequence[Command], top: Sequence[CompletionOption]) -> str:
    """A function that looks at the command word and at the word before the cursor."""
    values, cases = [], []
    for command in all_commands:
        for option in command.options:
            if option.metavar is not None:
                pattern = "|".join(f"'{command.name} {flag}'" for flag in option.flags)
                values.append(f"            {pattern}) words='{' '.join(option.choices)}' ;;")
        words = " ".join([*command.words, *(flag for o in command.options for flag in o.flags)])
        specs = " specs=1" if command.takes_specs else ""
        cases.append(f"                    {command.name}) words='{words}'{specs} ;;")
    names = [c.name for c in all_commands] + [flag for option in top for flag in option.flags]
    return BASH % {
        "top": " ".join(names),
        "values": "\n".join(values),
        "commands": "\n".join(cases),
    }


ZSH = """\
#compdef archspec
# zsh completion for archspec
_archspec_specs() {
    local -a names
    names=(${(f)"$(archspec list --names 2>/dev/null)"})
    _alternative 'names:bundled spec:compadd -a names' 'files:file:_files -g "*.y(a|)ml"'
}
_archspec() {
    local -a names
    names=(
%(names)s
    )
    if ((CURRENT == 2)); then
        _describe command names
        _arguments %(top)s
        return
    fi
    shift words
    ((CURRENT--))
    case $words[1] in
%(commands)s
    esac
}
if [[ ${funcstack[1]} == _archspec ]]; then _archspec "$@"; else compdef _archspec archspec; fi
"""


def zsh_script(all_commands: Sequence[Command], top: Sequence[CompletionOption]) -> str:
    """A function for zsh's `_arguments`; works with `eval` and as a file on `$fpath`."""
    cases = []
    for command in all_commands:
        specs = [_zsh_option(option, flag) for option in command.options for flag in option.flags]
        if command.takes_specs:
            specs.append("'*:spec:_archspec_specs'")
        elif command.words:
            specs.append(f"':word:({' '.join(command.words)})'")
        lines = " \\\n                ".join(specs)
        cases.append(f"        {command.name})\n            _arguments {lines} ;;")
    return ZSH % {
        "names": "\n".join(f"        '{c.name}:{_quoted(c.help)}'" for c in all_commands),
        "top": " ".join(_zsh_option(option, flag) for option in top for flag in option.flags),
        "commands": "\n".join(cases),
    }


def _zsh_option(option: CompletionOption, flag: str) -> str:
    text = _quoted(option.help).replace("[", "\\[").replace("]", "\\]")
    text = f"'{'*' if option.repeats else ''}{flag}[{text}]"
    if option.metavar is None:
        return f"{text}'"
    name = option.metavar.rpartition("]")[2]
    choices = f"({' '.join(option.choices)})" if option.choices else " "
    return f"{text}:{name}:{choices}'"


def fish_script(all_commands: Sequence[Command], top: Sequence[CompletionOption]) -> str:
    """One `complete` line for every command and option."""
    lines = ["# fish completion for archspec", "complete -c archspec -f"]
    lines += [f"complete -c archspec -n __fish_use_subcommand{_fish_option(o)}" for o in top]
    for command in all_commands:
        lines.append(
            "complete -c archspec -n __fish_use_subcommand "
            f"-a {command.name} -d '{_quoted(command.help)}'"
        )
        here = f"complete -c archspec -n '__fish_seen_subcommand_from {command.name}'"
        lines += [here + _fish_option(option) for option in command.options]
        if command.takes_specs:
            lines.append(f"{here} -a '(archspec list --names 2>/dev/null)' -d 'bundled spec'")
            lines += [f"{here} -a '(__fish_complete_suffix {s})'" for s in (".yaml", ".yml")]
        if command.words:
            lines.append(f"{here} -a '{' '.join(command.words)}'")
    return "\n".join(lines)


def _fish_option(option: CompletionOption) -> str:
    flags = "".join(
        f" -l {flag[2:]}" if flag.startswith("--") else f" -s {flag[1:]}" for flag in option.flags
    )
    value = "" if option.metavar is None else " -x"
    choices = f" -a '{' '.join(option.choices)}'" if option.choices else ""
    return f"{flags}{value}{choices} -d '{_quoted(option.help)}'"


def _quoted(text: str) -> str:
    """Help for the inside of single quotes, in any of the shells."""
    return text.replace("'", "’").replace("`", "").replace("\\", "")
