"""docs/performance.md and its plots (gnuplot, SVG) from the JSON lines of tools/bench.

Several files may be given; of the same figure, system and kind the later line counts. What a missed goal
lacks is said by people, in notes.txt: one line a figure, "figure: text".
"""
import datetime
import os
import platform
import subprocess

import lab

FOLDER = os.path.join(lab.TOP, "docs")
OURS = ("preload", "direct")

# figure, what, the goal in words, and how it is checked: (our system, peer or None, factor or bound, which
# way: ">" at least factor x peer, "<" at most; without peer: the bound itself)
GOALS = [
    ("tcp", "TCP, one stream, preloaded", ">= 5 x ZeroTierOne, >= 10 x upstream libzt; binding: 1 x and 4 x",
     [("preload", "zerotier-one", 5, ">"), ("preload", "libzt", 10, ">")]),
    ("iperf3", "the same with iperf3", ">= 5 x ZeroTierOne; binding: 1 x", [("preload", "zerotier-one", 5, ">")]),
    ("tcp", "the direct API", ">= the preload's", [("direct", "preload", 1, ">")]),
    ("parallel", "8 streams, in sum", ">= one stream", [("preload", "tcp:preload", 1, ">")]),
    ("bidir", "both directions at once, in sum", ">= one stream", [("preload", "tcp:preload", 1, ">")]),
    ("reverse", "the other direction", ">= one stream", [("preload", "tcp:preload", 1, ">")]),
    ("cpu", "CPU seconds per GB, both ends and programs", "<= 1/4 of ZeroTierOne",
     [("preload", "zerotier-one", 0.25, "<")]),
    ("rtt", "TCP round trip, 1 byte, median", "direct <= upstream libzt, preload <= 0.7 x ZeroTierOne",
     [("direct", "libzt", 1, "<"), ("preload", "zerotier-one", 0.7, "<")]),
    ("rtt-p99", "its 99th percentile", "the same",
     [("direct", "libzt", 1, "<"), ("preload", "zerotier-one", 0.7, "<")]),
    ("udp-rtt", "UDP round trip, median", "the same",
     [("direct", "libzt", 1, "<"), ("preload", "zerotier-one", 0.7, "<")]),
    ("udp-rtt-p99", "its 99th percentile", "the same",
     [("direct", "libzt", 1, "<"), ("preload", "zerotier-one", 0.7, "<")]),
    ("connects", "connect and close, per second", ">= 3 x upstream libzt; binding", [("preload", "libzt", 3, ">"),
                                                                            ("direct", "libzt", 3, ">")]),
    ("series", "100,000 of them in a row", "all of them; binding", [("preload", None, 1, ">"),
                                                                  ("direct", None, 1, ">")]),
    ("online", "start to online, identity kept (ms)", "< 500; binding", [("preload", None, 500, "<")]),
    ("join", "join (a network of our controller) to first byte (ms)", "< 1000; binding", [("preload", None, 1000, "<")]),
    ("first-byte", "program start to first byte, node inside (ms)", "< 1000", [("direct", None, 1000, "<")]),
    ("held-memory", "memory of an idle connection (KiB)", "< 8; binding", [("preload", None, 8, "<")]),
    ("held-speed", "one busy stream among 10,000 idle ones", ">= 0.9 x alone; binding",
     [("preload", None, 0.9, ">")]),
    ("held-cpu", "its processor time per byte among them", "<= 1.1 x alone (does not drift with other load)",
     [("preload", None, 1.1, "<")]),
    ("idle-cpu", "idle node, 10 networks and 100 peers: processor (%)", "< 0.1", [("preload", None, 0.1, "<")]),
    ("idle-rss", "idle node, 10 networks and 100 peers: RSS (MiB)", "< 15", [("preload", None, 15, "<")]),
    ("lossy-40ms-0.1%", "goodput, 40 ms, 0.1 % loss", ">= ZeroTierOne", [("preload", "zerotier-one", 1, ">")]),
    ("lossy-40ms-1%", "goodput, 40 ms, 1 % loss", ">= ZeroTierOne", [("preload", "zerotier-one", 1, ">")]),
    ("lossy-200ms", "goodput, 200 ms", ">= ZeroTierOne", [("preload", "zerotier-one", 1, ">")]),
    ("relay", "datagrams a root relays, per second and core", ">= 2 x ZeroTierOne",
     [("ours", "zerotier-one", 2, ">")]),
]

