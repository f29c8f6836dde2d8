"""lstmcourse doctor: which layers of the sandbox hold on this machine, each proved by trying to break it.

Every layer is tried alone and then all together, by code that runs where a student's would. First
the same is tried without any layer: an attack that fails even then proves nothing.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lstmcourse.grading import confine
from lstmcourse.grading.sandbox import LAYERS, NOT_ROOT, Bounds, LessIsolation, Sandbox, SandboxError, unavailable

# Each function returns what it got; "" or an exception means that it got nowhere.
ATTACKS = '''
import ctypes, os, socket, sys
import numpy as np

def read_a_file(target):
    return open(target["file"]).read()

def list_a_folder(target):
    return " ".join(os.listdir(target["folder"]))

def write_a_file(target):
    return str(open(os.path.join(target["folder"], "written"), "w").write("broken"))

def change_the_mode_of_a_file(target):
    os.chmod(target["file"], 0o666)
    return "changed"

def connect_to_a_port(target):
    return str(socket.create_connection(("127.0.0.1", target["port"]), timeout=2))

def connect_to_a_local_socket(target):
    s = socket.socket(socket.AF_UNIX)
    s.connect(target["socket"])
    return str(s)

def start_a_process(target):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    return str(os.waitpid(pid, 0))

def signal_another_process(target):
    os.kill(target["victim"], 0)
    return "signalled"

def signal_another_process_by_fcntl(target):
    import fcntl
    reader, writer = os.pipe()
    fcntl.fcntl(reader, 10, target["signal"])                    # F_SETSIG
    fcntl.fcntl(reader, fcntl.F_SETOWN, target["victim"])
    fcntl.fcntl(reader, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    os.write(writer, b"x")
    return "sent"                                                # the doctor looks whether it has arrived

def look_into_another_process(target):
    return open(f"/proc/{target['victim']}/cmdline").read()

def ask_the_kernel_for_more(target):
    libc = ctypes.CDLL(None, use_errno=True)
    got = [name for name, answer in (
        ("ptrace", libc.ptrace(16, target["victim"], 0, 0)), ("a namespace", libc.unshare(0x10000000)),
        ("shared memory", libc.shmget(0, 4096, 0o1600)), ("keys", libc.syscall(250, 0, -3, 1, 0, 0))) if answer >= 0]
    return " ".join(got)

def take_2_GB_of_memory(target):
    return str(len(np.ones(2**28)))

def write_300_MB(target):
    for n in range(30):
        with open(f"fill{n}", "wb") as file:
            for _ in range(10):
                file.write(bytes(1_000_000))
    return "written"

def write_one_file_of_300_MB(target):
    with open("fill", "wb") as file:
        for _ in range(300):
            file.write(bytes(1_000_000))
    return "written"

def read_the_environment(target):
    return " ".join(os.environ.keys() - {"HOME", "USER", "PATH"})        # of the sandbox's own making

def read_private_file(target):
    return open(target["private"]).read()
'''

FILES = ("read_a_file", "list_a_folder", "write_a_file")
SIGNALS = ("signal_another_process", "signal_another_process_by_fcntl")
STOPS = {                      # what each layer has to stop by itself
    "bubblewrap": (*FILES, "connect_to_a_port", "connect_to_a_local_socket", *SIGNALS,
                   "look_into_another_process", "write_300_MB"),
    "landlock": (*FILES, "write_300_MB"),
    "seccomp": ("connect_to_a_port", "connect_to_a_local_socket", "start_a_process", *SIGNALS,
                "ask_the_kernel_for_more", "change_the_mode_of_a_file"),
    "rlimits": ("write_one_file_of_300_MB", *(("take_2_GB_of_memory",) if sys.platform == "linux" else ())),
    "memory group": ("take_2_GB_of_memory",),
    "user": ("read_private_file", *SIGNALS),
}
EVERYTHING = (*dict.fromkeys(attack for attacks in STOPS.values() for attack in attacks), "read_the_environment")
MORE = {"connect_to_a_port": 4, **dict.fromkeys(SIGNALS, 6)}       # what Landlock stops since which ABI
TOGETHER = "all together"
TOO_DEAR = ("take_2_GB_of_memory", "write_300_MB", "write_one_file_of_300_MB")      # believed without a control


def add_arguments(parser):
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def main(argv=None):
    """Exit status: 0 if whatever is here holds, 1 if something does not."""
    parser = argparse.ArgumentParser(prog="lstmcourse doctor", description=__doc__)
    add_arguments(parser)
    args = parser.parse_args(argv)
    findings = examine()
    if args.json:
        print(json.dumps(findings, indent=2))
    else:
        print(f"{platform.platform()}, Python {platform.python_version()}, "
              f"{'root' if hasattr(os, 'geteuid') and os.geteuid() == 0 else 'an ordinary user'}, "
              f"Landlock ABI {confine.landlock_abi() or 'none'}\n")
        for layer, finding in findings.items():
            print(f"{layer:14} {finding['state']:10} {finding['detail']}")
        untested = [layer for layer, finding in findings.items() if finding["state"] == "not here"]
        print(f"\nnot tested here: {', '.join(untested) or 'nothing'}")
        holding = {layer for layer in findings if layer in LAYERS and findings[layer]["state"] == "holds"}
        if findings.get(TOGETHER, {}).get("state") == "holds":          # what one layer cannot, others may
            holding |= set(LAYERS) - set(unavailable())
        through = set(EVERYTHING) - set(stopped_by(holding))
        if through:
            print(f"nothing on this machine stops: {', '.join(sorted(through)).replace('_', ' ')}")
    return 0 if all(finding["state"] != "BROKEN" for finding in findings.values()) else 1


def examine(layers=(*LAYERS, TOGETHER)):
    """layer -> {"state": holds, BROKEN or not here, "detail": the attacks, or what got through, or why not}."""
    missing, findings = unavailable(), {}
    attacks = STOPS | {TOGETHER: stopped_by(layer for layer in LAYERS if layer not in missing)}
    with targets() as target:
        tried = {attack for layer in layers if layer not in missing for attack in attacks[layer]} | {*MORE}
        without = attempt((), target, [attack for attack in EVERYTHING if attack in tried - {*TOO_DEAR}])
        for layer in layers:
            if layer in missing:
                if missing[layer] != NOT_ROOT:
                    findings[layer] = {"state": "not here", "detail": missing[layer]}
            else:
                findings[layer] = finding(None if layer == TOGETHER else (layer,), target, attacks[layer], without)
    return findings


def stopped_by(layers):
    """The attacks that one of the layers has to stop."""
    stopped = {attack for layer in layers for attack in STOPS[layer]} | {"read_the_environment"}
    return tuple(attack for attack in EVERYTHING if attack in stopped)


def finding(layers, target, attacks, without):
    if layers == ("landlock",):
        attacks = (*attacks, *(attack for attack, since in MORE.items() if confine.landlock_abi() >= since))
    telling = [attack for attack in attacks if attack in TOO_DEAR or without.get(attack)]
    try:
        got = attempt(layers, target, telling)
    except SandboxError as error:
        return {"state": "not here" if isinstance(error, LessIsolation) else "BROKEN", "detail": str(error)}
    through = [f"{attack} ({text[:60]})" for attack, text in got.items() if text]
    if through:
        return {"state": "BROKEN", "detail": "got through: " + ", ".join(through).replace("_", " ")}
    return {"state": "holds", "detail": "stopped: " + ", ".join(telling).replace("_", " ")}


def attempt(layers, target, attacks):
    """attack -> what it got ("": nothing), in a sandbox with only these layers; None: with all there are."""
    from lstmcourse.grading.protocol import ProtocolError
    notebook = json.dumps({"cells": [{"cell_type": "code", "source": ATTACKS}]}).encode()
    got = {}
    with Sandbox(Bounds(memory=1 << 29), layers, required=layers or ()) as sandbox:
        for attack in attacks:
            for name in ("written", "signalled"):
                Path(target["folder"], name).unlink(missing_ok=True)
            with sandbox.session() as session:
                session.read(notebook)
                try:
                    list(session.run((), 20, [attack]))
                    kind, *rest = session.call(attack, (target,), 20)
                except ProtocolError:
                    kind, rest = "ended", []            # the process was ended, as it should be
            got[attack] = str(rest[0]) if kind == "value" else ""
            if attack == SIGNALS[1] and got[attack] and not arrived(target):
                got[attack] = ""
    return got


VICTIM = """
import os, signal, sys
signal.signal(int(sys.argv[2]), lambda *signal: open(sys.argv[1], "w").close())
print("ready", flush=True)
input()
"""


def arrived(target, seconds=1):
    """Has the victim told of the signal?"""
    end = time.monotonic() + seconds
    while not Path(target["folder"], "signalled").exists():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@contextlib.contextmanager
def targets():
    """Something to attack: files, a port, a local socket and a process of our own."""
    folder = Path(tempfile.mkdtemp(prefix="lstmcourse-doctor-"))
    folder.chmod(0o777)
    (folder / "file.txt").write_text("a file outside")
    (folder / "file.txt").chmod(0o666)
    (folder / "private").mkdir(mode=0o700)
    (folder / "private" / "file.txt").write_text("a private file outside")
    number = int(getattr(signal, "SIGUSR1", signal.SIGTERM))
    victim = subprocess.Popen([sys.executable, "-c", VICTIM, str(folder / "signalled"), str(number)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    victim.stdout.readline()
    with socket.create_server(("127.0.0.1", 0)) as port, \
            socket.socket(getattr(socket, "AF_UNIX", socket.AF_INET)) as local:
        if hasattr(socket, "AF_UNIX"):
            local.bind(str(folder / "socket"))
            (folder / "socket").chmod(0o666)
            local.listen()
        try:
            yield {"folder": str(folder), "file": str(folder / "file.txt"), "port": port.getsockname()[1],
                   "private": str(folder / "private" / "file.txt"), "socket": str(folder / "socket"),
                   "victim": victim.pid, "signal": number}
        finally:
            victim.kill()
            victim.wait()
            victim.stdin.close()
            victim.stdout.close()
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    raise SystemExit(main())
