#!/usr/bin/env python3
"""Each protection of docs/security.md is proven by a test that fails without it: this takes them out, one
at a time, and expects the test to fail.

  tests/security/protections.py [-l] [ID...]      -l: list them

The sources are not touched: of a changed copy of one file an object is made, which takes the place of its own
in a second link of the test; all processors work. What needs root is left out, with a word, for others.

The gates between members of a network (vl2) have the same in tests/unit/vl2/test_gates.c, which is always
run. Part of `tools/test --all`. Exit status 0 when every test saw.
"""
import concurrent.futures
import os
import shlex
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SIM, UNIT = "tests/sim/test_sim_", "tests/unit/"
HOSTILE = SIM + "hostile"

BUILD = os.path.join(TOP, "build-protections")
PEERCRED = "tests/security/peercred.py"  # a script; these are its arguments
PEERCRED_NEEDS = ["tools/ztctl", "preload/libztpreload.so", "tests/preload/fakehost"]

# id, file, what is there, what stands there without the protection, the test program, for a script also
# what of its arguments the file is part of
ROWS = [
    ("mac", "libzt/vl1/rx.c", "if (!is_plain && zt_open(&peer->keys, p, n) != 0) {",
     "if (!is_plain && zt_open(&peer->keys, p, n) != 0 && p == NULL) {", HOSTILE),
    ("weak-suite", "libzt/vl1/rx.c", "    if (!suite_fits(v, p)) {", "    if (!suite_fits(v, p) && p == NULL) {", HOSTILE),
    ("replay", "libzt/vl1/rx.c", "    if (known)\n        return true;", "", HOSTILE),
    ("replay-sender", "libzt/vl1/rx.c", "    h = (h ^ h >> 29 ^ from) *", "    h = (h ^ h >> 29) *", HOSTILE),
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
    ("small-answers", "libzt/vl1/rx.c", "    return rx->hops == 0 && zt_peer_path(rx->peer, &rx->link) != NULL;", "    return rx != NULL;", HOSTILE),
    ("small-gathers", "libzt/vl2/mcast.c", "limit <= UNPROVEN_MAX || zt_vl1_is_proven(rx) ? limit", "rx != NULL ? limit", UNIT + "vl2/test_vl2_hostile"),
    ("limit-worlds", "libzt/vl1/hello.c", "rest.our_moons != 0) && !proven &&", "rest.our_moons != 0) && !proven && p == NULL &&", HOSTILE),
    ("limit-pushes", "libzt/vl1/nat.c", "        if (!zt_peer_is_trusted(peer, now->mono_ms) &&", "        if (peer == NULL &&", HOSTILE),
    ("surface-sender", "libzt/vl1/nat.c", "    if (!reporter->is_upstream && !zt_peer_is_trusted(reporter, now->mono_ms))",
     "    if (reporter == NULL)", UNIT + "vl1/test_vl1_limits"),
    ("limit-echo", "libzt/vl1/rx.c",
     "if (!zt_bucket_take(&rx->peer->echo, now->mono_ms, ECHO_BURST, ECHO_REFILL_MS)) {", "if (rx == NULL) {", HOSTILE),
    ("limit-strangers", "libzt/vl1/whois.c",
     "    if (zt_map_get(&v->waits.by_addr, from) == NULL &&\n        !zt_bucket_take(&v->waits.strangers, now->mono_ms, 32, 50)) {",
     "    if (p == NULL) {", HOSTILE),
    ("own-room", "libzt/vl1/whois.c", "#define OTHERS(bound) ((bound) / 4 * 3)", "#define OTHERS(bound) (bound)", HOSTILE),
    ("whois-loop", "libzt/vl1/rx.c", "} else if (!rx->peer->is_upstream) { /* it asks", "} else if (true) { /* it asks", HOSTILE),
    ("unasked-ok", "libzt/vl1/rx.c", "    if (asked == NULL) {", "    if (asked == NULL && rx == NULL) {", HOSTILE),
    ("asked-whom", "libzt/vl1/tx.c", " && slots[i].who == who", "", HOSTILE),
    ("relay-hops", "libzt/vl1/rx.c", "if ((*hops & ZT_FLAG_HOPS) >= ZT_RELAY_HOPS_MAX) {", "if (hops == NULL) {", HOSTILE),
    ("relay-back", "libzt/vl1/rx.c", "        if (path != NULL && zt_ep_equal(&path->link.ep, &in->ep))", "        if (path == NULL)", HOSTILE),
    ("no-relay", "libzt/vl1/rx.c", "    if (!may_relay(v, now, in)) {", "    if (!may_relay(v, now, in) && p == NULL) {", HOSTILE),
    ("defrag-bound", "libzt/vl1/defrag.c", "if (now_ms - e->since_ms < ZT_DEFRAG_MS)", "if (e != NULL)", UNIT + "vl1/test_vl1_defrag"),
    ("world-signature", "libzt/vl1/roots.c", "!zt_world_replaces(planet, world)", "false", HOSTILE),
    ("world-sender", "libzt/vl1/hello.c", "if (len > 0 && !zt_roots_believes(v, peer)) {", "if (len > 0 && peer == NULL) {", HOSTILE),
    ("root-verbs", "libzt/vl1/nat.c", "    if (!rx->peer->is_upstream) {", "    if (rx == NULL) {", HOSTILE),
    ("limit-likes", "libzt/vl2/mcast.c", "    if (s != NULL && !zt_bucket_take(&s->says,", "    if (m == NULL && !zt_bucket_take(&s->says,", UNIT + "vl2/test_vl2_hostile"),
    ("limit-forgeries", "libzt/vl2/vl2.c", "    if (v->judged == 0 || ", "    if (v != NULL || ", UNIT + "vl2/test_vl2_hostile"),
    ("revocation-stays", "libzt/vl2/groups.c", " && !zt_creds_revoke(net, m)", "", UNIT + "vl2/test_vl2_hostile"),
    ("virtual-public", "libzt/vl2/vl2.c", "    if (zt_ep_scope(ep) == ZT_SCOPE_GLOBAL)\n        return false;\n", "", UNIT + "vl2/test_vl2_hostile"),
    ("virtual-root", "libzt/vl1/path.c", "    return peer->is_upstream || v->upper", "    return v->upper", UNIT + "vl1/test_vl1_path"),
    ("limit-introductions", "libzt/vl1/nat.c", "    if (!zt_bucket_take(&v->nat.introduced,", "    if (peer == NULL && !zt_bucket_take(&v->nat.introduced,", HOSTILE),
    ("controller-time", "libzt/vl2/controller.c", "    c->issued_at_ms = c->kept_ms = store->time_ms;\n", "", SIM + "controller"),
    ("home-owner", "libzt/node/store.c", "st.st_uid != geteuid() && st.st_uid != 0 && geteuid() != 0",
     "st.st_uid == (uid_t)-1", UNIT + "node/test_store"),
    ("home-mode", "libzt/node/store.c", "(st.st_mode & (S_IWGRP | S_IWOTH)) != 0", "st.st_mode == 0", UNIT + "node/test_store"),
    ("secret-mode", "libzt/node/store.c", "flags & ZT_STORE_PRIVATE ? 0600 : 0644", "flags & ZT_STORE_PRIVATE ? 0644 : 0644",
     UNIT + "node/test_store"),
    ("door-uid", "libzt/node/door.c", "*is_owner = who.uid == 0 || who.uid == geteuid();",
     "*is_owner = who.uid == 0 || who.uid != (uid_t)-1;", UNIT + "node/test_door"),
    ("door-descriptors", "libzt/node/door.c", "    for (size_t i = 0; nfds > 1 && i < nfds; i++)\n        close(fds[i]);\n", "",
     UNIT + "node/test_door"),
    ("door-size", "libzt/node/door.c", "q->ndata <= n - offsetof(struct zt_ctl_req, data)", "true", UNIT + "node/test_door"),
    ("door-crowd", "libzt/node/door.c", "            if (d->nclients >= CLIENTS_MOST)\n                pause_accept",
     "            if (d->nclients == 0)\n                pause_accept",
     UNIT + "node/test_door"),
    ("door-fds", "libzt/node/proxy.c", "    if (!leave_fds || getrlimit", "    if (leave_fds || getrlimit", UNIT + "node/test_door"),
    ("raw-checksum", "libzt/node/proxy_raw.c", "    if (r->pcb->chksum_reqd && n <", "    if (r->pcb == NULL && n <",
     UNIT + "node/test_datagram"),
    ("crumbs", "libzt/node/proxy_tcp.c", "    if (!to || pb->tot_len > CRUMB)", "    if (!to || pb != NULL)",
     UNIT + "node/test_proxy"),
    ("confine-calls", "tools/ztd/confine.c", "    const int rc = filter_calls();", "    const int rc = home == NULL ? filter_calls() : 0;",
     "tests/tools/test_confine"),
    ("confine-files", "tools/ztd/confine.c", "    int err = limit_files(home);", "    int err = home == NULL ? limit_files(home) : 0;",
     "tests/tools/test_confine"),
    ("client-uid-ztctl", "tools/ztctl/ctl_client.c", "return geteuid() == 0 || uc.uid == 0 || uc.uid == geteuid();", "return true;",
     PEERCRED, "tools/ztctl"),
    ("client-uid-preload", "preload/ctl.c", "if (r == 0 && !trusted((int)s))", "if (r == 0 && !trusted((int)s) && r != 0)",
     PEERCRED, "preload/libztpreload.so"),
]


