"""The steps of the system test. Each is a function of the machine, the federation and the packages; it
raises `Failed` if something is not as it should be, and may note figures."""

import re
import time

from federation import CLIENT, COORDINATOR, STATE
from machine import Failed

SERVICE = f"{COORDINATOR}.service"
BACKUPS = "/var/backups/eosfed"
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


def expect(found, text, what):
    """Fails unless the text is in what was found."""
    if text not in found:
        raise Failed(f"{what} should contain `{text}`, found:\n{found[-3000:]}")


def install(world):
    """Packages install; nothing runs yet; users, folders and settings files are there."""
    machine = world.machine
    world.install(world.first)
    for user in [COORDINATOR, CLIENT]:
        machine.run("id", user)
    modes = machine.run("stat", "--format=%a %U", STATE, "/var/lib/eosfed/client", BACKUPS).stdout
    expect(modes, f"700 {COORDINATOR}\n755 {CLIENT}\n700 {COORDINATOR}", "modes and owners")
    expect(machine.run("dpkg-query", "--showformat=${Conffiles}", "--show", COORDINATOR).stdout,
           "/etc/eosfed/coordinator.env", "the settings files")
    for unit in [SERVICE, "eosfed-backup.timer"]:
        expect(machine.run("systemctl", "is-active", unit, check=False).stdout, "inactive", unit)
    expect(machine.run("eosfed-trainer", "device").stdout, "cpu", "the trainer's device")


def without_settings(world):
    """A unit without settings fails once, with a sentence and exit code 78."""
    for unit, said in [(SERVICE, "eosfed-coordinator init"), (world.federation.unit("nobody"), "holds no identity")]:
        world.fails(unit, "78", said)
    world.machine.run("rmdir", "/var/lib/eosfed/client/nobody")


def federate(world):
    """A coordinator and three institutions start under their units."""
    machine, federation = world.machine, world.federation
    federation.init()
    machine.run("systemctl", "enable", "--now", SERVICE)
    world.note("coordinator, start to ready", world.start_to_ready(SERVICE))
    for seed, name in enumerate(world.institutions, 1):
        federation.join(name, seed)
        machine.run("systemctl", "enable", "--now", federation.unit(name))
    unit = federation.unit(world.institutions[0])
    world.note("client, start to ready", world.start_to_ready(unit))
    expect(machine.journal(unit), "ok       sandbox:", "the journal of a client")
    sandbox = next(line for line in machine.journal(unit).splitlines() if "  sandbox:" in line)
    if "not enforced" in sandbox:
        raise Failed(f"the trainer's sandbox is not in force under the unit: {sandbox}")
    world.note("the trainer's sandbox under the unit", sandbox.partition("sandbox: ")[2])


def set_up(world):
    """Root sets up an institution by a file of answers; its unit starts as the user of clients."""
    machine, federation, name = world.machine, world.federation, "south"
    token = federation.invite(name, 9)
    machine.write("/srv/answers.toml", f"""token_file = "{token}"
dataset = "/srv/imagery/{name}"
intent = "evaluate-only"
enable = true
""")
    state = f"/var/lib/eosfed/client/{name}"
    said = machine.run("eosfed-client", "setup", "--state", state, "--answers", "/srv/answers.toml").stdout
    expect(said, f"{CLIENT}@{name} runs, and starts at every boot", "the answer of the setup")
    unit = federation.unit(name)
    expect(machine.run("systemctl", "is-enabled", unit).stdout, "enabled", unit)
    expect(machine.show(unit, "ActiveState"), "active", unit)
    owners = machine.run("stat", "--format=%a %U", state, f"{state}/key.pem", f"{state}/policy.toml").stdout
    expect(owners, f"700 {CLIENT}\n600 {CLIENT}\n600 {CLIENT}", "modes and owners")
    expect(machine.run("eosfed-client", "health", "--state", state, user=CLIENT).stdout, f"a daemon of `{name}` runs",
           "its health")
    machine.run("systemctl", "disable", "--now", unit)
    again = machine.run("eosfed-client", "health", "--state", state, user=CLIENT, check=False)
    expect(again.stderr, "no `eosfed-client run` holds", "its health after the end")


def idle(world):
    """What the daemons need while they wait."""
    units = {"coordinator": SERVICE, "client": world.federation.unit(world.institutions[0])}
    before = {unit: world.processor_seconds(unit) for unit in units.values()}
    seconds = 20
    time.sleep(seconds)
    for name, unit in units.items():
        used = world.processor_seconds(unit) - before[unit]
        world.note(f"{name}, idle", f"{world.memory(unit):.1f} MiB, {100 * used / seconds:.2f} % of a processor")


