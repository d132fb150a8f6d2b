#!/usr/bin/env python3
"""Installs the packages on a Debian with a real systemd, and runs a federation there through everything
that happens to one: an upgrade, a reboot, hangs, mistakes, a lost disk, removal.

`make system-test` builds the packages and runs this. Without root or a tool it is skipped, by name.
"""

import argparse
import shutil
import sys
import time
from pathlib import Path

import machine as machines
from federation import Federation
from machine import Failed, Machine
from steps import STEPS

INSTITUTIONS = ["east", "west", "north"]


class World:
    """What the steps share."""

    institutions = INSTITUTIONS

    def __init__(self, machine, packages):
        self.machine, self.federation, self.packages = machine, Federation(machine), packages
        self.first, self.second, self.newer_store = (sorted(packages.glob(f"*-{n}_*.deb")) for n in (1, 2, 3))
        self.figures = []

    def note(self, what, value):
        """Notes a figure for the table at the end."""
        self.figures.append((what, str(value)))

    def print_figures(self):
        """Prints the table of figures."""
        width = max((len(what) for what, _ in self.figures), default=0)
        for what, value in self.figures:
            print(f"{what:{width}}  {value}")

    def inside(self, packages):
        """Copies packages into the machine; gives their paths there."""
        for package in packages:
            shutil.copy(package, self.machine.root / "srv")
        return [f"/srv/{package.name}" for package in packages]

    def install(self, packages):
        """Installs packages, and removes the files."""
        paths = self.inside(packages)
        self.machine.run("dpkg", "-i", *paths)
        self.machine.run("rm", *paths)

    def fails(self, unit, code, said):
        """Starts a unit that must fail at once, for good, with this exit code and sentence."""
        self.machine.run("systemctl", "start", unit, check=False)
        time.sleep(1)
        found = [self.machine.show(unit, key) for key in ("ActiveState", "ExecMainStatus", "NRestarts")]
        if found != ["failed", code, "0"] or said not in self.machine.journal(unit):
            raise Failed(f"{unit} should fail with {code} and `{said}`, found {found}:\n{self.machine.journal(unit)}")
        self.machine.run("systemctl", "reset-failed", unit)

    def start_to_ready(self, unit):
        """The time from the start of a unit's program until it was ready."""
        start = int(self.machine.show(unit, "ExecMainStartTimestampMonotonic"))
        ready = int(self.machine.show(unit, "ActiveEnterTimestampMonotonic"))
        return f"{(ready - start) / 1e6:.2f} s"

    def memory(self, unit):
        """The memory of a unit's program, in MiB."""
        status = self.machine.run("cat", f"/proc/{self.machine.show(unit, 'MainPID')}/status").stdout
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024

    def processor_seconds(self, unit):
        """The processor time of a unit's program, in seconds."""
        stat = self.machine.run("cat", f"/proc/{self.machine.show(unit, 'MainPID')}/stat").stdout
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / 100


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packages", type=Path, help="packages of revisions 1, 2 and 3")
    parser.add_argument("--check", action="store_true", help="only say whether the test can run here: exit code 3 if not")
    parser.add_argument("--until", help="the last step to run")
    parser.add_argument("--skip", default="", help="steps to leave out, separated by commas")
    asked = parser.parse_args()
    why = machines.missing()
    if why:
        print(f"skipped: the system test: {why}")
        return 3
    if asked.check:
        return 0
    if not asked.packages:
        parser.error("--packages is needed")
    with Machine() as machine:
        world = World(machine, asked.packages)
        try:
            for step in steps(asked):
                started = time.monotonic()
                print(f"{step.__name__}: {step.__doc__.splitlines()[0]}", flush=True)
                step(world)
                print(f"  ok, {time.monotonic() - started:.0f} s", flush=True)
        except Failed as error:
            print(f"FAILED after {time.monotonic() - started:.0f} s: {error}")
            print(machine.run("journalctl", "--no-pager", "-n", "120", check=False).stdout)
            return 1
        finally:
            world.print_figures()
    return 0


def steps(asked):
    """The steps that were asked for."""
    names = [step.__name__ for step in STEPS]
    last = names.index(asked.until) if asked.until else len(names)
    skipped = asked.skip.split(",")
    return [step for step in STEPS[:last + 1] if step.__name__ not in skipped]


if __name__ == "__main__":
    sys.exit(main())