PLOTS = [
    ("throughput", "Mbit/s", ["tcp", "iperf3", "parallel", "bidir", "reverse"]),
    ("round-trips", "us", ["rtt", "rtt-p99", "udp-rtt", "udp-rtt-p99"]),
    ("connects", "1/s", ["connects", "series"]),
    ("lossy", "Mbit/s", ["lossy-40ms-0.1%", "lossy-40ms-1%", "lossy-200ms"]),
]
SYSTEMS = ["preload", "direct", "zerotier-one", "libzt"]


def number(v):
    if v is None:
        return "-"
    if v == 0 or abs(v) >= 100:
        return f"{v:,.0f}"
    return f"{v:.3g}"


def read(paths):
    figures = {}
    for path in paths:
        with open(path) as f:
            for line in f:
                if line.startswith("{"):
                    figure = lab.parse(line)
                    if not {"figure", "system", "unit"} <= figure.keys():
                        continue # of a benchmark with a form of its own
                    key = (figure["figure"], figure["system"], figure.get("of", figure.get("frame", "")))
                    if figure.get("runs") or key not in figures:
                        figures[key] = figure
    return figures


def median(figures, name, system):
    values = [f["median"] for (n, s, _), f in figures.items()
              if n == name and s == system and f.get("runs") and not f.get("of", "").startswith(("client", "kernel"))]
    return max(values) if values else None  # the worst, where there are several parts


def verdict(figures, name, system, peer, factor, way):
    """Text and whether it is met (None: not measured)."""
    ours = median(figures, name, system)
    if peer is None:
        if ours is None:
            return f"{system}: not measured", None
        return f"{system} {number(ours)}", ours >= factor if way == ">" else ours <= factor
    other = peer.split(":")
    theirs = median(figures, *(other if len(other) == 2 else (name, peer)))
    if not ours or not theirs:
        return f"{system} : {other[-1]} not measured", None
    ratio = ours / theirs
    return f"{system} {number(ours)} = {ratio:.2f} x {':'.join(other)}", ratio >= factor if way == ">" else ratio <= factor


def machine():
    def first(argv, word):
        text = subprocess.run(argv, capture_output=True, text=True).stdout
        return next((line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith(word)), "?")

    def sysctl(name):
        return subprocess.run(["sysctl", "-n", name], capture_output=True, text=True).stdout.strip() or "?"
    with open("/proc/meminfo") as f:
        memory = int(f.readline().split()[1]) // 1024
    compiler = subprocess.run(["cc", "--version"], capture_output=True, text=True).stdout.splitlines()
    rows = [("processor", f"{first(['lscpu'], 'Model name')}, {os.cpu_count()} cores"),
            ("memory", f"{memory} MiB"), ("kernel", platform.release()),
            ("compiler", compiler[0] if compiler else "?"), ("date", datetime.date.today().isoformat()),
            ("net.core.wmem_max", sysctl("net.core.wmem_max")),
            ("kernel's congestion control", sysctl("net.ipv4.tcp_congestion_control"))]
    return "\n".join(f"| {a} | {b} |" for a, b in rows)


