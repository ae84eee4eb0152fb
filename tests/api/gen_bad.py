#!/usr/bin/env python3
"""Calls of every function of the public header with bad arguments: gen_bad.py HEADER > bad_calls.inc

For each parameter the values that a program could get wrong (by type, and by name where the type says too
little); all combinations, thinned out evenly to LIMIT per function. What each call must give is checked by
check() in test_bad.c: one of the documented codes, the one for the state of the node, zts_errno only with
ZTS_ERR_SOCKET."""
import itertools
import re
import sys

LIMIT = 700

# Called by the test itself, where the outcome is part of the story.
LEFT_OUT = {"zts_free", "zts_stop", "zts_restart", "zts_delay_ms", "zts_errno_location"}
# Closing what the other calls use would make them all alike.
CLOSE = ["-1", "bad_fd_closed", "INT_MAX", "INT_MIN"]

POINTERS = ["NULL", "scratch(256)"]
VALUES = {
    "fd": ["-1", "bad_fd_closed", "INT_MAX", "bad_fd[0]", "bad_fd[1]", "bad_fd[2]", "bad_fd[3]", "bad_fd[4]"],
    "level": ["-1", "0", "6", "41", "0x0fff", "1", "INT_MAX"],
    "optname": ["-129", "-1", "0", "1", "2", "3", "5", "6", "8", "12", "27", "39", "0x80", "0x1002",
                "0x1006", "0x1007", "0x100b", "INT_MAX"],
    "flags": ["0", "-1", "0x08", "0x40", "0x0f", "INT_MIN"],
    "nfds": ["0", "1"],
    "timeout_ms": ["0"],
    "how": ["-1", "0", "1", "2", "3", "INT_MAX"],
    "cmd": ["-1", "3", "4", "0", "INT_MAX"],
    "request": ["0", "ZTS_FIONREAD", "ZTS_FIONBIO", "ULONG_MAX"],
    "port": ["-1", "65536", "0"],
    "callback": ["NULL_CALLBACK"],
    "path": ["NULL", '""'],
}
TYPES = {
    "int": ["-1", "0", "1", "7", "INT_MAX", "INT_MIN"],
    "long": ["0"],
    "unsigned int": ["0", "1", "UINT_MAX"],
    "zts_nfds_t": ["0", "1", "UINT_MAX"],
    "unsigned long": ["0", "1", "ULONG_MAX"],
    "size_t": ["0", "1", "SIZE_MAX"],
    "zts_socklen_t": ["0", "1", "4", "16", "28", "29", "UINT32_MAX"],
    "uint8_t": ["0", "1", "255"],
    "uint16_t": ["0", "65535"],
    "uint32_t": ["0", "UINT32_MAX"],
    "uint64_t": ["0", "1", "UINT64_MAX"],
    "const char *": ["NULL", '""', '"x"', "bad_long_text", '"1.2.3.4"'],
    "zts_socklen_t *": ["NULL", "length(0)", "length(15)", "length(28)", "length(UINT32_MAX)"],
    "unsigned int *": ["NULL", "room(0)", "room(1)"],
    "int *": ["NULL", "(int *)scratch(256)"],
    "zts_l2_fn": ["NULL"],
    "struct zts_timeval *": ["timeval(0, 0)", "timeval(-1, 0)", "timeval(0, -1)"],
    "struct zts_msghdr *": ["NULL", "message(0)", "message(1)", "message(2)", "message(3)"],
    "struct zts_iovec *": ["NULL", "vector(0)", "vector(1)"],
    "struct zts_pollfd *": ["NULL", "pollfd(-1)", "pollfd(bad_fd[0])", "pollfd(INT_MAX)"],
}
# What zts_select may be told depends on the sets behind.
SELECT = ["-1", "0", "1", "1024", "1025", "INT_MAX"]


def prototypes(text):
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    text = re.sub(r"//[^\n]*", "", text)
    done = set()
    for m in re.finditer(r"ZTS_API\s+([\w\s]+?[\s*]+)(zts_\w+)\(([^;]*?)\);", text, flags=re.S):
        ret, name, args = (" ".join(x.split()) for x in m.groups())
        if name in done:  # zts_start is declared for C and for C++
            continue
        done.add(name)
        params = [] if args == "void" else [parameter(a) for a in args.split(",")]
        yield ret.replace(" *", "*"), name, params


def parameter(text):
    text = " ".join(text.split())
    m = re.match(r"(.*?)(\w+)$", text)
    kind = m.group(1).strip().replace("const uint64_t", "uint64_t").replace("const struct", "struct")
    return kind, m.group(2)


def values(function, kind, name):
    if function == "zts_close":
        return CLOSE
    if function == "zts_select" and name == "nfds":
        return SELECT
    if function == "zts_poll" and name == "nfds":
        return TYPES["zts_nfds_t"]
    if function in ("zts_inet_ntop", "zts_inet_pton") and name == "family":
        return ["-1", "2", "10", "INT_MAX"]
    if function == "zts_inet_ntop" and kind == "zts_socklen_t":
        return ["0", "1", "16", "46"]  # how much room there is: the caller's promise
    if name in VALUES and kind in ("int", "unsigned long", "zts_callback_fn", "const char *"):
        return VALUES[name]
    if kind in TYPES:
        return TYPES[kind]
    if kind.endswith("*"):
        return POINTERS
    raise SystemExit(f"{function}: no values for '{kind} {name}'")


def main():
    seen = 0
    for ret, name, params in prototypes(open(sys.argv[1], encoding="utf-8").read()):
        if name in LEFT_OUT:
            continue
        lists = [values(name, *p) for p in params]
        combos = list(itertools.product(*lists))
        step = max(1, len(combos) // LIMIT)
        print(f"static void calls_of_{name[4:]}(void)\n{{")
        for combo in combos[::step]:
            call = f"{name}({', '.join(combo)})"
            if ret in ("int", "ssize_t"):
                print(f'    CHECK({name}, {call});')
            else:
                print(f"    BEGIN(); (void){call};")
        print("}\n")
        seen += 1
    if seen < 60:
        raise SystemExit(f"only {seen} functions found: has the header's form changed?")
    print("static void all_calls(void)\n{")
    for _, name, _ in prototypes(open(sys.argv[1], encoding="utf-8").read()):
        if name not in LEFT_OUT:
            print(f"    calls_of_{name[4:]}();")
    print("}")


main()
