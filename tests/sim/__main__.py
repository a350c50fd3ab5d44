"""Run the simulator: `python -m tests.sim run --seed 7 --events 20000`.

`run` plays one seed and prints a digest of all that happened, the same on every machine; `soak`
plays seeds for as long as told, on all cores; `mutants` sees that planted bugs are caught; `shrink`
makes a failing history short.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.sim import hunting

EPILOG = """examples:
  python -m tests.sim run --seed 7 --events 20000
  python -m tests.sim run --seed 7 --episode 13     one episode, told step by step
  python -m tests.sim shrink --seed 7 --episode 13
  python -m tests.sim soak --minutes 10
  python -m tests.sim mutants
"""


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; 1 where a rule was broken or a bug survived."""
    options = _parser().parse_args(arguments)
    if options.verb == "mutants":
        return hunting.catch_all(options.names, options.seconds, rewrite=options.rewrite)
    # Not above: whoever hunts a planted bug loads this file first, and the code after that.
    from tests.sim import runner

    match options.verb:
        case "run" if options.episode is not None:
            return runner.tell(options.seed, options.episode)
        case "run":
            return runner.run(options.seed, options.events)
        case "soak":
            return runner.soak(options.minutes, options.seed)
        case _:
            return runner.shrink(options.seed, options.episode)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.sim",
        description="Let the engine live on made-up hosts.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    one = verbs.add_parser("run", help="play the episodes of one seed, and print a digest")
    one.add_argument("--seed", type=int, required=True)
    one.add_argument("--events", type=int, default=20_000, help="that changed something")
    one.add_argument("--episode", type=int, help="play this one alone, and tell its story")
    long = verbs.add_parser("soak", help="play seed after seed, on all cores")
    long.add_argument("--minutes", type=float, default=10.0)
    long.add_argument("--seed", type=int, default=int(time.time()), help="the first one")
    bugs = verbs.add_parser("mutants", help="see that every planted bug is caught")
    bugs.add_argument("names", nargs="*", metavar="NAME", help="only these")
    bugs.add_argument("--seconds", type=float, default=5.0, help="of simulation for each of them")
    bugs.add_argument("--rewrite", action="store_true", help="keep the episodes that caught them")
    short = verbs.add_parser("shrink", help="find the shortest history that breaks a rule")
    short.add_argument("--seed", type=int, required=True)
    short.add_argument("--episode", type=int, required=True)
    return parser


if __name__ == "__main__":
    sys.exit(main())
