"""The fuzzer: `make fuzz MINUTES=10` tries damaged files and requests until the time is over, and keeps what crashes.

A crash is an exception that is not one of masklet's, an error of more than one line, more than `MAX_SECONDS` of CPU, or
an answer of the server with a status of 500 or more.
"""

from __future__ import annotations

import argparse
import faulthandler
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from masklet.errors import MaskletError
from tests.fuzz.doors import Door, doors

MAX_SECONDS = 20
"""CPU time of one damaged file."""


class _TooSlow(BaseException):
    """Raised by the timer; not an `Exception`, so that no reader takes it for damage."""


def attempt(door: Door, data: bytes, folder: Path) -> str | None:
    """Read a damaged file, or send a damaged request.

    Returns:
        What went wrong, or None: it was read, or refused in one line.
    """
    path = folder / f"input{door.suffix}"
    path.write_bytes(data)
    signal.signal(signal.SIGVTALRM, _stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, MAX_SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            door.read(path)
    except MaskletError as error:
        problem = "an error of several lines" if "\n" in str(error) else None
        try:
            str(error).encode()
        except UnicodeEncodeError:
            problem = "an error that cannot be printed"
        return problem
    except _TooSlow:
        return f"more than {MAX_SECONDS} s of CPU time"
    except Exception:  # what the fuzzer looks for
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return None


def _stop(number: int, frame: object) -> None:
    raise _TooSlow


def damaged(door: Door, name: str, seed: int) -> bytes:
    """Return the damaged file of a seed."""
    rng = random.Random(f"{name} {seed}")
    return door.damage(rng.choice(door.seeds), rng)


def _say(line: str) -> None:
    sys.stdout.write(line.encode(errors="backslashreplace").decode() + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run the fuzzer from the command line."""
    parser = argparse.ArgumentParser(description="Try damaged files on every reader.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=None, help="first seed; new on each run when left out")
    parser.add_argument("--count", type=int, default=None, help="number of files per reader, in place of a time")
    parser.add_argument("--door", default=None, help="one reader only")
    parser.add_argument("--out", type=Path, default=Path("out/fuzz"), help="folder for files that crash")
    options = parser.parse_args()
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, 6 * 2**30))
    first = random.SystemRandom().randrange(2**40) if options.seed is None else options.seed
    end = time.monotonic() + 60 * options.minutes
    tried: Counter[str] = Counter()
    crashes = 0
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        readers = {key: door for key, door in doors(folder, stack).items() if options.door in (None, key)}
        seed = first
        while (time.monotonic() < end) if options.count is None else (seed < first + options.count):
            for key, door in readers.items():
                data = damaged(door, key, seed)
                problem = attempt(door, data, folder)
                tried[key] += 1
                if problem is not None:
                    crashes += 1
                    options.out.mkdir(parents=True, exist_ok=True)
                    kept = options.out / f"{key.replace(' ', '-')}-{seed}{door.suffix}"
                    kept.write_bytes(data)
                    _say(f"{kept}: {problem}\nagain: python -m tests.fuzz.run --door '{key}' --seed {seed} --count 1")
            seed += 1
    _say(f"{sum(tried.values())} damaged files from seed {first}, {crashes} crashes: {dict(tried)}")
    return 1 if crashes else 0


if __name__ == "__main__":
    sys.exit(main())
