"""Tests of the scripts that fetch things: against a server of their own, on loopback."""

import contextlib
import os
import re
import shutil
import subprocess
import hashlib
import http.server
import io
import sys
import tempfile
import threading
import unittest
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "lib"), str(HERE / "libtorch")]
import bootstrap  # noqa: E402
import fetch  # noqa: E402

BODY = bytes(range(256)) * 20_000
DIGEST = hashlib.sha256(BODY).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    """Serves BODY; honours ranges; can end early."""

    asked = []
    cut_after = None

    def do_GET(self):
        wanted = self.headers.get("Range")
        Server.asked.append(wanted)
        start = int(wanted[len("bytes="):-1]) if wanted else 0
        if start >= len(BODY):
            self.send_error(416)
            return
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(BODY) - start))
        self.end_headers()
        body = BODY[start:]
        if Server.cut_after is not None:
            body, Server.cut_after = body[:Server.cut_after], None
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Download(unittest.TestCase):
    def setUp(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/x"
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.path = self.folder / "file"
        self.enterContext(contextlib.redirect_stderr(io.StringIO()))
        Server.asked, Server.cut_after = [], None

    def tearDown(self):
        self.server.shutdown()
        self.server.server_close()

    def test_an_interrupted_download_goes_on_where_it_was(self):
        Server.cut_after = 1_500_000
        fetch.download(self.url, self.path, DIGEST, "file")
        self.assertEqual(self.path.read_bytes(), BODY)
        self.assertEqual(len(Server.asked), 2)
        self.assertTrue(Server.asked[1].startswith("bytes="), Server.asked)

    def test_what_an_earlier_run_has_left_is_used(self):
        (self.folder / "file.part").write_bytes(BODY[:1000])
        fetch.download(self.url, self.path, DIGEST, "file")
        self.assertEqual(Server.asked, ["bytes=1000-"])
        (self.folder / "again.part").write_bytes(BODY)
        fetch.download(self.url, self.folder / "again", DIGEST, "file")
        self.assertEqual((self.folder / "again").read_bytes(), BODY)

    def test_other_bytes_are_thrown_away_and_named(self):
        with self.assertRaisesRegex(fetch.FetchError, f"SHA-256 {DIGEST}, expected 00"):
            fetch.download(self.url, self.path, "00", "file")
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_server_that_is_gone_is_a_sentence(self):
        self.server.server_close()
        fetch.time.sleep, sleep = lambda _: None, fetch.time.sleep
        self.addCleanup(setattr, fetch.time, "sleep", sleep)
        with self.assertRaisesRegex(fetch.FetchError, "run the same command again"):
            fetch.download("http://127.0.0.1:9/x", self.path, DIGEST, "file")


class Bootstrap(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def libtorch(self, version):
        (self.folder / "lib").mkdir()
        (self.folder / "include").mkdir()
        (self.folder / "lib" / "libtorch_cpu.so").touch()
        (self.folder / "build-version").write_text(version)

    def test_an_existing_libtorch_is_respected(self):
        self.libtorch(bootstrap.VERSION + "+cpu\n")
        given = {"LIBTORCH": str(self.folder)}
        self.assertEqual(bootstrap.provide(Path("/nowhere"), given, []), self.folder)

    def test_another_version_is_refused_with_both_named(self):
        self.libtorch("1.2.3")
        with self.assertRaisesRegex(bootstrap.FetchError, "`1.2.3`.*`2.13.0`.*unset"):
            bootstrap.provide(Path("/nowhere"), {"LIBTORCH": str(self.folder)}, [])

    def test_a_check_installs_nothing(self):
        with self.assertRaisesRegex(bootstrap.FetchError, "make libtorch"):
            bootstrap.provide(self.folder / "none", {}, [], check=True)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_only_what_is_named_leaves_a_wheel(self):
        wheel = self.folder / "w.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for name in ("torch/include/a/b.h", "torch/lib/libc10.so", "torch/lib/libbig.so", "torch/x.py"):
                archive.writestr(name, name)
        bootstrap.extract({"take": ["torch/include/", "torch/lib/libc10.so"]}, wheel, self.folder / "out")
        made = sorted(str(path.relative_to(self.folder / "out")) for path in (self.folder / "out").rglob("*.*"))
        self.assertEqual(made, ["include/a/b.h", "lib/libc10.so"])


ADVISORY = """```toml
[advisory]
id = "RUSTSEC-2099-0001"
package = "%s"
date = "2026-01-01"
url = "https://example.org"
categories = ["memory-corruption"]
[versions]
patched = []
```

# A planted advisory

It is for a test.
"""


@unittest.skipUnless(shutil.which("cargo-deny") and shutil.which("git"), "cargo-deny and git are not installed")
class Advisories(unittest.TestCase):
    """A database of one planted advisory."""

    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.snapshot = self.folder / "snapshot"

    def run_script(self, *arguments):
        command = [sys.executable, HERE / "advisories.py", *arguments, "--snapshot", self.snapshot]
        return subprocess.run(command, capture_output=True, text=True)

    def snapshot_of(self, package):
        database = self.folder / "advisory-db"
        advisory = database / "crates" / package / "RUSTSEC-2099-0001.md"
        advisory.parent.mkdir(parents=True)
        advisory.write_text(ADVISORY % package)
        dated = os.environ | {"GIT_COMMITTER_DATE": "2026-02-03T00:00:00Z"}
        name = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
        for command in (["init", "-q", "-b", "main"], ["add", "."], [*name, "commit", "-qm", "x"]):
            subprocess.run(["git", "-C", database, *command], check=True, env=dated)
        made = self.run_script("snapshot", "--from", database.as_uri())
        self.assertEqual(made.returncode, 0, made.stdout + made.stderr)

    def test_an_advisory_in_the_snapshot_fails_and_is_named(self):
        self.snapshot_of("sled")
        found = self.run_script("check", "--no-fetch")
        self.assertEqual(found.returncode, 1, found.stdout)
        self.assertIn("RUSTSEC-2099-0001", found.stdout)
        self.assertIn("advisories apply: the snapshot of 2026-02-03", found.stdout)

    def test_the_date_of_the_snapshot_is_shown(self):
        self.snapshot_of("a-crate-that-nobody-uses")
        found = self.run_script("check", "--no-fetch")
        self.assertEqual(found.returncode, 0, found.stdout + found.stderr)
        self.assertIn("no advisory applies: the snapshot of 2026-02-03", found.stdout)

    def test_without_a_database_nothing_is_claimed(self):
        found = self.run_script("check", "--no-fetch")
        self.assertEqual(found.returncode, 0, found.stdout + found.stderr)
        self.assertTrue(found.stdout.startswith("not checked"), found.stdout)


# The keys of podman-systemd.unit(5) of podman 4.4, the earliest with such files, as far as they are used.
QUADLET = {
    "Container": {"Image", "ContainerName", "Exec", "Volume", "PublishPort", "ReadOnly", "DropCapability",
                  "NoNewPrivileges", "LogDriver", "AddDevice"},
    "Volume": {"Label"},
}


class Containers(unittest.TestCase):
    """What the files of containers and of the chart repeat is the same everywhere."""

    files = [path for folder in ("containers", "chart") for path in (HERE / folder).rglob("*") if path.is_file()]

    def found(self, pattern):
        """What a pattern finds, with the files."""
        texts = {path.relative_to(HERE): path.read_text() for path in self.files if path.suffix != ".pyc"}
        return {(str(path), one) for path, text in texts.items() for one in re.findall(pattern, text)}

    def test_every_image_has_the_version_of_the_project(self):
        version = re.search(r'^version = "(.*)"', (HERE.parent / "Cargo.toml").read_text(), re.MULTILINE)[1]
        patterns = [
            r"eosfed[a-z-]*:(\d+\.\d+\.\d+)", r"VERSION(?:=|:-)(\d+\.\d+\.\d+)",
            r'(?m)^(?:appVersion|version): "?([\d.]+)',
        ]
        for pattern in patterns:
            found = self.found(pattern)
            self.assertTrue(found, pattern)
            self.assertEqual({(path, one) for path, one in found if one != version}, set())

    def test_base_and_user_are_the_same_everywhere(self):
        self.assertEqual(len({one for _, one in self.found(r"(?m)^ARG BASE=(.*)$")}), 1)
        user = re.search(r"^user=(\d+)$", (HERE / "containers/collect.sh").read_text(), re.MULTILINE)[1]
        named = self.found(r"(?m)^USER (\d+):") | self.found(r"(?:runAsUser|runAsGroup|fsGroup): (\d+)")
        self.assertGreater(len(named), 3)
        self.assertEqual({(path, one) for path, one in named if one != user}, set())

    def test_quadlet_files_have_known_keys(self):
        units = [path for path in self.files if path.parent.name == "quadlet"]
        self.assertEqual(len(units), 4)
        for path in units:
            section = None
            for line in path.read_text().splitlines():
                if line.startswith("["):
                    section = line.strip("[]")
                elif line and not line.startswith("#") and section in QUADLET:
                    self.assertIn(line.split("=")[0], QUADLET[section], f"{path.name}: {line}")
        for unit in ("eosfed-coordinator", "eosfed-client"):
            text = (HERE / f"containers/quadlet/{unit}.container").read_text()
            for line in ("ReadOnly=true", "DropCapability=all", "NoNewPrivileges=true", f"Volume={unit}.volume:"):
                self.assertIn(line, text)


class Units(unittest.TestCase):
    """The units keep their hardening."""

    MOST = {"eosfed-coordinator.service": 2.0, "eosfed-backup.service": 2.0, "eosfed-client@.service": 4.0}

    def setUp(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not installed")

    def test_scores(self):
        self.assertEqual({path.name for path in (HERE / "systemd").glob("*.service")}, set(self.MOST))
        for name, most in self.MOST.items():
            words = ["systemd-analyze", "security", "--offline=true", f"--threshold={int(most * 10) - 1}"]
            done = subprocess.run([*words, HERE / "systemd" / name], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, f"{name}: {done.stdout[-200:]}{done.stderr}")


if __name__ == "__main__":
    unittest.main()
