"""Counts test cases in what `meson test` recorded.

    count_cases.py LABEL TESTLOG.json RESULTS     append one JSON line per case to RESULTS
    count_cases.py --verdict RESULTS              print skips, failures and "N passed, N failed"

A cmocka case counts once. Programs that print "N passed, N failed" lines (the golden vectors print
one per file) count as they say. Any other program counts as one case: its exit status is the verdict
(77: skipped, the last line it printed is the reason). A line "skipped WHAT: REASON" of a program that
isn't cmocka's is a part that could not run. A program that ends badly although all its cases passed (a
leak found at exit, a crash in a teardown) counts as one failed case more, so that nothing can fail
unseen.
"""
import json
import re
import sys

RUN = re.compile(r"^\[ RUN      \] (\S+)")
DONE = re.compile(r"\[ *(OK|FAILED|SKIPPED|ERROR) *\] (\S+)\s*$")
SUMS = re.compile(r"^(?:(?P<name>\S.*?): *)?(?P<p>\d+) passed, (?P<f>\d+) failed")
REASON = re.compile(r"^(?:SKIP|skip|skipped|SKIPPED)(?:ped)?[: ]+(.*)$")

SHOWN = 40  # failures
NAMED = 6  # cases per reason of a skip


def cmocka_cases(text):
    """[(name, passed|failed|skipped, reason)] from cmocka's standard output."""
    cases, current, reason = [], None, ""
    for line in text.splitlines():
        m = RUN.match(line)
        if m:
            if current is not None:  # the one before never ended: its process crashed in it
                cases.append((current, "failed", "crashed"))
            current, reason = m.group(1), ""
            continue
        m = DONE.search(line)
        if m and current is not None and m.group(2) == current:
            state = {"OK": "passed", "SKIPPED": "skipped"}.get(m.group(1), "failed")
            if m.group(1) != "ERROR":
                cases.append((current, state, reason or line.strip()))
                current = None
        elif line.strip() and not line.startswith("["):
            m = REASON.match(line.strip())
            reason = m.group(1) if m else line.strip()
    if current is not None:
        cases.append((current, "failed", "crashed"))
    return cases


def program_cases(entry):
    out, err = entry.get("stdout") or "", entry.get("stderr") or ""
    code, result = entry["returncode"], entry["result"]
    lines = [x.strip() for x in (out + "\n" + err).splitlines() if x.strip()]
    if result == "SKIP" or code == 77:
        why = next((REASON.match(x).group(1) for x in lines if REASON.match(x)), None)
        return [("", "skipped", why or (lines[-1] if lines else "no reason given"))]
    cases = cmocka_cases(out) + cmocka_cases(err)
    if not cases:
        sums = [m for m in map(SUMS.match, out.splitlines()) if m]
        named = [m for m in sums if m.group("name") and m.group("name") not in ("total", "all")]
        for m in named or sums[-1:]:
            name = m.group("name") or ""
            cases += [(name, "passed", "")] * int(m.group("p"))
            cases += [(name, "failed", "")] * int(m.group("f"))
        told = [x for x in lines if x.startswith("FAILED")]  # in order, one per failed case
        for i, case in enumerate(cases):
            if case[1] == "failed" and told:
                cases[i] = (case[0], "failed", told.pop(0))
        if not cases:
            state = "passed" if code == 0 else "failed"
            cases = [("", state, f"{result.lower()}, exit status {code}")]
        # parts of such programs that could not run: "skipped WHAT: REASON"
        cases += [("", "skipped", m.group(1)) for m in map(REASON.match, lines) if m]
    if code != 0 and not any(state == "failed" for _, state, _ in cases):
        why = next((x for x in lines if "Sanitizer" in x or "runtime error" in x), "")
        cases.append(("(end of program)", "failed", why or f"{result.lower()}, exit status {code}"))
    return cases


def collect(label, log, results):
    with open(log) as f, open(results, "a") as out:
        for line in f:
            entry = json.loads(line)
            test = entry["name"].split(" / ")[-1]
            for name, state, reason in program_cases(entry):
                case = f"{label}: {test}" + (f": {name}" if name else "")
                print(json.dumps({"case": case, "state": state, "reason": reason}), file=out)


def verdict(results):
    with open(results) as f:
        rows = [json.loads(line) for line in f]
    skips = {}
    for r in rows:
        if r["state"] == "skipped":
            skips.setdefault(r["reason"] or "no reason given", []).append(r["case"])
    if skips:
        print(f"skipped ({sum(map(len, skips.values()))}):")
        for reason, cases in sorted(skips.items()):
            names = list(dict.fromkeys(cases))
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            print(f"  {reason}\n      in {', '.join(names[:NAMED])}{more}")
    failures = [r for r in rows if r["state"] == "failed"]
    if failures:
        print(f"failed ({len(failures)}):")
        for r in failures[:SHOWN]:
            print(f"  {r['case']}" + (f" ({r['reason']})" if r["reason"] else ""))
        if len(failures) > SHOWN:
            print(f"  ... and {len(failures) - SHOWN} more in {results}")
    passed = sum(r["state"] == "passed" for r in rows)
    failed = sum(r["state"] == "failed" for r in rows)
    if passed + failed == 0:
        print("no test ran")
        failed = 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--verdict":
        sys.exit(verdict(sys.argv[2]))
    collect(*sys.argv[1:4])
