"""The `lstmcourse` command. A subcommand is one row here; its module is imported when it is called."""

import sys
from importlib import import_module

COMMANDS = {                # name: (module with main(argv) -> exit status, one line for the list)
    "progress": ("lstmcourse.practice.progress", "which exercises you have passed"),
    "mistakes": ("lstmcourse.practice.table", "the mistakes that the exercises know, each tried"),
    "grade": ("lstmcourse.grading.grade", "grade a notebook, or a class of them, in a sandbox"),
    "doctor": ("lstmcourse.grading.doctor", "does each layer of that sandbox hold on this machine?"),
    "bench": ("lstmcourse.bench", "speed, side by side with torch.nn"),
}


def usage():
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:{width}}  {line}" for name, (_, line) in COMMANDS.items())
    return f"usage: lstmcourse COMMAND [options]\n\n{rows}\n\nlstmcourse COMMAND --help says more of each."


def main(argv=None):
    """Run a subcommand; returns its exit status, or 2 for wrong use."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return 0 if argv else 2
    if argv[0] not in COMMANDS:
        print(f"lstmcourse: there is no command {argv[0]!r}\n\n{usage()}", file=sys.stderr)
        return 2
    return import_module(COMMANDS[argv[0]][0]).main(argv[1:])