def run(*argv, timeout=600, cwd=None):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, cwd=cwd)


def must(*argv, cwd=None):
    done = run(*argv, cwd=cwd)
    if done.returncode != 0:
        sys.exit(f"{' '.join(argv)}:\n{done.stdout[-3000:]}")
    return done.stdout


def target_of(row):
    return row[5] if len(row) > 5 else row[4]


def test_of(row, program):
    """The command that fails without the protection, when this program was linked without it."""
    if row[4] != PEERCRED:
        return [program]
    return [sys.executable, os.path.join(TOP, PEERCRED)] + \
        [program if need == row[5] else os.path.join(BUILD, need) for need in PEERCRED_NEEDS]


def link_without(commands, path, changed, program, temp):
    """Compile the changed copy of a file and link the program with it. None, or what went wrong."""
    obj = os.path.join(temp, "changed.o")
    compiles = [c for c in commands if c[-1].endswith("/" + path) and "-c" in c]
    if not compiles:
        return f"nothing of it is compiled from {path}"
    argv, old_obj = list(compiles[-1]), compiles[-1][compiles[-1].index("-o") + 1]
    argv[-1] = changed
    argv[argv.index("-o") + 1] = obj
    if "-MF" in argv:
        argv[argv.index("-MF") + 1] = os.path.join(temp, "deps")
    done = run(*[a for a in argv if a != "-Werror"], "-I" + os.path.dirname(os.path.join(TOP, path)), cwd=BUILD)
    if done.returncode != 0:
        return f"does not compile without it:\n{done.stdout[-1500:]}"
    argv = [a for a in commands[-1] if a not in ("&&", ":")]
    if old_obj in argv:
        argv[argv.index(old_obj)] = obj
    else:  # before the archives: the one of its own isn't wanted any more
        argv.insert(next(i for i, a in enumerate(argv) if a.endswith(".a")), obj)
    argv[argv.index("-o") + 1] = program
    done = run(*argv, cwd=BUILD)
    return None if done.returncode == 0 else f"does not link without it:\n{done.stdout[-1500:]}"


