"""Fails when users may see a change of this branch and no changelog fragment comes with it.

    python -m tools.changelog_fragment [REVISION]

REVISION is what the working tree is compared with; by default the point where the branch left `origin/main`
or `main`, so that on the main branch itself only uncommitted changes count.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

#: Paths whose changes users may see.
_VISIBLE = ("kazoo_bridge/", "etc/", "twisted/plugins/")


def main(arguments: Sequence[str] = ()) -> int:
    """Returns the exit code: 0, or 1 after a line on stderr that says what is missing."""
    base = arguments[0] if arguments else default_base()
    changed = [*_git("diff", "--name-only", base), *_git("ls-files", "--others", "--exclude-standard")]
    if not needs_fragment(changed):
        return 0
    print(
        f"changelog.d: no fragment comes with the changes since {base}; add changelog.d/+NAME.TYPE.md"
        " (see changelog.d/README.md)",
        file=sys.stderr,
    )
    return 1


def needs_fragment(changed: Sequence[str]) -> bool:
    """Whether `changed` (paths below the checkout) touches what users see, without a fragment."""
    visible = any(path.startswith(_VISIBLE) for path in changed)
    return visible and not any(path.startswith("changelog.d/+") for path in changed)


def default_base() -> str:
    """Returns the revision at which the current branch left the main branch; HEAD where there is none."""
    for branch in ("origin/main", "main"):
        found = _git("merge-base", "HEAD", branch)
        if found:
            return found[0]
    return "HEAD"


def _git(*command: str) -> list[str]:
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(["git", *command], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
