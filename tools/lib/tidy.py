"""clang-tidy over files, on all processors; what it said of a file is kept until the file, a header of it, or
the list of checks changes (tools/lint).

  tidy.py BUILD KNOWN FILE...      KNOWN: lines "FILE CHECK  reason" of findings that are none

Prints findings; exit status 0 when there is none.
"""
import concurrent.futures
import hashlib
import os
import re
import subprocess
import sys

FINDING = re.compile(r"^(?:\S*/)??(?:\.\./)*(\S+?):\d+:\d+: (?:error|warning): .*\[([a-z][\w.-]+?)(?:,-warnings-as-errors)?\]$")


def headers(build):
    """{source: [what it was compiled from]}, as ninja noted it."""
    table, name = {}, None
    for line in subprocess.check_output(["ninja", "-C", build, "-t", "deps"], text=True).splitlines():
        if line.startswith("    "):
            path = os.path.normpath(os.path.join(build, line.strip()))
            if not os.path.isabs(path):
                if name is None:
                    name = path
                    table.setdefault(name, [])
                table[name].append(path)
        else:
            name = None
    return table


def key_of(file, parts, common):
    h = hashlib.sha256(common)
    for p in sorted(set(parts) | {file}):
        if os.path.exists(p):
            with open(p, "rb") as f:
                h.update(p.encode() + b"\0" + f.read())
    return h.hexdigest()


def look(build, file, key):
    kept = os.path.join(build, "lint", key)
    if os.path.exists(kept):
        with open(kept) as f:
            return f.read()
    done = subprocess.run(["clang-tidy", "-p", build, "--quiet", "--extra-arg=-Wno-unknown-warning-option", file],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # the warning options are gcc's
    if done.returncode not in (0, 1):
        return f"{file}: clang-tidy ended with {done.returncode}\n"
    os.makedirs(os.path.dirname(kept), exist_ok=True)
    with open(kept + ".new", "w") as f:
        f.write(done.stdout)
    os.rename(kept + ".new", kept)
    return done.stdout


def main():
    build, known_file, files = sys.argv[1], sys.argv[2], sys.argv[3:]
    with open(known_file) as f:
        known = {tuple(line.split()[:2]) for line in f if line.strip() and not line.startswith("#")}
    with open(".clang-tidy", "rb") as f:
        common = f.read() + subprocess.check_output(["clang-tidy", "--version"])
    parts, found = headers(build), 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for file, text in zip(files, pool.map(lambda f: look(build, f, key_of(f, parts.get(f, []), common)), files)):
            keep = False
            for line in text.splitlines():
                m = FINDING.match(line)
                if m:
                    where = os.path.relpath(re.sub(r"^.*?\.\./", "", line.split(":")[0]), ".") if ".." in line.split(":")[0] else line.split(":")[0]
                    keep = (where, m.group(2)) not in known and (file, m.group(2)) not in known
                    found += keep
                elif "ended with" in line and line.startswith(file):
                    keep, found = True, found + 1
                if keep:
                    print(line)
    return found > 0


if __name__ == "__main__":
    sys.exit(main())
