#!/usr/bin/env python3
"""Each protection of docs/security.md is proven by a test that fails without it: this takes them out, one
at a time, in a copy of the sources, and expects the test to fail.

  tests/security/protections.py [-l] [ID...]      -l: list them

The gates between members of a network (vl2) have the same in tests/unit/vl2/test_gates.c, which is always
run; this here compiles some 25 times and is part of `tools/test --all`. Exit status 0 when every test saw.
"""
import os
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SIM, UNIT = "tests/sim/test_sim_", "tests/unit/"
HOSTILE = SIM + "hostile"

# id, file, what is there, what stands there without the protection, the test program
ROWS = [
    ("mac", "libzt/vl1/rx.c", "if (!is_plain && zt_open(&peer->keys, p, n) != 0) {",
     "if (!is_plain && zt_open(&peer->keys, p, n) != 0 && p == NULL) {", HOSTILE),
    ("weak-suite", "libzt/vl1/rx.c", "    if (!suite_fits(v, p)) {", "    if (!suite_fits(v, p) && p == NULL) {", HOSTILE),
    ("replay", "libzt/vl1/rx.c", "    if (pair[0] == id || pair[1] == id)\n        return true;", "", HOSTILE),
    ("proof-of-work", "libzt/vl1/hello.c", "    if (!valid)\n", "    if (!valid && w == NULL)\n", HOSTILE),
    ("identity-stays", "libzt/vl1/hello.c", "    } else if (!zt_identity_equal(&peer->id, &h.id)) {\n        struct",
     "    } else if (!zt_identity_equal(&peer->id, &h.id) && p == NULL) {\n        struct", HOSTILE),
    ("hello-mac", "libzt/vl1/hello.c", "    if (good && zt_open(keys, p, n) == 0)", "    (void)zt_open(keys, p, n);\n    if (good)", HOSTILE),
    ("limit-prefix", "libzt/vl1/hello.c", "if (zt_bucket_take(b, now->mono_ms, CHECK_BURST, CHECK_REFILL_MS) &&",
     "if (b != NULL &&", HOSTILE),
    ("limit-agreements", "libzt/vl1/hello.c",
     "zt_bucket_take(&v->hellos.agreements, now->mono_ms, AGREE_BURST, AGREE_REFILL_MS)", "true", HOSTILE),
    ("limit-proofs", "libzt/vl1/hello.c",
     "if (!zt_bucket_take(&v->hellos.proofs, now->mono_ms, PROOF_BURST, PROOF_REFILL_MS)) {",
     "if (w == NULL && n == 0) {", HOSTILE),
    ("limit-answers", "libzt/vl1/hello.c",
     "if (!zt_bucket_take(&peer->hello, now->mono_ms, ANSWER_BURST, ANSWER_REFILL_MS)) {", "if (peer == NULL) {", HOSTILE),
    ("limit-echo", "libzt/vl1/rx.c",
     "if (!zt_bucket_take(&rx->peer->echo, now->mono_ms, ECHO_BURST, ECHO_REFILL_MS)) {", "if (rx == NULL) {", HOSTILE),
    ("limit-strangers", "libzt/vl1/whois.c",
     "    if (zt_map_get(&v->waits.by_addr, from) == NULL &&\n        !zt_bucket_take(&v->waits.strangers, now->mono_ms, 32, 50)) {",
     "    if (p == NULL) {", HOSTILE),
    ("whois-loop", "libzt/vl1/rx.c", "        else if (!rx->peer->is_upstream)", "        else if (true)", HOSTILE),
    ("unasked-ok", "libzt/vl1/rx.c", "    if (asked == NULL) {", "    if (asked == NULL && rx == NULL) {", HOSTILE),
    ("relay-hops", "libzt/vl1/rx.c", "if ((*hops & ZT_FLAG_HOPS) >= ZT_RELAY_HOPS_MAX) {", "if (hops == NULL) {", HOSTILE),
    ("no-relay", "libzt/vl1/rx.c", "    if (!may_relay(v, now, in)) {", "    if (!may_relay(v, now, in) && p == NULL) {", HOSTILE),
    ("defrag-bound", "libzt/vl1/defrag.c", "if (now_ms - e->since_ms < ZT_DEFRAG_MS)", "if (e != NULL)", UNIT + "vl1/test_vl1_defrag"),
    ("world-signature", "libzt/vl1/roots.c", "!zt_world_replaces(planet, world)", "false", HOSTILE),
    ("world-sender", "libzt/vl1/hello.c", "if (len > 0 && !zt_roots_believes(v, peer)) {", "if (len > 0 && peer == NULL) {", HOSTILE),
    ("root-verbs", "libzt/vl1/nat.c", "    if (!rx->peer->is_upstream) {", "    if (rx == NULL) {", HOSTILE),
    ("controller-time", "libzt/vl2/controller.c", "    c->issued_at_ms = c->kept_ms = store->time_ms;\n", "", SIM + "controller"),
    ("home-owner", "libzt/node/store.c", "st.st_uid != geteuid() && st.st_uid != 0 && geteuid() != 0",
     "st.st_uid == (uid_t)-1", UNIT + "node/test_store"),
    ("home-mode", "libzt/node/store.c", "(st.st_mode & (S_IWGRP | S_IWOTH)) != 0", "st.st_mode == 0", UNIT + "node/test_store"),
    ("secret-mode", "libzt/node/store.c", "flags & ZT_STORE_PRIVATE ? 0600 : 0644", "flags & ZT_STORE_PRIVATE ? 0644 : 0644",
     UNIT + "node/test_store"),
    ("door-uid", "libzt/node/door.c", "    if (who.uid == 0 || who.uid == geteuid())", "    if (who.uid == 0 || who.uid != (uid_t)-1)",
     UNIT + "node/test_door"),
    ("door-size", "libzt/node/door.c", "q->ndata <= n - offsetof(struct zt_ctl_req, data)", "true", UNIT + "node/test_door"),
    ("door-crowd", "libzt/node/door.c", "            if (d->nclients >= CLIENTS_MOST)\n", "            if (d->nclients == 0)\n",
     UNIT + "node/test_door"),
    ("confine-calls", "tools/ztd/confine.c", "    const int rc = filter_calls();", "    const int rc = home == NULL ? filter_calls() : 0;",
     "tests/tools/test_confine"),
    ("confine-files", "tools/ztd/confine.c", "    int err = limit_files(home);", "    int err = home == NULL ? limit_files(home) : 0;",
     "tests/tools/test_confine"),
]


