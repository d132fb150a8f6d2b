"""Tests of the scripts that fetch things: against a server of their own, on loopback."""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import hashlib
import http.server
import io
import json
import sys
import tempfile
import threading
import unittest
import zipfile
from pathlib import Path
from unittest import mock

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


class Locate(unittest.TestCase):
    """What pip prints is understood; what it does not print is asked for in another way."""

    LINES = """1 location(s) to search for versions of some-torch:
  Skipping link: none of the wheel's tags: https://index/some_torch-1.0-py3-none-win_amd64.whl (from https://index/)
  Found link https://index/a/some_torch-1.0.1-py3-none-any.whl (from https://index/) (requires-python:>=3), version: 1.0.1
  Found link https://index/b/some_torch-1.0-py3-none-any.whl#sha256=00 (from https://index/), version: 1.0
some-torch (1.0.1)
"""

    def locate(self, listed, reported=""):
        answers = {"index": listed, "install": reported}
        self.asked = []

        def pip(command, *words):
            self.asked.append(command)
            return subprocess.CompletedProcess(words, 0, answers[command], "")

        with mock.patch.object(fetch, "_pip", pip), mock.patch.object(fetch, "need_pip"):
            return fetch.locate({"name": "some-torch", "version": "1.0", "tags": ["--platform", "any"]})

    def test_the_address_is_that_of_the_version_and_nothing_is_downloaded_for_it(self):
        self.assertEqual(self.locate(self.LINES), "https://index/b/some_torch-1.0-py3-none-any.whl")
        self.assertEqual(self.asked, ["index"])

    def test_another_pip_is_asked_for_a_report(self):
        report = json.dumps({"install": [{"download_info": {"url": "https://index/c.whl"}}]})
        self.assertEqual(self.locate("some-torch (1.0.1)\n", report), "https://index/c.whl")


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
        self.assertEqual(bootstrap.provide(Path("/nowhere"), given), self.folder)

    def test_an_existing_libtorch_has_its_cuda_part_where_that_is_asked_for(self):
        self.libtorch(bootstrap.VERSION + "+cu130\n")
        given = {"LIBTORCH": str(self.folder)}
        with self.assertRaisesRegex(bootstrap.FetchError, "libtorch_cuda.so is missing; unset"):
            bootstrap.provide(Path("/nowhere"), given, "cuda")
        for name in ("libtorch_cuda.so", "libtorch_cuda_linalg.so", "libtorch_nvshmem.so"):
            (self.folder / "lib" / name).touch()
        self.assertEqual(bootstrap.provide(Path("/nowhere"), given, "cuda"), self.folder)

    def test_another_version_is_refused_with_both_named(self):
        self.libtorch("1.2.3")
        with self.assertRaisesRegex(bootstrap.FetchError, "`1.2.3`.*`2.13.0`.*unset"):
            bootstrap.provide(Path("/nowhere"), {"LIBTORCH": str(self.folder)})

    def test_a_check_installs_nothing(self):
        for kind, command in (("cpu", "make libtorch$"), ("cuda", "make libtorch CUDA=1")):
            with self.assertRaisesRegex(bootstrap.FetchError, command):
                bootstrap.provide(self.folder / "none", {}, kind, check=True)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_the_pins_are_what_each_kind_needs(self):
        wheels = json.loads(bootstrap.WHEELS.read_text())
        cpu = bootstrap.libraries(bootstrap.selected(wheels, "cpu"))
        self.assertEqual(cpu, ["libc10.so", "libcudart.so.13", "libcupti.so.13", "libgomp.so.1", "libshm.so",
                               "libtorch.so", "libtorch_cpu.so"])
        cuda = bootstrap.libraries(bootstrap.selected(wheels, "cuda"))
        self.assertLess(set(cpu), set(cuda))
        self.assertEqual(len(cuda), len(set(cuda)))
        runtime = bootstrap.selected(wheels, "cuda", headers=False)
        self.assertEqual(bootstrap.libraries(runtime), cuda)
        self.assertNotIn("torch/include/", [name for wheel in runtime for name in wheel["take"]])
        for wheel in wheels:
            self.assertRegex(wheel["sha256"], "^[0-9a-f]{64}$")

    def pins(self, changed=""):
        """A folder of one wheel, and a list of pins that names it."""
        offline = self.folder / "offline"
        offline.mkdir()
        path = offline / "some_torch-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for name in ("torch/lib/libtorch_cpu.so", "torch/lib/libtorch_cuda.so"):
                archive.writestr(name, name)
        pin = {"name": "some-torch", "version": "1.0", "sha256": changed or fetch.sha256(path),
               "take": {"cpu": ["torch/lib/libtorch_cpu.so"], "cuda": ["torch/lib/libtorch_cuda.so"]}}
        (self.folder / "wheels.json").write_text(json.dumps([pin]))
        self.enterContext(mock.patch.object(bootstrap, "WHEELS", self.folder / "wheels.json"))
        self.enterContext(contextlib.redirect_stderr(io.StringIO()))
        return offline

    def test_wheels_of_a_folder_need_no_network(self):
        offline = self.pins()
        self.enterContext(mock.patch.object(fetch, "locate", side_effect=AssertionError("the index was asked")))
        made = bootstrap.provide(self.folder / "made" / "cuda", {}, "cuda", offline=offline)
        names = sorted(path.name for path in made.rglob("*.so"))
        self.assertEqual(names, ["libtorch.so", "libtorch_cpu.so", "libtorch_cuda.so"])
        made = bootstrap.provide(self.folder / "made" / "cpu", {}, "cpu", offline=offline)
        self.assertFalse((made / "lib/libtorch_cuda.so").exists())

    def test_a_folder_without_a_wheel_or_with_another_is_named_with_what_to_do(self):
        offline = self.pins(changed="0" * 64)
        with self.assertRaisesRegex(bootstrap.FetchError, "SHA-256 0000.*some_torch-1.0-py3-none-any.whl has"):
            bootstrap.provide(self.folder / "made", {}, offline=offline)
        (offline / "some_torch-1.0-py3-none-any.whl").unlink()
        with self.assertRaisesRegex(bootstrap.FetchError, "holds no some_torch-1.0-.*pip download .* some-torch==1.0"):
            bootstrap.provide(self.folder / "made", {}, offline=offline)
        self.assertFalse((self.folder / "made").exists())

    def test_too_little_room_is_said_before_anything_is_fetched(self):
        self.pins()
        self.enterContext(mock.patch.dict(bootstrap.NEEDED_BYTES, {"cuda": 1 << 60}))
        self.enterContext(mock.patch.object(fetch, "locate", side_effect=AssertionError("the index was asked")))
        with self.assertRaisesRegex(bootstrap.FetchError, "GB free, 1152921504.6 GB are needed"):
            bootstrap.provide(self.folder / "made", {}, "cuda")

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