def security(world):
    """The units' scores."""
    for unit, most in [(SERVICE, 2.0), (world.federation.unit(world.institutions[0]), 4.0),
                       ("eosfed-backup.service", 2.0)]:
        text = world.machine.run("systemd-analyze", "security", "--no-pager", unit).stdout
        score = float(re.search(r"exposure level for \S+: ([0-9.]+)", text).group(1))
        world.note(f"systemd-analyze security {unit}", score)
        if score >= most:
            raise Failed(f"{unit}: {score} is not below {most}")


def upgrade_and_reboot(world):
    """A job survives an upgrade of all packages and a reboot in the middle of it."""
    machine, federation = world.machine, world.federation
    job = federation.submit(least=3, most=3, rounds=4, epochs=2)
    machine.until("the first round", lambda: federation.closed_rounds(job) >= 2, 300)
    units = [SERVICE, *map(federation.unit, world.institutions)]
    before = [machine.show(unit, "MainPID") for unit in units]
    started = time.monotonic()
    world.install(world.second)
    world.note("upgrade of four packages in mid-job", f"{time.monotonic() - started:.1f} s")
    after = [machine.show(unit, "MainPID") for unit in units]
    if any(old == new or new == "0" for old, new in zip(before, after)):
        raise Failed(f"units were not restarted by the upgrade: {before}, {after}")
    machine.until("the second round", lambda: federation.closed_rounds(job) >= 3, 300)
    world.note("reboot to all units started", f"{machine.reboot():.1f} s")
    machine.until("the coordinator", lambda: machine.show(SERVICE, "ActiveState") == "active", 60)
    world.note("job of 4 rounds, rest after the reboot", f"{federation.wait_for_end(job):.0f} s")
    # Of the 5, one has measured the bands.
    if federation.closed_rounds(job) != 5:
        raise Failed(f"5 rounds should be complete: {federation.job(job)}")


def revoke(world):
    """A revoked institution's daemon ends with 77 and is not started again; the others go on."""
    machine, federation = world.machine, world.federation
    name = world.institutions[-1]
    unit = federation.unit(name)
    federation.eosfed("institution", "revoke", name, "--reason", "the system test")
    machine.until(f"the end of {unit}", lambda: machine.show(unit, "ActiveState") == "failed", 90)
    found = machine.show(unit, "ExecMainStatus"), machine.show(unit, "NRestarts")
    if found != ("77", "0"):
        raise Failed(f"{unit}: exit code and restarts should be 77 and 0, found {found}:\n{machine.journal(unit)}")
    job = federation.submit(least=2, most=2, rounds=1, epochs=1)
    federation.wait_for_end(job)


def watchdog(world):
    """A daemon that hangs is ended and started again."""
    machine = world.machine
    for unit in [SERVICE, world.federation.unit(world.institutions[0])]:
        machine.drop_in(unit, "[Service]\nWatchdogSec=6\n")
        machine.run("systemctl", "restart", unit)
        time.sleep(15)
        if machine.show(unit, "NRestarts") != "0":
            raise Failed(f"{unit} was restarted though it works:\n{machine.journal(unit)[-2000:]}")
        machine.run("systemctl", "kill", "--kill-whom=main", "--signal=STOP", unit)
        seconds = machine.until(
            f"the restart of {unit}",
            lambda unit=unit: machine.show(unit, "NRestarts") == "1" and machine.show(unit, "ActiveState") == "active",
        )
        world.note(f"{unit} hangs: watchdog of 6 s, until it works again", f"{seconds:.1f} s")
        machine.no_drop_in(unit)
        machine.run("systemctl", "restart", unit)


def reload(world):
    """A reload takes new names, and of a client what is logged; one with wrong settings changes nothing."""
    machine = world.machine
    settings = machine.root / STATE.lstrip("/") / "coordinator.toml"
    text = settings.read_text()
    pid = machine.show(SERVICE, "MainPID")
    for changed, said in [(text.replace('"localhost"', '"localhost", "eo.example.org"'), "eo.example.org"),
                          ("nonsense", "nothing was changed"), (text, "were read again")]:
        settings.write_text(changed)
        machine.run("systemctl", "reload", SERVICE)
        machine.until(said, lambda said=said: said in machine.journal(SERVICE), 20)
    world.federation.jobs()
    if machine.show(SERVICE, "MainPID") != pid:
        raise Failed("the coordinator was restarted by a reload")
    # Lines are entries with fields: who asks for one program's warnings about one thing gets those.
    found = machine.run("journalctl", "--no-pager", "--output=cat", "--priority=info",
                        "SYSLOG_IDENTIFIER=eosfed-coordinator", f"_SYSTEMD_UNIT={SERVICE}",
                        'EOSFED_NAMES=["localhost", "eo.example.org", "127.0.0.1"]').stdout
    expect(found, "the settings were read again", "the journal by a field")

    name = world.institutions[0]
    unit, settings = world.federation.unit(name), machine.root / f"var/lib/eosfed/client/{name}/client.toml"
    text = settings.read_text()
    for changed, said in [('log_level = "debug"\n' + re.sub("(?m)^log_level.*\n", "", text), "what is logged has changed"),
                          ("nonsense", "what is logged has not changed")]:
        settings.write_text(changed)
        machine.run("systemctl", "reload", unit)
        machine.until(said, lambda said=said: said in machine.journal(unit), 20)
    settings.write_text(text)
    machine.run("systemctl", "reload", unit)


