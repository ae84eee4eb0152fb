"""The counting of cases: what the verdict rests on."""
import os
import sys

sys.path.insert(0, sys.argv[1])
import count_cases as cc  # noqa: E402

CMOCKA = """[==========] Running 4 test(s).
[ RUN      ] good
[       OK ] good
[ RUN      ] bad
[  ERROR   ] --- 1 != 2
[   LINE   ] --- x.c:3: error: Failure!
[  FAILED  ] bad
[ RUN      ] not_here
no namespaces
[  SKIPPED ] not_here
%s[==========] 4 test(s) run.
[  PASSED  ] 1 test(s).
[  SKIPPED ] 1 test(s), listed below:
[  SKIPPED ] not_here
[  FAILED  ] 1 test(s), listed below:
[  FAILED  ] bad
"""
LAST = "[ RUN      ] last\n[       OK ] last\n"
PASS = "[ RUN      ] a\n[       OK ] a\n"


def entry(out="", err="", code=0, result="OK"):
    return {"name": "t", "stdout": out, "stderr": err, "returncode": code, "result": result}


def states(**kw):
    return [s for _, s, _ in cc.program_cases(entry(**kw))]


checks = {
    "each case once": states(out=CMOCKA % LAST, code=1) == ["passed", "failed", "skipped", "passed"],
    "reason of a skip": cc.cmocka_cases(CMOCKA % LAST)[2][2] == "no namespaces",
    "crash in a case": states(out="[ RUN      ] a\n[       OK ] a\n[ RUN      ] b\n", code=-11)
    == ["passed", "failed"],
    "crash between cases": cc.cmocka_cases("[ RUN      ] a\n[ RUN      ] b\n[       OK ] b\n")
    == [("a", "failed", "crashed"), ("b", "passed", "[       OK ] b")],
    "leak at the end": states(out=PASS, err="ERROR: LeakSanitizer: detected", code=1)
    == ["passed", "failed"],
    "time-out": states(out=PASS, code=-15, result="TIMEOUT") == ["passed", "failed"],
    "cases on stderr": states(err=PASS) == ["passed"],
    "sums per file": states(out="a.json: 2 passed, 0 failed\nb.json: 1 passed, 1 failed\ntotal: 3 passed, 1 failed\n",
                            code=1) == ["passed", "passed", "passed", "failed"],
    "sum alone": states(out="3 passed, 0 failed\n") == ["passed"] * 3,
    "sum good, status bad": states(out="3 passed, 0 failed\n", code=1) == ["passed"] * 3 + ["failed"],
    "skip within sums": states(out="SKIP x: why\n1 passed, 0 failed\n") == ["passed", "skipped"],
    "skip within a plain program": states(out="  skipped x: why\nPASS\n") == ["passed", "skipped"],
    "plain program": states() == ["passed"],
    "plain program fails": states(code=1, result="FAIL") == ["failed"],
    "skipped program": cc.program_cases(entry(out="SKIP: no root\n", code=77, result="SKIP"))
    == [("", "skipped", "no root")],
}

for name, ok in checks.items():
    if not ok:
        print("FAILED", name)
failed = sum(not ok for ok in checks.values())

rows = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"count_cases.{os.getpid()}")
open(rows, "w").close()
if cc.verdict(rows) == 0:  # nothing ran: that is no success
    print("FAILED empty results")
    failed += 1
os.unlink(rows)
print(f"{len(checks) + 1 - failed} passed, {failed} failed")
sys.exit(failed != 0)