# Where podman keeps the generator of units; EOSFED_QUADLET names another.
GENERATORS = ("/usr/libexec/podman/quadlet", "/usr/lib/podman/quadlet",
              "/usr/lib/systemd/system-generators/podman-system-generator")
GENERATOR = next(filter(os.path.exists, filter(None, (os.environ.get("EOSFED_QUADLET"), *GENERATORS))), None)

# The keys of podman-systemd.unit(5) of podman 4.4, the earliest with such files, as far as they are used: for
# machines without the generator.
QUADLET = {
    "Container": {"Image", "ContainerName", "Exec", "Volume", "PublishPort", "ReadOnly", "DropCapability",
                  "NoNewPrivileges", "LogDriver", "AddDevice", "PodmanArgs"},
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

    def test_the_image_with_gdal_differs_by_gdal_alone(self):
        """Two files say what an image of a client is; what one of them says anew must not be missing in the other."""
        plain, gdal = (
            [line for line in (HERE / "containers" / f"{name}.Dockerfile").read_text().splitlines() if line[:1] != "#"]
            for name in ("client-cpu", "client-gdal")
        )
        without = [re.sub(r"-gdal| WITH_GDAL=1| and GDAL", "", line) for line in gdal]
        installs = without.index("RUN apt-get update \\")
        del without[installs:installs + 3]
        self.assertEqual(plain, without)

    def test_the_image_with_gdal_needs_programs_of_its_own(self):
        environment = {**os.environ, "ENGINE": "false", "GDAL": "1", "PROGRAMS_DIR": "target/release"}
        environment.pop("GDAL_PROGRAMS_DIR", None)
        script = str(HERE / "containers/images.sh")
        run = subprocess.run(["bash", script], env=environment, capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 1)
        self.assertIn("GDAL_PROGRAMS_DIR=target/gdal/release", run.stderr)

    @unittest.skipIf(GENERATOR, "the generator of podman checks them")
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


@unittest.skipUnless(GENERATOR, "podman's generator of units (quadlet) is not here; EOSFED_QUADLET names it")
class Quadlet(unittest.TestCase):
    """The generator makes the units that are meant."""

    commands = {
        "eosfed-coordinator": ["--publish", "7443:7443", "--stop-timeout=30", "serve", "--state=/var/lib/eosfed/coordinator"],
        "eosfed-client": ["-v", "/srv/imagery:/imagery:ro", "--stop-timeout=100", "run", "--state=/var/lib/eosfed/client"],
    }

    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for path in (HERE / "containers/quadlet").iterdir():
            shutil.copy(path, self.folder)

    def generate(self):
        """The exit code, the messages, and the units by their names."""
        words, where = [GENERATOR, "-dryrun"], {**os.environ, "QUADLET_UNIT_DIRS": str(self.folder)}
        done = subprocess.run(words, env=where, capture_output=True, text=True, timeout=60)
        parts = re.split(r"(?m)^---(.*)---$", done.stdout)[1:]
        return done.returncode, done.stderr, dict(zip(parts[::2], parts[1::2], strict=True))

    def missing(self):
        """What the commands of the units lack."""
        code, said, units = self.generate()
        self.assertEqual(code, 0, said)
        names = {name for unit in self.commands for name in (f"{unit}.service", f"{unit}-volume.service")}
        self.assertEqual(set(units), names)
        lacks = []
        for unit, own in self.commands.items():
            command = shlex.split(re.search(r"(?m)^ExecStart=(.*)$", units[f"{unit}.service"])[1])
            hard = ["--read-only", "--cap-drop", "all", "--security-opt=no-new-privileges", "--log-driver", "journald"]
            volume = f"systemd-{unit}:/var/lib/eosfed"
            lacks += [word for word in [*hard, volume, *own] if word not in command]
        return lacks

    def change(self, name, old, new):
        path = self.folder / name
        text = path.read_text()
        self.assertIn(old, text)
        path.write_text(text.replace(old, new))

    def test_the_units_start_what_is_meant(self):
        self.assertEqual(self.missing(), [])

    def test_an_unknown_key_and_a_wrong_value_are_seen(self):
        self.change("eosfed-client.container", "ReadOnly=true", "ReadOnly=true\nMemry=1")
        code, said, _ = self.generate()
        self.assertNotEqual(code, 0)
        self.assertIn("'Memry'", said)
        self.change("eosfed-client.container", "\nMemry=1", "")
        self.change("eosfed-coordinator.container", "ReadOnly=true", "ReadOnly=maybe")
        self.assertEqual(self.missing(), ["--read-only"])

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not here")
    def test_systemd_knows_every_key_of_the_units(self):
        def complaints():
            _, _, units = self.generate()
            out = Path(self.enterContext(tempfile.TemporaryDirectory()))
            for name, text in units.items():
                (out / name).write_text(text)
            words = ["systemd-analyze", "verify", *map(str, out.iterdir())]
            done = subprocess.run(words, capture_output=True, text=True, timeout=60)
            return [line for line in done.stderr.splitlines() if "Unknown" in line or "Failed to parse" in line]

        self.assertEqual(complaints(), [])
        self.change("eosfed-client.container", "RestartSec=10", "RestartSec=soon\nRestartSek=1")
        self.assertEqual(len(complaints()), 2)


class Packages(unittest.TestCase):
    """What the packages' files repeat."""

    folder = HERE / "packages"

    def test_one_machine_has_one_trainer(self):
        controls = sorted(self.folder.glob("eosfed-trainer-*/control"))
        self.assertEqual(len(controls), 2)
        for path in controls:
            for field in ("Provides", "Conflicts", "Replaces"):
                self.assertRegex(path.read_text(), rf"(?m)^{field}: eosfed-trainer$", path)

    def test_a_build_without_libtorch_says_what_to_do(self):
        with tempfile.TemporaryDirectory() as folder:
            for given, found in (([], "is empty"), (["--libtorch", ""], "is empty"), (["--libtorch", folder], "lacks libc10.so")):
                words = [sys.executable, self.folder / "build.py", "eosfed-trainer-cpu", "--programs", folder, "--out", folder]
                done = subprocess.run([*words, *given], capture_output=True, text=True)
                self.assertEqual(done.returncode, 1, done)
                self.assertIn(found, done.stderr)
                self.assertIn("deploy/libtorch/bootstrap.py", done.stderr)
                self.assertNotIn("Traceback", done.stderr)

    def test_scripts_are_well_formed_and_name_the_folder_of_the_libraries(self):
        names = ("preinst", "postinst", "prerm", "postrm", "eosfed-trainer-libraries")
        scripts = [path for path in self.folder.rglob("*") if path.name in names]
        self.assertGreater(len(scripts), 8)
        for path in scripts:
            subprocess.run(["sh", "-n", path], check=True)
        build = (self.folder / "build.py").read_text()
        place = re.search(r'^CUDA_LIBRARIES = "(.*)/lib"$', build, re.MULTILINE)[1]
        self.assertIn(f"--cache /{place} ", (self.folder / "eosfed-trainer-cuda/eosfed-trainer-libraries").read_text())
        self.assertIn(f"rm -rf /{Path(place).parent}\n", (self.folder / "eosfed-trainer-cuda/postrm").read_text())


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
