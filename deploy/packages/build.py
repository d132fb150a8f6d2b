#!/usr/bin/env python3
"""Builds the Debian packages from programs that are built already.

Each package has a folder here with its `control`, its maintainer scripts and what it ships beside
programs. Manual pages and completion scripts come from the programs themselves. The same inputs give
the same bytes: times are those of the last commit.
"""

import argparse
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
UNITS = ROOT / "deploy" / "systemd"
SCRIPTS = ["preinst", "postinst", "prerm", "postrm"]
LIBTORCH = "usr/lib/eosfed/libtorch"
# Where eosfed-trainer-cuda installs its libraries, and the script that does.
CUDA_LIBRARIES = "usr/lib/eosfed-trainer-cuda/libtorch/lib"
CUDA_SCRIPT = "usr/share/eosfed-trainer-cuda"
# What the trainer needs of libtorch at run time; libtorch.so is a link to libtorch_cpu.so.
LIBRARIES = [
    "libc10.so", "libtorch_cpu.so", "libtorch.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13",
]
# Each package: its program, and more files by the place that they are installed at.
PACKAGES = {
    "eosfed": ("eosfed", {}),
    "eosfed-coordinator": ("eosfed-coordinator", {
        "usr/lib/systemd/system/eosfed-coordinator.service": UNITS / "eosfed-coordinator.service",
        "usr/lib/systemd/system/eosfed-backup.service": UNITS / "eosfed-backup.service",
        "usr/lib/systemd/system/eosfed-backup.timer": UNITS / "eosfed-backup.timer",
        "etc/eosfed/coordinator.env": HERE / "etc/coordinator.env",
        "etc/eosfed/coordinator.sample.toml": ROOT / "coordinator/samples/coordinator.toml",
    }),
    "eosfed-client": ("eosfed-client", {
        "usr/lib/systemd/system/eosfed-client@.service": UNITS / "eosfed-client@.service",
        "etc/eosfed/client.env": HERE / "etc/client.env",
        "etc/eosfed/client.sample.toml": ROOT / "client/samples/client.toml",
        "etc/eosfed/policy.sample.toml": ROOT / "client/samples/policy.toml",
    }),
    "eosfed-trainer-cpu": ("eosfed-trainer", {}),
    "eosfed-trainer-cuda": ("eosfed-trainer", {
        "usr/sbin/eosfed-trainer-libraries": HERE / "eosfed-trainer-cuda/eosfed-trainer-libraries",
        f"{CUDA_SCRIPT}/lib/fetch.py": ROOT / "deploy/lib/fetch.py",
        f"{CUDA_SCRIPT}/libtorch/bootstrap.py": ROOT / "deploy/libtorch/bootstrap.py",
        f"{CUDA_SCRIPT}/libtorch/wheels.json": ROOT / "deploy/libtorch/wheels.json",
    }),
}


def run(*words, **options):
    """Runs a command and gives its standard output."""
    words = [str(word) for word in words]
    return subprocess.run(words, check=True, capture_output=True, text=True, **options).stdout


def version():
    """The version of the workspace."""
    return tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]


def schema():
    """The schema of the stores that the coordinator writes."""
    source = (ROOT / "coordinator/src/storage/migrate/mod.rs").read_text()
    return re.search(r"^pub const SCHEMA: u32 = (\d+);", source, re.MULTILINE).group(1)


def place(source, target, mode=0o644):
    """Copies a file, with this mode."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def compressed(target, text):
    """Writes a file as gzip without a name and a time."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(gzip.compress(text, 9, mtime=0))