def backup_and_restore(world):
    """The timer makes an encrypted backup; the state is lost; backup and key alone bring everything back."""
    machine, federation = world.machine, world.federation
    key = "/srv/backup-key.txt"
    machine.run("eosfed-coordinator", "backup-key", "--out", key)
    machine.run("chown", COORDINATOR, key)
    recipient = re.search("age1[a-z0-9]+", (machine.root / key.lstrip("/")).read_text()).group()
    settings = machine.root / STATE.lstrip("/") / "coordinator.toml"
    text = settings.read_text().replace('# folder = "/var/backups/eosfed"', 'folder = "/var/backups/eosfed"')
    settings.write_text(re.sub("# recipients = .*", f'recipients = ["{recipient}"]', text))
    machine.drop_in("eosfed-backup.timer", "[Timer]\nOnActiveSec=1s\nRandomizedDelaySec=0\nAccuracySec=1s\n")
    machine.run("systemctl", "enable", "--now", "eosfed-backup.timer")
    folder = machine.root / BACKUPS.lstrip("/")
    machine.until("a backup by the timer", lambda: any(folder.glob("*/backup.json.age")), 900)
    machine.no_drop_in("eosfed-backup.timer")
    backup = f"{BACKUPS}/{next(folder.glob('*/backup.json.age')).parent.name}"
    machine.run("eosfed-coordinator", "restore", "--check", "--from", backup, "--key", key, user=COORDINATOR)
    jobs = federation.jobs()
    machine.run("systemctl", "stop", SERVICE)
    machine.run("rm", "-r", STATE)
    machine.run("systemd-tmpfiles", "--create", "eosfed-coordinator.conf")
    machine.run("eosfed-coordinator", "restore", "--from", backup, "--key", key, "--state", STATE, user=COORDINATOR)
    machine.run("systemctl", "start", SERVICE)
    if federation.jobs() != jobs:
        raise Failed(f"the jobs after the restore differ:\n{jobs}\n{federation.jobs()}")
    federation.wait_for_end(federation.submit(least=2, most=2, rounds=1, epochs=1))


def bad_inputs(world):
    """Each mistake gives a sentence in the journal, the right exit code, and no restart loop."""
    machine, unit = world.machine, world.federation.unit(world.institutions[0])
    state = f"/var/lib/eosfed/client/{world.institutions[0]}"
    machine.run("systemctl", "stop", unit)
    machine.run("chmod", "000", f"{state}/key.pem")
    world.fails(unit, "78", "key.pem: Permission denied")
    machine.run("chmod", "600", f"{state}/key.pem")

    # As another user, by hand: the folder itself says whose it is.
    done = machine.run("eosfed-coordinator", "serve", "--state", STATE, user=CLIENT, check=False)
    expect(f"{done.returncode} {done.stderr}", "78 error: ", "serve as another user")
    expect(done.stderr, "belongs to user", "serve as another user")
    # Under the unit, systemd gives the state folder back to its user.
    machine.run("chown", "-R", "root:root", state)
    machine.run("systemctl", "start", unit)

    machine.run("systemctl", "stop", SERVICE)
    machine.run("mkdir", "-m", "700", "/srv/other")
    machine.run("eosfed-coordinator", "init", "--state", "/srv/other", "--operator", "eve", "--listen", "127.0.0.1:7443")
    machine.run("systemd-run", "--unit=other", "eosfed-coordinator", "serve", "--state", "/srv/other")
    machine.until("the other coordinator", (machine.root / "srv/other/address").exists, 30)
    machine.drop_in(SERVICE, "[Service]\nRestartSec=1\n")
    machine.run("systemctl", "start", SERVICE, check=False)
    machine.until("the end of the tries", lambda: machine.show(SERVICE, "ActiveState") == "failed", 90)
    world.note("port taken: starts until the unit stays failed", int(machine.show(SERVICE, "NRestarts")) + 1)
    expect(machine.journal(SERVICE), "cannot listen on 127.0.0.1:7443", "the journal")
    machine.run("systemctl", "stop", "other")
    machine.no_drop_in(SERVICE)
    machine.run("systemctl", "reset-failed", SERVICE)
    machine.run("systemctl", "start", SERVICE)
    world.federation.jobs()


