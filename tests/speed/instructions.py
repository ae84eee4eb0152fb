#!/usr/bin/env python3
"""Instructions per frame of 2,800 bytes through the core (VL1 and VL2, cipher included), each way, counted by callgrind:
the same in every run on every machine with the same instruction sets. The bounds have room of about a half.

  instructions.py STAGES
"""
import re
import shutil
import subprocess
import sys
import tempfile

# callgrind has no VAES: the narrow AES form runs
MOST = {"frames_out": 16000, "frames_in": 16000}  # 10,507 and 11,188 were seen

if not shutil.which("valgrind"):
    print("SKIP: valgrind is not installed")
    sys.exit(77)
bad = 0
for name, most in MOST.items():
    with tempfile.NamedTemporaryFile() as out:
        done = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out.name}",
                               f"--toggle-collect={name}", sys.argv[1], "count"], capture_output=True, text=True,
                              timeout=280)
    frames = re.search(r"frames (\d+)", done.stdout)
    collected = re.search(r"Collected\s*:\s*(\d+)", done.stderr)
    if done.returncode != 0 or not frames or not collected:
        print(f"FAILED  {name}: {done.stdout[-300:]}{done.stderr[-600:]}")
        bad += 1
        continue
    each = int(collected.group(1)) // int(frames.group(1))
    ok = 500 < each <= most
    bad += not ok
    print(f"{'ok     ' if ok else 'FAILED '} {name}: {each} instructions a frame (at most {most})")
print(f"{len(MOST) - bad} passed, {bad} failed")
sys.exit(bad > 0)
