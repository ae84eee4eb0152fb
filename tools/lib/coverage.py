"""Summarise an lcov file by layer (tools/coverage)."""
import os
import sys


def read(path):
    files, name = {}, None
    with open(path) as f:
        for line in f:
            kind, _, rest = line.strip().partition(":")
            if kind == "SF":
                name = rest[rest.index("/libzt/") + 7:]
                files[name] = {"lines": {}, "branches": [0, 0]}
            elif kind == "DA":
                no, count = rest.split(",")[:2]
                files[name]["lines"][int(no)] = files[name]["lines"].get(int(no), 0) + int(count)
            elif kind == "BRDA":
                files[name]["branches"][0] += rest.rsplit(",", 1)[1] not in ("-", "0")
                files[name]["branches"][1] += 1
    return files


def percent(a, b):
    return 100 * a / b if b else 100


def main():
    files = read(sys.argv[1])
    if len(sys.argv) > 2:
        want = sys.argv[2].split("libzt/")[-1]
        with open(os.path.join("libzt", want)) as f:
            text = f.read().splitlines()
        for no, count in sorted(files[want]["lines"].items()):
            if count == 0:
                print(f"{no:5}  {text[no - 1]}")
        return
    for layer in ("base", "wire", "crypto", "vl1", "vl2", "core"):
        mine = {n: f for n, f in files.items() if n.split("/")[0] == layer}
        hit = sum(sum(c > 0 for c in f["lines"].values()) for f in mine.values())
        all_ = sum(len(f["lines"]) for f in mine.values())
        bhit = sum(f["branches"][0] for f in mine.values())
        ball = sum(f["branches"][1] for f in mine.values())
        print(f"{layer:7} {percent(hit, all_):5.1f} % of {all_:5} lines  {percent(bhit, ball):5.1f} % of {ball:5} branches")
        for n, f in sorted(mine.items()):
            share = percent(sum(c > 0 for c in f["lines"].values()), len(f["lines"]))
            if share < 90:
                print(f"          {share:5.1f} %  {n}")


main()
