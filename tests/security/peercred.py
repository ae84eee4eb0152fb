#!/usr/bin/env python3
"""A local user who poses as our node: whoever connects to a control socket, by its path or its abstract name,
refuses a server of another uid (docs/security.md, "A local user").

  peercred.py ZTCTL PRELOAD FAKEHOST

Needs root, for it acts as two ordinary users; exit status 77 without. Each trick is played by the home's own user
too, who is believed: so it is the uid that decides, not something else that failed.
"""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

OWNER, OTHER = 65433, 65434
CONNECT = "exec 3<>/dev/tcp/10.147.17.98/80"  # the stand-in node says: no route to host

REFUSED = "belongs to another user"  # says ztctl


def as_user(uid, argv, **kw):
    return subprocess.Popen(argv, user=uid, group=uid, extra_groups=[], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, cwd="/", **kw)


def answer(uid, argv, **env):
    return as_user(uid, argv, env={"PATH": os.environ["PATH"], "LC_ALL": "C", **env}).communicate(timeout=150)[0]


def twin(uid, dev, ino):
    """zt_ctl_twin of include/zt_control.h."""
    mask = 2**64 - 1
    h = (dev * 0x9e3779b97f4a7c15 & mask) ^ ino
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93 & mask
    return f"\0zt1.{uid}.{h ^ h >> 32:016x}"


LISTEN = """
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind("\\0" + sys.argv[1])
s.listen(8)
s.settimeout(60)
print("ready", flush=True)
c = s.accept()[0]
c.settimeout(60)
print("asked" if c.recv(4096) else "not asked", flush=True)
"""


def is_private(path):
    """The last that the stand-in node does to its socket."""
    try:
        return os.stat(path).st_mode & 0o777 == 0o600
    except OSError:
        return False


class Ground:
    def __init__(self, ztctl, preload, fakehost):
        self.top = tempfile.mkdtemp(prefix="zt-peercred.")
        os.chmod(self.top, 0o755)
        self.tool = {}
        for name, path in (("ztctl", ztctl), ("preload.so", preload), ("fakehost", fakehost)):
            self.tool[name] = shutil.copy(path, os.path.join(self.top, name))  # where other users can read it
            os.chmod(self.tool[name], 0o755)
        self.home = os.path.join(self.top, "home")
        self.host = None

    def serve(self, uid):
        """A node of this user in the owner's home: as if the folder had been open for a moment."""
        self.end()
        shutil.rmtree(self.home, ignore_errors=True)
        os.mkdir(self.home)
        os.chown(self.home, OWNER, OWNER)
        os.chmod(self.home, 0o777)
        self.host = as_user(uid, [self.tool["fakehost"], "-H", self.home])
        path = os.path.join(self.home, "control.sock")
        end = time.monotonic() + 60
        while not is_private(path) and time.monotonic() < end:  # else it would take back what follows
            time.sleep(0.02)
        os.chown(self.home, OWNER, OWNER)
        for name in os.listdir(self.home):  # the client shall be able to reach it all
            os.chmod(os.path.join(self.home, name), 0o666)
        os.chmod(self.home, 0o755)

    def end(self):
        if self.host is not None:
            self.host.kill()
            self.host.communicate()
            self.host = None

    def ztctl(self):
        return answer(OWNER, [self.tool["ztctl"], "-H", self.home, "info"])

    def program(self):
        return answer(OWNER, ["/bin/bash", "-c", CONNECT], LD_PRELOAD=self.tool["preload.so"],
                      ZT_HOME=self.home, ZT_PRELOAD_START="no")

    def twin_is_asked(self, uid):
        """Does a program whose node's socket is gone ask a server of this user under the abstract name?"""
        st = os.stat(self.home)
        name = twin(st.st_uid, st.st_dev, st.st_ino)
        listener = as_user(uid, ["/usr/bin/python3", "-c", LISTEN, name[1:]])
        if listener.stdout.readline().strip() != "ready":
            raise RuntimeError(listener.communicate()[0])
        program = as_user(OWNER, ["/bin/bash", "-c", CONNECT],
                          env={"LD_PRELOAD": self.tool["preload.so"], "ZT_HOME": self.home, "ZT_PRELOAD_START": "no"})
        said = listener.stdout.readline().strip()
        for p in (listener, program):
            p.kill()
            p.communicate()
        return said == "asked"

    def close(self):
        self.end()
        shutil.rmtree(self.top, ignore_errors=True)


def main():
    if os.geteuid() != 0:
        print("skipped: needs root, to act as two other users")
        return 77
    ground, failed, passed = Ground(*sys.argv[1:4]), 0, 0

    def check(what, good, detail=""):
        nonlocal failed, passed
        passed += bool(good)
        failed += not good
        if not good:
            print(f"FAILED  {what}: {detail}")

    try:
        ground.serve(OWNER)
        out = ground.ztctl()
        check("ztctl asks the owner's node", REFUSED not in out, out)
        out = ground.program()
        check("a program asks the owner's node", "No route to host" in out, out)
        os.unlink(os.path.join(ground.home, "control.sock"))
        check("a program asks the owner's server under the abstract name", ground.twin_is_asked(OWNER))
        check("a program asks nobody else there", not ground.twin_is_asked(OTHER))

        ground.serve(OTHER)
        out = ground.ztctl()
        check("ztctl refuses another user's", REFUSED in out, out)
        out = ground.program()
        check("a program refuses another user's", "No route to host" not in out and out, out)
    finally:
        ground.close()
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
