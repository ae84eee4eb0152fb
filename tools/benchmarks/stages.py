"""What each stage of the data path costs per frame (stages.c)."""
import subprocess
import os

import lab


def run(o, emit):
    done = subprocess.run([os.path.join(lab.BUILD, "tests", "sim", "stages")], capture_output=True, text=True,
                          timeout=120)
    for line in done.stdout.splitlines():
        emit(lab.parse(line))
    return done.returncode
