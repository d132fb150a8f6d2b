"""A machine with a real systemd, in a container of systemd-nspawn that shares nothing but the kernel."""

import os
import shutil
import subprocess
import tempfile
import time
import zlib
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "eosfed/system-test"
SUITE = "bookworm"
INCLUDE = "systemd,systemd-sysv,dbus,ca-certificates,libfaketime"
# What makes the machine, and what makes the packages for it.
TOOLS = ["debootstrap", "systemd-nspawn", "nsenter", "dpkg-deb", "dpkg-shlibdeps", "strip", "patchelf"]
BOOT_SECONDS = 120
# What systemd-nspawn would otherwise keep from its machine.
LANDLOCK = "landlock_create_ruleset landlock_add_rule landlock_restrict_self"
# The exit code of systemd-nspawn when its machine reboots.
REBOOT = 133


class Failed(Exception):
    """A step has not done what it should."""


def missing():
    """Why the test cannot run here, or nothing."""
    if os.geteuid() != 0:
        return "it needs root, for a container"
    absent = [tool for tool in TOOLS if not shutil.which(tool)]
    return absent and f"{', '.join(absent)} is not installed (apt-get install debootstrap systemd-container dpkg-dev binutils patchelf)"


def base():
    """A Debian root, made once."""
    root = CACHE / f"{SUITE}-{zlib.crc32(INCLUDE.encode()):08x}"
    if not root.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        part = root.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        print(f"making a Debian root in {root} ...", flush=True)
        words = ["debootstrap", "--variant=minbase", f"--include={INCLUDE}", SUITE, str(part)]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        part.rename(root)
    return root


class Machine:
    """A copy of the root that runs. Leaving the `with` block turns it off and removes it."""

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="machine-", dir=base().parent))
        self.root = self.folder / "root"
        subprocess.run(["cp", "-a", "--reflink=auto", base(), self.root], check=True)
        self.log = open(self.folder / "console.log", "wb")
        try:
            self.boot()
        except Failed:
            self.__exit__()
            raise
        return self

    def boot(self):
        """Starts the container, and waits until everything in it has started. Gives the seconds."""
        self.container = subprocess.Popen(
            ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot", "--private-network",
             "--kill-signal=SIGRTMIN+3", f"--system-call-filter={LANDLOCK}", f"--machine=eosfed-{os.getpid()}", f"--directory={self.root}"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
        )
        return self.wait_for_boot()

    def __exit__(self, *_):
        if self.container.poll() is None:
            if self.first_process():
                self.run("systemctl", "poweroff", check=False)
            try:
                self.container.wait(60)
            except subprocess.TimeoutExpired:
                self.container.kill()
                self.container.wait()
        self.log.close()
        shutil.rmtree(self.folder)

    def first_process(self):
        """The number of the container's first process out here; nothing while it boots."""
        children = Path(f"/proc/{self.container.pid}/task/{self.container.pid}/children").read_text().split()
        return children[0] if children else None

    def wait_for_boot(self):
        """Waits until systemd has started everything. Gives the seconds."""
        started = time.monotonic()
        while time.monotonic() - started < BOOT_SECONDS:
            if self.container.poll() is not None:
                break
            if self.first_process():
                state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
                if state in ("running", "degraded"):
                    return time.monotonic() - started
            time.sleep(0.2)
        raise Failed(f"the machine does not boot:\n{(self.folder / 'console.log').read_text()[-2000:]}")

    def run(self, *words, user=None, check=True, stdin=None):
        """Runs a command inside, as root or as this user."""
        words = [str(word) for word in words]
        if user:
            words = ["runuser", "-u", user, "--", *words]
        inside = ["nsenter", "-t", str(self.first_process()), "-m", "-u", "-i", "-p", "-n", "-C", "--",
                  "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8",
                  "DEBIAN_FRONTEND=noninteractive", *words]
        done = subprocess.run(inside, capture_output=True, text=True, input=stdin, cwd="/")
        if check and done.returncode != 0:
            raise Failed(f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def reboot(self):
        """Reboots, and waits until everything has started. Gives the seconds of the start."""
        self.run("systemctl", "reboot", check=False)
        if self.container.wait(120) != REBOOT:
            raise Failed(f"the machine has not rebooted: {self.container.returncode}")
        return self.boot()

    def until(self, what, done, seconds=180):
        """Waits until something is true. Gives the seconds."""
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            if done():
                return time.monotonic() - started
            time.sleep(0.2)
        raise Failed(f"{what} has not happened within {seconds} s")

    def show(self, unit, key):
        """A property of a unit."""
        return self.run("systemctl", "show", "--property", key, "--value", unit).stdout.strip()

    def journal(self, unit):
        """What a unit has said."""
        return self.run("journalctl", "--no-pager", "--output=cat", f"--unit={unit}").stdout

    def write(self, path, text, mode=0o644):
        """Writes a file inside, as root."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def drop_in(self, unit, text):
        """Adds settings to a unit."""
        self.write(f"/etc/systemd/system/{unit}.d/test.conf", text)
        self.run("systemctl", "daemon-reload")

    def no_drop_in(self, unit):
        """Removes them again."""
        shutil.rmtree(self.root / f"etc/systemd/system/{unit}.d")
        self.run("systemctl", "daemon-reload")