def prove(row):
    """None, or what is wrong."""
    path, old, new = row[1:4]
    with open(os.path.join(TOP, path)) as f:
        text = f.read()
    if text.count(old) < 1:
        return f"{path} has no such place any more"
    commands = [shlex.split(line) for line in must("ninja", "-C", BUILD, "-t", "commands", target_of(row)).splitlines()
                if not line.startswith("ninja:")]
    with tempfile.TemporaryDirectory(prefix="zt-protections.") as temp:
        changed, program = os.path.join(temp, os.path.basename(path)), os.path.join(temp, os.path.basename(target_of(row)))
        with open(changed, "w") as f:
            f.write(text.replace(old, new, 1))
        wrong = link_without(commands, path, changed, program, temp)
        if wrong:
            return wrong
        try:
            if run(*test_of(row, program), timeout=200).returncode == 0:
                return f"{row[4]} passes without it"
        except subprocess.TimeoutExpired:
            pass  # seen
    return None


def as_it_is(row):
    done = run(*test_of(row, os.path.join(BUILD, target_of(row))))
    return None if done.returncode == 0 else done.stdout[-2000:]


def main():
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    rows = [r for r in ROWS if not names or r[0] in names]
    if "-l" in sys.argv:
        for r in rows:
            print(f"{r[0]:18} {r[1]:24} {r[4]}")
        return 0
    if os.geteuid() != 0:
        for r in [r for r in rows if r[4] == PEERCRED]:
            print(f"left out {r[0]}: needs root, to act as two other users")
            rows.remove(r)
    if not os.path.exists(os.path.join(BUILD, "build.ninja")):
        must("meson", "setup", BUILD, TOP, "--buildtype=debugoptimized", "-Dwerror=false", "-Ddebug=false")
    needs = {target_of(r) for r in rows} | (set(PEERCRED_NEEDS) if any(r[4] == PEERCRED for r in rows) else set())
    must("ninja", "-C", BUILD, *sorted(needs))
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        tests = list({r[4]: r for r in rows}.values())
        for r, wrong in zip(tests, pool.map(as_it_is, tests)):
            if wrong:
                print(f"FAILED  {r[4]} as it is:\n{wrong}")
                return 1
        for r, wrong in zip(rows, pool.map(prove, rows)):
            print(f"{'FAILED' if wrong else 'ok    '}  {r[0]}{': ' + wrong if wrong else ''}", flush=True)
            bad += wrong is not None
    print(f"{len(rows) - bad} passed, {bad} failed")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