def run(*argv, timeout=600):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout)


def must(*argv):
    done = run(*argv)
    if done.returncode != 0:
        sys.exit(f"{' '.join(argv)}:\n{done.stdout[-3000:]}")


def prove(copy, build, row):
    """None, or what is wrong."""
    _, path, old, new, target = row
    file = os.path.join(copy, path)
    with open(file) as f:
        text = f.read()
    if text.count(old) < 1:
        return f"{path} has no such place any more"
    program = os.path.join(build, target)
    try:
        with open(file, "w") as f:
            f.write(text.replace(old, new, 1))
        built = run("ninja", "-C", build, target)
        if built.returncode != 0:
            return f"does not build without it:\n{built.stdout[-1500:]}"
        try:
            if run(program, timeout=200).returncode == 0:
                return f"{target} passes without it"
        except subprocess.TimeoutExpired:
            pass  # seen
    finally:
        with open(file, "w") as f:
            f.write(text)
    return None


def main():
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    rows = [r for r in ROWS if not names or r[0] in names]
    if "-l" in sys.argv:
        for r in rows:
            print(f"{r[0]:18} {r[1]:24} {r[4]}")
        return 0
    temp = tempfile.mkdtemp(prefix="zt-protections.")
    copy, build = os.path.join(temp, "src"), os.path.join(temp, "src", "build")
    bad = 0
    try:
        shutil.copytree(TOP, copy, symlinks=True, ignore=shutil.ignore_patterns("build*", ".git"))
        must("meson", "setup", build, copy, "--buildtype=debugoptimized", "-Dwerror=false", "-Ddebug=false")
        targets = sorted({r[4] for r in rows})
        must("ninja", "-C", build, *targets)
        for t in targets:
            done = run(os.path.join(build, t))
            if done.returncode != 0:
                print(f"FAILED  {t} as it is:\n{done.stdout[-2000:]}")
                return 1
        for row in rows:
            wrong = prove(copy, build, row)
            print(f"{'FAILED' if wrong else 'ok    '}  {row[0]}{': ' + wrong if wrong else ''}", flush=True)
            bad += wrong is not None
    finally:
        shutil.rmtree(temp, ignore_errors=True)
    print(f"{len(rows) - bad} passed, {bad} failed")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
