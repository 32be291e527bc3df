"""`archspec completion SHELL`: completion scripts, made from the commands' records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archspec.cli import parser
from archspec.cli.command import Arguments, Command, Option
from archspec.cli.output import write

COMMAND = Command(
    "print a shell completion script",
    "Print a script that completes commands, options and the names of bundled specs.",
    'eval "$(archspec completion bash)"    # in ~/.bashrc\n'
    'eval "$(archspec completion zsh)"     # in ~/.zshrc, after compinit\n'
    "archspec completion fish > ~/.config/fish/completions/archspec.fish",
    (Option("shell", "the shell", choices=("bash", "zsh", "fish")),),
)

HELP = Option("-h", "show this help message and exit", also=("--help",), action="store_true")
VERSION = Option("--version", "show program's version number and exit", action="store_true")
"""What argparse adds."""


def run(args: Arguments) -> int:
    """Print the script."""
    scripts = {"bash": bash_script, "zsh": zsh_script, "fish": fish_script}
    commands = {name: parser.declared(name) for name in parser.COMMANDS}
    write(scripts[args.shell](commands, (HELP, VERSION)).rstrip("\n"))
    return 0


def _options(command: Command) -> list[Option]:
    return [HELP, *(option for option in command.options if not option.is_word)]


def _takes_specs(command: Command) -> bool:
    return any(option.is_word and option.metavar == "SPEC" for option in command.options)


def _words(command: Command) -> list[str]:
    """What its words may be, where that is listed."""
    return [w for option in command.options if option.is_word for w in option.choices or ()]


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


def bash_script(commands: Mapping[str, Command], top: Sequence[Option]) -> str:
    """A function that looks at the command word and at the word before the cursor."""
    values, cases = [], []
    for name, command in commands.items():
        for option in _options(command):
            if not option.is_switch:
                pattern = "|".join(f"'{name} {flag}'" for flag in option.names)
                values.append(f"            {pattern}) words='{' '.join(option.choices or ())}' ;;")
        words = " ".join([*_words(command), *HELP.names, *command.flags])
        specs = " specs=1" if _takes_specs(command) else ""
        cases.append(f"                    {name}) words='{words}'{specs} ;;")
    names = [*commands, *(flag for option in top for flag in option.names)]
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


def zsh_script(commands: Mapping[str, Command], top: Sequence[Option]) -> str:
    """A function for zsh's `_arguments`; works with `eval` and as a file on `$fpath`."""
    cases = []
    for name, command in commands.items():
        specs = [_zsh_option(option, flag) for option in _options(command) for flag in option.names]
        if _takes_specs(command):
            specs.append("'*:spec:_archspec_specs'")
        elif words := _words(command):
            specs.append(f"':word:({' '.join(words)})'")
        lines = " \\\n                ".join(specs)
        cases.append(f"        {name})\n            _arguments {lines} ;;")
    return ZSH % {
        "names": "\n".join(f"        '{n}:{_quoted(c.summary)}'" for n, c in commands.items()),
        "top": " ".join(_zsh_option(option, flag) for option in top for flag in option.names),
        "commands": "\n".join(cases),
    }


def _zsh_option(option: Option, flag: str) -> str:
    text = _quoted(option.help).replace("[", "\\[").replace("]", "\\]")
    text = f"'{'*' if option.repeats else ''}{flag}[{text}]"
    if option.is_switch:
        return f"{text}'"
    name = (option.metavar or option.name.lstrip("-")).rpartition("]")[2]
    choices = f"({' '.join(option.choices)})" if option.choices else " "
    return f"{text}:{name}:{choices}'"


def fish_script(commands: Mapping[str, Command], top: Sequence[Option]) -> str:
    """One `complete` line for every command and option."""
    lines = ["# fish completion for archspec", "complete -c archspec -f"]
    lines += [f"complete -c archspec -n __fish_use_subcommand{_fish_option(o)}" for o in top]
    for name, command in commands.items():
        lines.append(
            "complete -c archspec -n __fish_use_subcommand "
            f"-a {name} -d '{_quoted(command.summary)}'"
        )
        here = f"complete -c archspec -n '__fish_seen_subcommand_from {name}'"
        lines += [here + _fish_option(option) for option in _options(command)]
        if _takes_specs(command):
            lines.append(f"{here} -a '(archspec list --names 2>/dev/null)' -d 'bundled spec'")
            lines += [f"{here} -a '(__fish_complete_suffix {s})'" for s in (".yaml", ".yml")]
        if words := _words(command):
            lines.append(f"{here} -a '{' '.join(words)}'")
    return "\n".join(lines)


def _fish_option(option: Option) -> str:
    flags = "".join(
        f" -l {flag[2:]}" if flag.startswith("--") else f" -s {flag[1:]}" for flag in option.names
    )
    value = "" if option.is_switch else " -x"
    choices = f" -a '{' '.join(option.choices)}'" if option.choices else ""
    return f"{flags}{value}{choices} -d '{_quoted(option.help)}'"


def _quoted(text: str) -> str:
    """Help for the inside of single quotes, in any of the shells."""
    return text.replace("'", "’").replace("`", "").replace("\\", "")