def full_disk(world):
    """A coordinator whose disk is full at the start says so and is tried again until there is space."""
    machine = world.machine
    jobs = world.federation.jobs()
    machine.run("systemctl", "stop", SERVICE)
    machine.run("mv", STATE, f"{STATE}.kept")
    machine.run("mkdir", "-m", "700", STATE)
    machine.run("mount", "-t", "tmpfs", "-o", "size=512m,mode=700", "tmpfs", STATE)
    machine.run("cp", "-a", f"{STATE}.kept/.", STATE)
    machine.run("dd", "if=/dev/zero", f"of={STATE}/ballast", "bs=1M", check=False)
    machine.drop_in(SERVICE, "[Service]\nRestartSec=3\n[Unit]\nStartLimitBurst=50\n")
    machine.run("systemctl", "start", SERVICE, check=False)
    machine.until("a second try", lambda: machine.show(SERVICE, "NRestarts") not in ("", "0"), 60)
    expect(machine.journal(SERVICE), "error: ", "the journal")
    sentence = [line for line in machine.journal(SERVICE).splitlines() if line.startswith("error: ")][-1]
    expect(sentence.lower(), "full", "the sentence about a full disk")
    world.note("full disk at the start", sentence)
    machine.run("rm", f"{STATE}/ballast")
    machine.until("the start with space", lambda: machine.show(SERVICE, "ActiveState") == "active", 60)
    if world.federation.jobs() != jobs:
        raise Failed("jobs were lost on a full disk")
    machine.run("systemctl", "stop", SERVICE)
    machine.run("umount", STATE)
    machine.run("rmdir", STATE)
    machine.run("mv", f"{STATE}.kept", STATE)
    machine.no_drop_in(SERVICE)
    machine.run("systemctl", "start", SERVICE)


def expired(world):
    """A client whose certificate has expired while it was off says so and what to do; it goes on asking,
    since a wrong clock looks the same."""
    machine, unit = world.machine, world.federation.unit(world.institutions[0])
    machine.run("systemctl", "stop", unit)
    for one in [SERVICE, unit]:
        machine.drop_in(one, f"[Service]\nEnvironment=LD_PRELOAD={FAKETIME} FAKETIME=+2y\n")
    machine.run("systemctl", "restart", SERVICE)
    machine.run("systemctl", "start", unit)
    machine.until("the first try", lambda: "it does not" in machine.show(unit, "StatusText"), 60)
    for said in ["has expired at", "re-enrol"]:
        expect(machine.journal(unit), said, f"the journal of {unit}")
    if machine.show(unit, "NRestarts") != "0":
        raise Failed(f"{unit} was restarted:\n{machine.journal(unit)}")
    for one in [SERVICE, unit]:
        machine.no_drop_in(one)
    machine.run("systemctl", "restart", SERVICE)


def stop_and_remove(world):
    """Stopping is quick; a downgrade below the store is refused; removing keeps state and purging does not."""
    machine = world.machine
    started = time.monotonic()
    machine.run("systemctl", "stop", SERVICE)
    world.note("coordinator with clients, stop", f"{time.monotonic() - started:.1f} s")
    machine.run("systemctl", "start", SERVICE)
    world.install(world.newer_store)
    done = machine.run("dpkg", "-i", *world.inside(world.first), check=False)
    expect(f"{done.returncode} {done.stderr}", "Nothing was changed", "a downgrade")
    expect(machine.run("dpkg-query", "--show", COORDINATOR).stdout, "-3", "the version after a refused downgrade")
    expect(machine.run("systemctl", "is-active", SERVICE).stdout, "active", SERVICE)
    names = ["eosfed", COORDINATOR, CLIENT, "eosfed-trainer-cpu"]
    machine.run("apt-get", "remove", "--yes", *names)
    for path in [f"{STATE}/coordinator.toml", "/var/lib/eosfed/client/east/key.pem", "/etc/eosfed/client.env"]:
        machine.run("test", "-e", path)
    leftover = machine.run("systemctl", "list-units", "--no-legend", "eosfed*").stdout
    if leftover.strip():
        raise Failed(f"units are left after the removal: {leftover}")
    machine.run("apt-get", "purge", "--yes", *names)
    for path in ["/var/lib/eosfed", "/etc/eosfed", "/usr/lib/eosfed"]:
        machine.run("test", "!", "-e", path)
    machine.run("sh", "-c", f"ls {BACKUPS}/*/backup.json.age")


STEPS = [install, without_settings, federate, set_up, idle, security, upgrade_and_reboot, revoke, watchdog, reload,
         backup_and_restore, bad_inputs, full_disk, expired, stop_and_remove]