class Builder:
    """The packages of one version, from one folder of programs."""

    def __init__(self, programs, out, revision, fast, libtorch, store_schema):
        self.programs, self.out, self.fast, self.libtorch = programs, out, fast, libtorch
        self.version = f"{version()}-{revision}"
        self.schema = store_schema or schema()
        self.architecture = run("dpkg", "--print-architecture").strip()
        self.time = int(run("git", "-C", ROOT, "log", "-1", "--format=%ct"))

    def build(self, name):
        """Builds one package and gives its path."""
        program, files = PACKAGES[name]
        tree = self.out / "stage" / name
        shutil.rmtree(tree, ignore_errors=True)
        self.program(program, tree)
        for target, source in files.items():
            place(source, tree / target, 0o755 if "bin/" in target else 0o644)
        for kind in ["sysusers", "tmpfiles"]:
            if (HERE / name / f"{kind}.conf").exists():
                place(HERE / name / f"{kind}.conf", tree / f"usr/lib/{kind}.d/{name}.conf")
        if name == "eosfed-coordinator":
            (tree / "usr/lib/eosfed").mkdir(parents=True)
            (tree / "usr/lib/eosfed/store-schema").write_text(f"{self.schema}\n")
        if name == "eosfed-trainer-cpu":
            self.bundle_libtorch(tree)
        if name == "eosfed-trainer-cuda":
            self.libraries_at(tree, CUDA_LIBRARIES)
        self.documents(name, tree)
        self.control(name, tree)
        return self.pack(name, tree)

    def program(self, program, tree):
        """Installs a program without its debugging symbols, its manual pages and its completion scripts."""
        target = tree / "usr/bin" / program
        place(self.programs / program, target, 0o755)
        run("strip", "--strip-unneeded", target)
        written = self.out / "manual" / program
        shutil.rmtree(written, ignore_errors=True)
        run(self.programs / program, "--write-manual", written)
        for page in (written / "man1").iterdir():
            compressed(tree / "usr/share/man/man1" / f"{page.name}.gz", page.read_bytes())
        scripts = written / "completions"
        place(scripts / f"bash/{program}.bash", tree / f"usr/share/bash-completion/completions/{program}")
        place(scripts / f"zsh/_{program}", tree / f"usr/share/zsh/vendor-completions/_{program}")
        place(scripts / f"fish/{program}.fish", tree / f"usr/share/fish/vendor_completions.d/{program}.fish")

    def bundle_libtorch(self, tree):
        """Installs libtorch beside the trainer, which finds it there and nowhere else."""
        for library in LIBRARIES:
            source = self.libtorch / "lib" / library
            target = tree / LIBTORCH / library
            if source.is_symlink():
                target.symlink_to(os.readlink(source))
            else:
                place(source, target)
        self.libraries_at(tree, LIBTORCH)

    @staticmethod
    def libraries_at(tree, folder):
        """Makes the trainer look for libtorch in a folder."""
        run("patchelf", "--set-rpath", f"$ORIGIN/../../{folder}", tree / "usr/bin/eosfed-trainer")

    def documents(self, name, tree):
        """Installs the changelog and the copyright."""
        folder = tree / "usr/share/doc" / name
        date = run("date", "--utc", "--rfc-email", f"--date=@{self.time}").strip()
        entry = f"{name} ({self.version}) stable; urgency=medium\n\n  * See changelog.gz.\n\n" \
                f" -- EoS-Fed contributors <eosfed@example.org>  {date}\n"
        compressed(folder / "changelog.Debian.gz", entry.encode())
        compressed(folder / "changelog.gz", (ROOT / "CHANGELOG.md").read_bytes())
        licences = (HERE / "copyright").read_text()
        if (tree / LIBTORCH).exists():
            licences += (HERE / "copyright.libtorch").read_text()
        mit = (ROOT / "LICENSE-MIT").read_text().split("\n\n", 2)[2]
        lines = "\n".join(f" {line}" if line else " ." for line in mit.strip().splitlines())
        (folder / "copyright").write_text(
            f"{licences}\nLicense: Expat\n{lines}\n\nLicense: Apache-2.0\n See /usr/share/common-licenses/Apache-2.0.\n"
        )

    def control(self, name, tree):
        """Writes the control files: fields, maintainer scripts, settings files, digests."""
        folder = tree / "DEBIAN"
        folder.mkdir()
        for script in SCRIPTS:
            if (HERE / name / script).exists():
                text = (HERE / name / script).read_text()
                text = text.replace("@VERSION@", self.version).replace("@SCHEMA@", self.schema)
                (folder / script).write_text(text)
                (folder / script).chmod(0o755)
        settings = sorted(path for path in (tree / "etc").rglob("*") if path.is_file()) \
            if (tree / "etc").exists() else []
        if settings:
            (folder / "conffiles").write_text("".join(f"/{path.relative_to(tree)}\n" for path in settings))
        files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink()
                       and folder not in path.parents)
        sums = [f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(tree)}\n" for path in files]
        (folder / "md5sums").write_text("".join(sums))
        size = sum(path.stat().st_size for path in files) // 1024 + 1
        fields = (HERE / name / "control").read_text()
        needs = self.libraries(tree)
        head, _, description = fields.partition("Description:")
        depends = re.search(r"^Depends: (.*)\n", head, re.MULTILINE)
        head = head.replace(depends.group(0), "") if depends else head
        needs = ", ".join(filter(None, [needs, depends and depends.group(1)]))
        (folder / "control").write_text(
            f"{head}Version: {self.version}\nArchitecture: {self.architecture}\n"
            f"Maintainer: EoS-Fed contributors <eosfed@example.org>\nHomepage: https://example.org/eosfed\n"
            f"Installed-Size: {size}\nDepends: {needs}\nDescription:{description}"
        )

    def libraries(self, tree):
        """The packages of the libraries that the programs of a tree are linked with."""
        work = self.out / "shlibdeps"
        (work / "debian").mkdir(parents=True, exist_ok=True)
        (work / "debian/control").write_text("Source: eosfed\n\nPackage: eosfed\nArchitecture: any\n")
        own = []
        if (tree / "usr/bin/eosfed-trainer").exists():
            bundled = tree / LIBTORCH
            own = [f"-l{bundled if bundled.exists() else self.libtorch / 'lib'}", "--ignore-missing-info"]
        programs = [f"-e{path}" for path in (tree / "usr/bin").iterdir()]
        found = run("dpkg-shlibdeps", "-O", *own, *programs, cwd=work)
        return re.search(r"shlibs:Depends=(.*)", found).group(1)

    def pack(self, name, tree):
        """Packs a tree; everything in it belongs to root."""
        for path in [tree, *tree.rglob("*")]:
            if path.is_dir():
                path.chmod(0o755)
        package = self.out / f"{name}_{self.version}_{self.architecture}.deb"
        environment = {**os.environ, "SOURCE_DATE_EPOCH": str(self.time)}
        level = ["-Zgzip", "-z1"] if self.fast else ["-Zxz", "-z6"]
        run("dpkg-deb", "--root-owner-group", *level, "--build", tree, package, env=environment)
        shutil.rmtree(tree)
        return package


