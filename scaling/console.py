"""Runs `vit-scaling SUBCOMMAND ...`: every command of the project under one name, as `python -m` runs it.

Starts commands by the names of their modules, so that only the one asked for is loaded: `vit-scaling --help` takes
about as long as Python itself.
"""

import sys

from scaling import __version__

COMMANDS = {
    "pilot": ("analysis.pilot", "a folder of images and a time limit: CNN or ViT?"),
    "train": ("scaling.train", "train one model, or every cell of a sweep that has no record"),
    "status": ("scaling.status", "how far a sweep is"),
    "inspect": ("scaling.inspect", "what a trained ViT learned, in numbers"),
    "disk": ("scaling.disk", "what runs and caches take on disk; remove some of it"),
    "data": ("scaling.data", "what a folder of images holds, as training would read it"),
    "report": ("analysis.report", "fit the curves of results, write the verdict and the pages"),
    "advise": ("analysis.advise", "which family to use for N images"),
    "plot": ("analysis.plot", "one figure of results or of a run"),
    "evidence": ("analysis.evidence", "answers from several tables in one figure"),
    "publish": ("analysis.publish", "log a report to W&B"),
    "rerun": ("analysis.rerun", "the commands that run rows of results again"),
    "public-curves": ("analysis.public_curves", "what published ViT and BiT curves say"),
    "repeats": ("analysis.repeats", "whether a sweep's answers hold what its repeats measured"),
    "calibrate": ("analysis.calibrate", "how often the intervals hold the truth, on simulated sweeps"),
    "benchmark": ("analysis.benchmark", "how well public curves are predicted, and how fast"),
}
SHELLS = ("bash", "zsh", "fish")
COMPLETION = "completion"
_SHELLS_LINE = f"print the completion of these words for {', '.join(SHELLS)}"


def usage() -> str:
    """The text of `vit-scaling --help`: one screen."""
    lines = {name: line for name, (_, line) in COMMANDS.items()} | {COMPLETION: _SHELLS_LINE}
    return "\n".join(
        [
            "usage: vit-scaling SUBCOMMAND [key=value ...]",
            "",
            "Compares CNNs and Vision Transformers on growing subsets of your images.",
            "",
            *(f"  {name:<15}{line}" for name, line in lines.items()),
            "",
            "vit-scaling SUBCOMMAND --help explains one of them; vit-scaling --version.",
            "vit-scaling train ... is python -m scaling.train ..., and so on.",
        ]
    )


_BASH = """_vit_scaling() {{
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "{names}" -- "${{COMP_WORDS[1]}}"))
    elif [ "$COMP_CWORD" -eq 2 ] && [ "${{COMP_WORDS[1]}}" = {completion} ]; then
        COMPREPLY=($(compgen -W "{shells}" -- "${{COMP_WORDS[2]}}"))
    fi
}}
complete -o default -F _vit_scaling vit-scaling"""

_ZSH = """#compdef vit-scaling
_vit_scaling() {{
    local -a commands
    commands=({described})
    if (( CURRENT == 2 )); then
        _describe 'sub-command' commands
    elif (( CURRENT == 3 )) && [[ $words[2] == {completion} ]]; then
        compadd {shells}
    else
        _files
    fi
}}
if [ "$funcstack[1]" = _vit_scaling ]; then _vit_scaling "$@"; else compdef _vit_scaling vit-scaling; fi"""

_FISH = "complete -c vit-scaling -n __fish_use_subcommand -f -a {name} -d '{line}'"


def completion(shell: str) -> str:
    """A script that completes the sub-commands; file names follow them.

    Args:
        shell: "bash", "zsh" (both: source it, or put it where the shell looks) or "fish".
    """
    lines = {name: line for name, (_, line) in COMMANDS.items()} | {COMPLETION: _SHELLS_LINE}
    words = dict(names=" ".join(lines), shells=" ".join(SHELLS), completion=COMPLETION)
    if shell == "bash":
        return _BASH.format(**words)
    if shell == "zsh":
        return _ZSH.format(**words, described=" ".join(f"'{name}:{line}'" for name, line in lines.items()))
    choices = f"complete -c vit-scaling -n '__fish_seen_subcommand_from {COMPLETION}' -f -a '{words['shells']}'"
    return "\n".join([*(_FISH.format(name=name, line=line) for name, line in lines.items()), choices])


def _refuse(text: str) -> int:
    print(f"error: {text}", file=sys.stderr)
    return 2


def _nearest(word: str) -> str:
    import difflib

    return difflib.get_close_matches(word.lower(), [*COMMANDS, COMPLETION], n=1, cutoff=0.0)[0]


def _complete(words: list[str]) -> int:
    if {"-h", "--help"} & set(words):
        print(f"usage: vit-scaling {COMPLETION} {'|'.join(SHELLS)}\n\nPrints a script that completes sub-commands:")
        print(f"  source <(vit-scaling {COMPLETION} bash)        # zsh alike; fish: ... {COMPLETION} fish | source")
        return 0
    if len(words) != 1 or words[0] not in SHELLS:
        return _refuse(f"{COMPLETION} takes one of {', '.join(SHELLS)}")
    print(completion(words[0]))
    return 0


def _start(module: str, words: list[str]) -> int:
    """Runs a module as `python -m MODULE WORDS` does; its exit status comes as a SystemExit."""
    import runpy

    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    return 0


def _run(words: list[str]) -> int:
    first = words[0] if words else "--help"
    if first in ("-h", "--help"):
        print(usage())
        return 0
    if first == "--version":
        print(__version__)
        return 0
    if first == COMPLETION:
        return _complete(words[1:])
    if first in COMMANDS:
        return _start(COMMANDS[first][0], words[1:])
    if "=" in first or first.startswith("-"):
        return _refuse(f"{first} comes after a sub-command, as in vit-scaling train {first}")
    return _refuse(
        f"there is no sub-command {first!r}; the nearest is {_nearest(first)} (vit-scaling --help lists all)"
    )


def main() -> int:
    """The entry point `vit-scaling`; returns the exit status."""
    from scaling.records.exit_status import exit_status

    return exit_status(lambda: _run(sys.argv[1:]))


if __name__ == "__main__":
    sys.exit(main())
