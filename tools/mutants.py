"""Flips one comparison, condition or sum at a time, and runs that area's tests.

A mutant that survives shows what no test checks. Cosmic Ray makes the mutants. Everything runs in copies of
the checkout, so that the working tree stays as it is:

    make mutants                                    a random sample of every area
    make mutants MUTANTS='--area storage --sample 40 --seed 7'
    make mutants MUTANTS='--changed main'           only lines that differ from a revision

Exits with 1 when an area has fewer killed mutants than `--threshold` (in per cent).
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Area:
    """Modules whose mutants are made, and the tests that must kill them, as paths below the checkout."""

    modules: Sequence[str]
    tests: Sequence[str]


AREAS: Mapping[str, Area] = {
    "delivery": Area(
        ["kazoo_bridge/webhooks/delivery", "kazoo_bridge/webhooks/attempts"],
        ["tests/webhooks/delivery", "tests/webhooks/attempts"],
    ),
    "storage": Area(["kazoo_bridge/storage"], ["tests/storage"]),
    "directory": Area(["kazoo_bridge/directory"], ["tests/directory"]),
    "authorization": Area(
        ["kazoo_bridge/websockets/sessions/authorization.py", "kazoo_bridge/rest/http/authorization.py"],
        ["tests/websockets/sessions", "tests/rest/http", "tests/rest/resources"],
    ),
    "scheduling": Area(
        ["kazoo_bridge/webhooks/delivery/fair_scheduler.py"],
        ["tests/webhooks/delivery/test_fair_scheduler.py"],
    ),
}

#: Cosmic Ray's operators that flip a comparison, a condition or a sum. Others mostly make equivalent mutants.
_OPERATORS = re.compile(
    r"core/(ReplaceComparisonOperator_(Eq_NotEq|NotEq_Eq|Lt_(GtE|LtE)|LtE_(Gt|Lt)|Gt_(LtE|GtE)|GtE_(Lt|Gt)"
    r"|Is_IsNot|IsNot_Is)"
    r"|ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_FloorDiv|FloorDiv_Mul|Div_Mul)"
    r"|ReplaceAndWithOr|ReplaceOrWithAnd|ReplaceUnaryOperator_Delete_Not|AddNot)"
)

#: Seconds for the tests of one mutant; one that takes longer counts as killed.
_TIMEOUT = 300.0


@dataclass(frozen=True)
class Result:
    """The fate of one mutant: `diff` shows it."""

    killed: bool
    diff: str


def main() -> int:
    arguments = _arguments()
    names = arguments.area or list(AREAS)
    chance = random.Random(arguments.seed)
    lines = _changed_lines(arguments.changed) if arguments.changed else None
    weak = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies = [_copy(Path(folder) / str(number)) for number in range(arguments.jobs)]
        for name in names:
            _require_green(copies[0], AREAS[name])
            mutants = _mutants(copies[0], AREAS[name], lines, chance)[: arguments.sample]
            killed, survivors = _run(copies, AREAS[name], mutants)
            print(f"{name}: {killed} of {len(mutants)} mutants killed", flush=True)
            for diff in survivors:
                print(diff, flush=True)
            if mutants and 100 * killed < arguments.threshold * len(mutants):
                weak.append(name)
    if weak:
        print(f"fewer than {arguments.threshold} % are killed in: {', '.join(weak)}")
    return 1 if weak else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Mutation check", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "--area", action="append", choices=sorted(AREAS), help="only this area; may be repeated"
    )
    parser.add_argument("--sample", type=int, default=20, metavar="N", help="mutants of each area")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(10**6), help="of the sample"
    )
    parser.add_argument("--changed", metavar="REVISION", help="only lines that differ from this git revision")
    parser.add_argument(
        "--threshold", type=float, default=95.0, metavar="PER_CENT", help="killed mutants required"
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="mutants tested at a time"
    )
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    return arguments


def _copy(target: Path) -> Path:
    """Copies what git tracks, as it is in the working tree."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def _mutants(
    copy: Path, area: Area, lines: Mapping[str, set[int]] | None, chance: random.Random
) -> list[MutationSpec]:
    """One mutant for each place that an operator fits, in random order."""
    paths = [path for module in area.modules for path in _python_files(copy / module)]
    with use_db(str(copy / "mutants.sqlite"), WorkDB.Mode.create) as database:
        init(
            [path.relative_to(copy) if path.is_absolute() else path for path in _inside(copy, paths)],
            database,
            {},
        )
        specs = [spec for item in database.work_items for spec in item.mutations]
    places: dict[tuple[str, tuple[int, int]], list[MutationSpec]] = {}
    for spec in specs:
        changed = lines is None or spec.start_pos[0] in lines.get(str(spec.module_path), ())
        if changed and _OPERATORS.fullmatch(spec.operator_name):
            places.setdefault((str(spec.module_path), spec.start_pos), []).append(spec)
    chosen = [chance.choice(found) for found in places.values()]
    chance.shuffle(chosen)
    return chosen


def _require_green(copy: Path, area: Area) -> None:
    """Ends the run when the tests fail without a mutant: they would seem to kill every one."""
    done = subprocess.run(
        _command(area), cwd=copy, env=_environment(copy), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(
            f"the tests {' '.join(area.tests)} fail without a mutant:\n"
            f"{done.stdout[-4000:]}{done.stderr[-1000:]}"
        )


def _command(area: Area) -> list[str]:
    return [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *area.tests]


def _environment(copy: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}


def _python_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(found for found in path.rglob("*.py") if "migrations" not in found.parts)


def _inside(copy: Path, paths: Iterable[Path]) -> list[Path]:
    # Cosmic Ray reads and mutates paths below the working directory.
    os.chdir(copy)
    return [path.relative_to(copy) for path in paths]


def _run(copies: Sequence[Path], area: Area, mutants: Sequence[MutationSpec]) -> tuple[int, list[str]]:
    shares = [mutants[start :: len(copies)] for start in range(len(copies))]
    with ProcessPoolExecutor(len(copies)) as pool:
        found = pool.map(_test_all, copies, [area] * len(copies), shares)
        results = [result for share in found for result in share]
    return sum(result.killed for result in results), [result.diff for result in results if not result.killed]


def _test_all(copy: Path, area: Area, mutants: Sequence[MutationSpec]) -> list[Result]:
    os.chdir(copy)
    os.environ.update(_environment(copy))
    return [_test(mutant, shlex.join(_command(area))) for mutant in mutants]


def _test(mutant: MutationSpec, command: str) -> Result:
    outcome = mutate_and_test([mutant], command, _TIMEOUT)
    return Result(outcome.test_outcome is not TestOutcome.SURVIVED, outcome.diff or str(mutant))


def _changed_lines(revision: str) -> dict[str, set[int]]:
    """The lines of each file that differ from a revision, as they are numbered now."""
    shown = subprocess.run(
        ["git", "diff", "--unified=0", revision, "--", "kazoo_bridge"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines: dict[str, set[int]] = {}
    name = ""
    for line in shown.splitlines():
        if line.startswith("+++ b/"):
            name = line.removeprefix("+++ b/")
        elif match := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line):
            first, count = int(match[1]), int(match[2] or 1)
            lines.setdefault(name, set()).update(range(first, first + count))
    return lines


if __name__ == "__main__":
    sys.exit(main())