def without_libtorch(names, libtorch):
    """What is wrong with the folder of libtorch, if a package needs it."""
    needing = [name for name in names if PACKAGES[name][0] == "eosfed-trainer"]
    if not needing:
        return None
    do = 'give --libtorch "$(python3 deploy/libtorch/bootstrap.py)"'
    if libtorch is None or libtorch == Path():
        return f"{', '.join(needing)} need the folder of libtorch, and --libtorch is empty; {do}"
    missing = [name for name in LIBRARIES if not (libtorch / "lib" / name).exists()]
    return f"{libtorch}/lib lacks {', '.join(missing)}; {do}" if missing else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="packages; all without this")
    parser.add_argument("--programs", type=Path, required=True, help="the folder of the built programs")
    parser.add_argument("--out", type=Path, required=True, help="where the packages go")
    parser.add_argument("--libtorch", type=Path, help="the folder of libtorch, for the trainer's package")
    parser.add_argument("--revision", default="1", help="the package's own part of the version")
    parser.add_argument("--fast", action="store_true", help="compress little, for tests")
    parser.add_argument("--store-schema", help="another schema than the coordinator's, for tests")
    asked = parser.parse_args()
    names = asked.names or list(PACKAGES)
    unknown = sorted(set(names) - set(PACKAGES))
    if unknown:
        sys.exit(f"error: no such package: {', '.join(unknown)}; there are {', '.join(PACKAGES)}")
    problem = without_libtorch(names, asked.libtorch)
    if problem:
        sys.exit(f"error: {problem}")
    for tool in ["dpkg-deb", "dpkg-shlibdeps", "strip", "patchelf"]:
        if not shutil.which(tool):
            sys.exit(f"error: {tool} is missing; install it with: apt-get install dpkg-dev binutils patchelf")
    asked.out.mkdir(parents=True, exist_ok=True)
    builder = Builder(asked.programs.resolve(), asked.out.resolve(), asked.revision, asked.fast,
                      asked.libtorch, asked.store_schema)
    for name in names:
        print(builder.build(name))


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: {' '.join(error.cmd)} failed with {error.returncode}\n{error.stderr}")