def plot(figures, name, unit, wanted):
    """One SVG of clustered bars; its name, or None when nothing of it was measured."""
    wanted = [w for w in wanted if any(k[0] == w and f.get("runs") for k, f in figures.items())]
    systems = [s for s in SYSTEMS if any(median(figures, w, s) for w in wanted)]
    if not wanted or not systems:
        return None
    rows = ["figure " + " ".join(f'"{s}"' for s in systems)]
    for w in wanted:
        rows.append(f'"{w}" ' + " ".join(str(median(figures, w, s) or 0) for s in systems))
    path = os.path.join(FOLDER, "performance", name + ".svg")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    script = f"""set terminal svg size 760,320 font "sans,11" background "white"
set output "{path}"
$data << EOD
{chr(10).join(rows)}
EOD
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.8 border -1
set ylabel "{unit}"
set yrange [0:*]
set key outside right
set grid y
plot for [i=2:{len(systems) + 1}] $data using i:xtic(1) title columnheader(i)
"""
    done = subprocess.run(["gnuplot"], input=script, text=True, capture_output=True)
    if done.returncode != 0:
        raise lab.Failed(f"gnuplot: {done.stderr.strip()}")
    return f"performance/{name}.svg"


def stages_plot(figures):
    rows = {}
    for (name, system, frame), f in figures.items():
        if name == "stage":
            rows.setdefault(system, {})[frame] = f["median"]
    if not rows:
        return None
    data = {("stage", s, ""): {} for s in rows}
    path = os.path.join(FOLDER, "performance", "stages.svg")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    lines = ['stage "1400" "2800"'] + [f'"{s}" {v.get(1400, 0)} {v.get(2800, 0)}' for s, v in rows.items()]
    script = f"""set terminal svg size 760,320 font "sans,11" background "white"
set output "{path}"
$data << EOD
{chr(10).join(lines)}
EOD
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.8 border -1
set ylabel "ns a frame"
set xtics rotate by -30
set grid y
plot for [i=2:3] $data using i:xtic(1) title columnheader(i)." bytes"
"""
    subprocess.run(["gnuplot"], input=script, text=True, check=True)
    del data
    return "performance/stages.svg"


def goals(figures, notes):
    lines = ["| figure | goal | measured (medians) | reached |", "| --- | --- | --- | --- |"]
    missed = []
    for name, what, goal, checks in GOALS:
        texts, met = zip(*(verdict(figures, name, *c) for c in checks))
        state = "not measured" if all(m is None for m in met) else "yes" if all(m is not False for m in met) else "no"
        lines.append(f"| {what} | {goal} | {'; '.join(texts)} | {state} |")
        if state != "yes":
            missed.append(f"* {what}: {notes.get(name, 'no note yet')}")
    return "\n".join(lines), "\n".join(missed) or "None."


def table(figures):
    lines = ["| figure | system | unit | runs | min | median | max |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for (name, system, kind), f in figures.items():
        if f.get("runs"):
            label = name + (f" ({kind})" if kind else "")
            lines.append(f"| {label} | {system} | {f['unit']} | {f['runs']} | {number(f['min'])} | "
                         f"{number(f['median'])} | {number(f['max'])} |")
        else:
            lines.append(f"| {name} | {system} | {f['unit']} | 0 | failed: {f.get('error', '').strip()[:80]} | | |")
    return "\n".join(lines)


def write(paths):
    figures = read(paths)
    notes = {}
    with open(os.path.join(os.path.dirname(__file__), "notes.txt")) as f:
        for line in f:
            if ":" in line and not line.startswith("#"):
                name, text = line.split(":", 1)
                notes[name] = text.strip()
    reached, missed = goals(figures, notes)
    plots = [p for p in [*(plot(figures, *p) for p in PLOTS), stages_plot(figures)] if p]
    with open(os.path.join(os.path.dirname(__file__), "performance.md.in")) as f:
        text = f.read()
    for mark, value in (("@MACHINE@", machine()), ("@REMARK@", notes.get("remark", "")), ("@GOALS@", reached), ("@MISSED@", missed),
                        ("@PLOTS@", "\n".join(f"![{os.path.basename(p)[:-4]}]({p})" for p in plots)),
                        ("@TABLE@", table(figures))):
        text = text.replace(mark, value)
    with open(os.path.join(FOLDER, "performance.md"), "w") as f:
        f.write(text)
    print(f"bench: wrote {os.path.join(FOLDER, 'performance.md')} from {len(figures)} figures")
    return 0
