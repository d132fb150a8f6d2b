"""Checks the dependencies against the advisory database of RustSec.

    python3 deploy/advisories.py check      fetches the database; where that is impossible, uses the snapshot
    python3 deploy/advisories.py snapshot   makes the snapshot, a git bundle of the newest state, to be committed

`check` says which database it has used and of which date. It fails if an advisory applies, and not if there is
no database to look into: then it says so.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATABASE = "https://github.com/RustSec/advisory-db"
SNAPSHOT = ROOT / "deploy/advisories.bundle"
# Seconds for a fetch; one that hangs is no answer.
FETCH_TIMEOUT = 120


def run(*command, timeout=None, **options):
    """The exit code and the output of a command; 124 after the timeout."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=ROOT, **options)
    except subprocess.TimeoutExpired:
        return 124, ""
    return done.returncode, done.stdout + done.stderr


def git(*arguments, **environment):
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0"} | environment
    code, output = run("git", *map(str, arguments), env=environment)
    if code != 0:
        sys.exit(f"git {arguments[0]}: {output.strip()}")
    return output.strip()


def deny(databases, *options, timeout=None):
    """Runs cargo-deny with its databases in this folder."""
    text = (ROOT / "deny.toml").read_text()
    config = databases / "deny.toml"
    config.write_text(text.replace("[advisories]\n", f'[advisories]\ndb-path = "{databases}"\n', 1))
    command = ("cargo", "deny", *options, "--config", str(config), "check", "advisories")
    return run(*command, timeout=timeout)


def database_in(databases):
    """The folder in which cargo-deny expects the database; its name is cargo-deny's own."""
    _, output = deny(databases, "--offline")
    found = re.search(re.escape(str(databases)) + r"/[\w.-]*advisory-db[\w.-]*", output)
    if not found:
        sys.exit(f"cargo-deny does not say where it expects the database:\n{output}")
    return Path(found.group())


def date_of(repository):
    return git("-C", repository, "show", "-s", "--format=%cs", "HEAD")


def is_whole(repository):
    """Whether a fetch has come to its end there."""
    return repository.is_dir() and run("git", "-C", str(repository), "rev-parse", "HEAD^{tree}")[0] == 0


def tell(what, code, output):
    applies = re.findall(r"^error\[.*|RUSTSEC-\d{4}-\d{4}", output, re.MULTILINE)
    if code == 0:
        print(f"no advisory applies: {what}")
        return 0
    print(output)
    print(f"advisories apply: {what}" if applies else f"not checked: cargo-deny fails: {what}")
    return 1


def check(snapshot, fetch):
    """Checks against the newest database, or against the snapshot."""
    with tempfile.TemporaryDirectory() as folder:
        databases = Path(folder)
        place = database_in(databases)
        if fetch:
            code, output = deny(databases, timeout=FETCH_TIMEOUT)
            if is_whole(place):
                return tell(f"the database of {date_of(place)}, fetched now", code, output)
        if not snapshot.exists():
            print(
                f"not checked: the advisory database cannot be fetched from here, and there is no snapshot "
                f"{snapshot}; `make advisories-snapshot` makes it where the network allows"
            )
            return 0
        git("clone", "--quiet", snapshot, place)
        code, output = deny(databases, "--offline")
        return tell(f"the snapshot of {date_of(place)}; the database cannot be fetched from here", code, output)


def make_snapshot(snapshot, source):
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "db"
        git("clone", "--quiet", "--depth", "1", source, clone)
        # A bundle of a shallow clone cannot be cloned; one commit without history can.
        commit = git(
            "-C", clone, "-c", "user.name=snapshot", "-c", "user.email=snapshot@localhost",
            "commit-tree", "HEAD^{tree}", "-m", f"The database at {git('-C', clone, 'rev-parse', 'HEAD')}",
            GIT_COMMITTER_DATE=git("-C", clone, "show", "-s", "--format=%cI", "HEAD"),
        )
        git("-C", clone, "update-ref", "HEAD", commit)
        git("-C", clone, "bundle", "create", "--quiet", snapshot, "HEAD")
        print(f"{snapshot}: {snapshot.stat().st_size} bytes, {date_of(clone)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["check", "snapshot"])
    parser.add_argument("--snapshot", type=Path, default=SNAPSHOT, help="the snapshot's file")
    parser.add_argument("--from", dest="source", default=DATABASE, help="the repository of the database")
    parser.add_argument("--no-fetch", action="store_true", help="use the snapshot at once")
    arguments = parser.parse_args()
    if arguments.what == "snapshot":
        make_snapshot(arguments.snapshot.absolute(), arguments.source)
        return 0
    return check(arguments.snapshot.absolute(), not arguments.no_fetch)


if __name__ == "__main__":
    sys.exit(main())
