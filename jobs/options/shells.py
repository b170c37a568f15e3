"""Completion in bash, zsh and fish: the script that a shell reads once, and the answer to each ``<TAB>``.

``_LOGITSTREAM_COMPLETE=bash_source logitstream`` prints the script for bash. The script calls the command again with
``bash_complete``, and with the line up to the cursor in ``COMP_WORDS``. Programs that complete through Click, and state
the number of the word in ``COMP_CWORD``, get the same answers.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence

import click
from click.shell_completion import CompletionItem

from jobs.options.completion import FILE
from pipeline.choices import listed
from pipeline.dataclass import dataclass
from pipeline.errors import UsageError
from pipeline.units import quoted

_BASH = """\
_logitstream_completion() {
    local answer line
    COMPREPLY=()
    answer=$(env COMP_WORDS="${COMP_LINE:0:COMP_POINT}" COMP_BREAKS="$COMP_WORDBREAKS" \\
        _LOGITSTREAM_COMPLETE=bash_complete "${1/#\\~\\//$HOME/}" 2>/dev/null)
    while IFS= read -r line; do
        case $line in
            plain,*) COMPREPLY+=("${line#*,}") ;;
            part,*) COMPREPLY+=("${line#*,}"); compopt -o nospace ;;
            file,*) compopt -o default ;;
        esac
    done <<< "$answer"
}
complete -o nosort -F _logitstream_completion logitstream
"""

_ZSH = """\
_logitstream_completion() {
    local -a answer described plain part
    local kind text help
    answer=("${(@f)$(env COMP_WORDS="${(j: :)words[1,CURRENT-1]} $QIPREFIX$IPREFIX$PREFIX" \\
        _LOGITSTREAM_COMPLETE=zsh_complete "${${(Q)words[1]}/#\\~\\//$HOME/}" 2>/dev/null)}")
    for kind text help in "${answer[@]}"; do
        case $kind in
            plain) if [[ $help == _ ]]; then plain+=("$text"); else described+=("${text//:/\\\\:}:$help"); fi ;;
            part) part+=("$text") ;;
            file) [[ -n $text ]] && compset -p ${#text}; _files ;;
        esac
    done
    (( $#described )) && _describe -V logitstream described
    (( $#plain )) && compadd -V logitstream -a -- plain
    (( $#part )) && compadd -V logitstream -S '' -a -- part
}
compdef _logitstream_completion logitstream
"""

_FISH = """\
function __logitstream_completion
    set -l words (commandline -opc)
    set -lx COMP_WORDS (commandline -cp | string collect)
    set -lx _LOGITSTREAM_COMPLETE fish_complete
    for line in ($words[1] 2>/dev/null)
        set -l found (string split -m 1 , -- $line)
        if test "$found[1]" = file
            set -l path (string split \\t -- $found[2])
            for each in (__fish_complete_path $path[2])
                echo $path[1]$each
            end
        else if test -n "$line"
            echo $found[2]
        end
    end
end
complete --no-files --command logitstream --arguments "(__logitstream_completion)"
"""

# The characters, besides blanks, after which readline begins a new word; a user may change them.
_BREAKS = "\"'><=;|&(:"
_HELP_WIDTH = 80

_PIECE = re.compile(
    r"""(?P<blank>\s+)|'(?P<single>[^']*)(?:'|\Z)|"(?P<double>(?:[^"\\]|\\.)*)(?:"|\Z)"""
    r"""|\\(?P<escaped>.)|(?P<bare>[^\s'"\\]+)""",
    re.DOTALL,
)
_ESCAPED_IN_DOUBLE = re.compile(r"\\([$`\"\\])")
# What needs a backslash, within double quotes and outside of quotes.
_SPECIAL, _UNSAFE = re.compile(r"[$`\"\\]"), re.compile(r"[^\w@%+=:,./-]")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a command line.

    Attributes
    ----------
    raw, value : str
        As it was typed, and as the command gets it.
    start : int
        Where, in ``raw``, the part begins that bash replaces.
    quote : str
        The quote that is still open; empty where none is.
    """

    raw: str = ""
    value: str = ""
    start: int = 0
    quote: str = ""

    def completed(self, value: str) -> str:
        """Return what bash puts in place of the part that it replaces: what was typed, and the rest of a value."""
        return self.raw[self.start :] + self._escaped(value[len(self.value) :])

    def _escaped(self, rest: str) -> str:
        if self.quote == "'":
            return rest.replace("'", r"'\''")
        return (_SPECIAL if self.quote else _UNSAFE).sub(r"\\\g<0>", rest)


def answer(group: click.Group, instruction: str) -> str:
    """Return the script of a shell, or the completions of the line that it shows.

    Parameters
    ----------
    group : click.Group
    instruction : str
        ``bash_source``, ``bash_complete``, and so on.

    Raises
    ------
    UsageError
        There is no such instruction.
    """
    shell, _, what = instruction.partition("_")
    if shell not in _SHELLS or what not in {"source", "complete"}:
        known = listed(f"{name}_source" for name in _SHELLS)
        raise UsageError(f"_LOGITSTREAM_COMPLETE is {quoted(instruction)}, which is not known", f"write {known}")
    script, shown = _SHELLS[shell]
    if what == "source":
        return script.rstrip("\n")
    try:
        return "\n".join(_completions(group, shown))
    except Exception:  # noqa: BLE001 - whatever is typed: a traceback would end up in the middle of the line
        return ""


def split_line(line: str, breaks: str = _BREAKS) -> list[Word]:
    """Return the words of a command line as a shell splits it; the last is empty where a new one begins."""
    words, word = [], Word()
    # A backslash at the end escapes what is still to be typed.
    backslashes = len(line) - len(line.rstrip("\\"))
    for piece in _PIECE.finditer(line[: len(line) - backslashes % 2]):
        if piece["blank"]:
            words.append(word)
            word = Word()
        else:
            word = _longer(word, piece, breaks)
    return [*words, word]


def _longer(word: Word, piece: re.Match[str], breaks: str) -> Word:
    raw, start, quote = word.raw + piece[0], word.start, ""
    if piece["bare"] is not None:
        value = piece["bare"]
        start = max([start, *(len(word.raw) + place.end() for place in re.finditer(f"[{re.escape(breaks)}]", value))])
    elif piece["escaped"] is not None:
        value = piece["escaped"]
    else:
        single = piece["single"] is not None
        value = piece["single"] if single else _ESCAPED_IN_DOUBLE.sub(r"\1", piece["double"])
        is_open = piece.end("single" if single else "double") == piece.end()
        quote = piece[0][0] if is_open else ""
        start = len(word.raw) + 1 if is_open else len(raw)
    return Word(raw, word.value + value, start, quote)


def _completions(group: click.Group, shown: Callable[[CompletionItem, str, Word], str]) -> Iterable[str]:
    words = split_line(os.environ["COMP_WORDS"], os.environ.get("COMP_BREAKS", _BREAKS))
    number = int(os.environ.get("COMP_CWORD", len(words) - 1))
    word = words[number] if number < len(words) else Word()
    before = [each.value for each in words[1:number]]
    head, start = "", word.value
    if (option := re.match(r"--[^=]+=", start)) is not None:
        head, start = option[0], start[option.end() :]
        before.append(head[:-1])
    return [shown(item, head, word) for item in _items(group, before, start)]


def _items(group: click.Group, before: Sequence[str], start: str) -> Sequence[CompletionItem]:
    command: click.Command | None = group
    context = group.make_context("logitstream", [], resilient_parsing=True)
    words = list(before)
    while isinstance(command, click.Group) and words:
        name = words.pop(0)
        if name.startswith("-"):
            continue
        command = command.get_command(context, name)
        if isinstance(command, click.Group):
            context = command.make_context(name, [], parent=context, resilient_parsing=True)
    if isinstance(command, click.Group):
        return command.shell_complete(context, start)
    return _of_command(command, context, words, start) if command is not None else []


def _of_command(
    command: click.Command, parent: click.Context, words: Sequence[str], start: str
) -> Sequence[CompletionItem]:
    waiting = None if "--" in words else _waiting(command, words)
    # Click would not read the words before an option that has no value yet.
    given = list(words[:-1] if waiting is not None else words)
    context = command.make_context(command.name, given, parent=parent, resilient_parsing=True)
    if waiting is not None:
        return waiting.shell_complete(context, start)
    if start.startswith("-") and "--" not in words:
        return command.shell_complete(context, start)
    for param in command.params:
        if isinstance(param, click.Argument) and (param.nargs == -1 or not context.params.get(str(param.name))):
            return param.shell_complete(context, start)
    return []


def _waiting(command: click.Command, words: Sequence[str]) -> click.Option | None:
    """Return the option that the last word names, if it takes a value."""
    for param in command.params:
        if isinstance(param, click.Option) and not param.is_flag and {*words[-1:]} & {*param.opts}:
            return param
    return None


def _in_bash(item: CompletionItem, head: str, word: Word) -> str:
    return f"{item.type}," if item.type == FILE else f"{item.type},{word.completed(head + item.value)}"


def _in_zsh(item: CompletionItem, head: str, _: Word) -> str:
    return f"{item.type}\n{head if item.type == FILE else head + item.value}\n{_help(item) or '_'}"


def _in_fish(item: CompletionItem, head: str, _: Word) -> str:
    if item.type == FILE:
        return f"{FILE},{head}\t{item.value}"
    return "\t".join(filter(None, (f"{item.type},{head}{item.value}", _help(item))))


def _help(item: CompletionItem) -> str:
    return textwrap.shorten(item.help or "", _HELP_WIDTH, placeholder=" ...")


_SHELLS = {"bash": (_BASH, _in_bash), "zsh": (_ZSH, _in_zsh), "fish": (_FISH, _in_fish)}
