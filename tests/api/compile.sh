#!/bin/bash
# The public header and the two libraries as a program sees them: C and C++, any order of includes, static
# linking without further libraries, the files that are shipped.
#
#   compile.sh BUILD CC     prints cmocka's lines, so that each case counts
set -uo pipefail
build=$(readlink -f "$1") cc=$2
here=$(dirname "$(readlink -f "$0")")
top=$(readlink -f "$here/../..")
work=$(mktemp -d /tmp/zt-api-XXXXXX)
trap 'end_nodes; rm -rf "$work"' EXIT
# shellcheck source-path=SCRIPTDIR source=../../tools/lib/common.sh
. "$top/tools/lib/common.sh" > /dev/null
# shellcheck source=../../tools/lib/lab.sh
. "$top/tools/lib/lab.sh"
ztctl() { "$build/tools/ztctl" "$@"; }
fail() { echo "compile.sh: $*" >&2; exit 1; }
cxx=$(command -v c++ || command -v g++ || command -v clang++) || cxx=''
warn='-Wall -Wextra -Werror'
failed=0 ran=0

case_() { # case_ NAME COMMAND...
    local name=$1
    shift
    ran=$((ran + 1))
    echo "[ RUN      ] $name"
    if "$@" > "$work/out" 2>&1; then
        echo "[       OK ] $name"
    else
        cat "$work/out"
        echo "[  FAILED  ] $name"
        failed=$((failed + 1))
    fi
}

# shellcheck disable=SC2086
c() { $cc -std=c11 $warn -I"$top/include" "$@"; }
# shellcheck disable=SC2086
cpp() { [ -z "$cxx" ] || $cxx -x c++ -std=c++11 $warn -I"$top/include" "$@"; }

self_contained() {
    echo '#include "ZeroTierSockets.h"
int main(void) { struct zts_callback_msg m = {0}; return m.eventCode; }' > "$work/alone.c"
    c -pedantic -c "$work/alone.c" -o "$work/alone.o" &&
        cpp -Wno-missing-field-initializers -c "$work/alone.c" -o "$work/alone.o"
}
any_order() {
    local hosts='#include <sys/types.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <poll.h>
#include <sys/select.h>
#include <netdb.h>
#include <sys/uio.h>'
    printf '%s\n#include "ZeroTierSockets.h"\nint main(void) { return AF_INET - 2; }\n' "$hosts" > "$work/before.c"
    printf '#include "ZeroTierSockets.h"\n%s\nint main(void) { return AF_INET - 2; }\n' "$hosts" > "$work/after.c"
    for f in before after; do
        c -D_GNU_SOURCE -c "$work/$f.c" -o "$work/x.o" && cpp -c "$work/$f.c" -o "$work/x.o" || return 1
    done
    # Two files of one program.
    echo '#include "ZeroTierSockets.h"
int other(void) { return zts_errno; }' > "$work/other.c"
    c "$work/alone.c" "$work/other.c" -L"$build/libzt" -lzt -o "$work/two"
}
shared="-L$build/libzt -lzt -Wl,-rpath,$build/libzt"
first_program() {
    # shellcheck disable=SC2086
    c -D_GNU_SOURCE "$here/compile/first.c" $shared -o "$work/first" && "$work/first" "$work/n1" "$network" || return 1
    [ -z "$cxx" ] && return
    # shellcheck disable=SC2086
    cpp "$here/compile/first.c" -x none $shared -o "$work/first++" && "$work/first++" "$work/n2" "$network"
}
older_programs() {
    # shellcheck disable=SC2086
    c -D_GNU_SOURCE "$here/compile/older.c" $shared -o "$work/older" && "$work/older" || return 1
    [ -z "$cxx" ] && return
    # shellcheck disable=SC2086
    cpp -Wno-unused-function "$here/compile/older.c" -x none $shared -o "$work/older++" && "$work/older++"
}
static_library() {
    [ -f "$build/libzt/libzt.a" ] || return 0 # not made with sanitizers; the release build has it
    local strange
    strange=$(nm "$build/libzt/libzt.a" | grep -E ' [A-TV-Zu] ' | grep -v ' zts_')
    [ -z "$strange" ] || { echo "$strange"; return 1; }
    mkdir -p "$work/lib"
    cp "$build/libzt/libzt.a" "$work/lib/"
    if [ -n "$cxx" ]; then
        cpp "$here/compile/first.c" -x none -L"$work/lib" -lzt -o "$work/static++" &&
            "$work/static++" "$work/n3" "$network" || return 1
        ! ldd "$work/static++" | grep -E 'sodium|crypto|libuv|lz4|jansson|cares' || return 1
    fi
    c -D_GNU_SOURCE "$here/compile/beside.c" -L"$work/lib" -lzt -luv -lcrypto -o "$work/beside" &&
        "$work/beside" "$work/n4"
}
exports() {
    local strange
    strange=$(nm -D --defined-only "$build/libzt/libzt.so" | grep -vE ' (zts_|ZT_[0-9.]+$|_init|_fini|__asan|__ubsan|__tsan|__odr|_edata|_end|__bss)')
    [ -z "$strange" ] || { echo "$strange"; return 1; }
}
stripped_and_silent() { # R121: of a release build
    grep -q '"buildtype", *"value": *"release"' "$build/meson-info/intro-buildoptions.json" 2> /dev/null ||
        python3 -c 'import json, sys
o = {x["name"]: x["value"] for x in json.load(open(sys.argv[1]))}
sys.exit(0 if o["buildtype"] == "release" else 1)' "$build/meson-info/intro-buildoptions.json" || return 0
    file -L "$build/libzt/libzt.so" 2> /dev/null | grep -q 'not stripped' && return 1
    "$work/first" "$work/n1" "$network" 2>&1 > /dev/null | grep . && return 1
    return 0
}
# The module alone is built again, against options in which one line is changed: then it has its traces.
stack_traces() {
    local command on off
    mkdir -p "$work/options"
    command=$(python3 -c 'import json, shlex, sys
build, work = sys.argv[1:]
for c in json.load(open(build + "/compile_commands.json")):
    if c["file"].endswith("lwip/src/core/tcp.c"):
        a = shlex.split(c["command"])
        a = [x for i, x in enumerate(a) if x not in ("-MD", "-MQ", "-MF", "-o") and a[i - 1] not in ("-MQ", "-MF", "-o")]
        at = next(i for i, x in enumerate(a) if x.startswith("-I"))
        a.insert(at, "-I" + work + "/options")
        print(shlex.join(a + ["-o", work + "/tcp.o"]))
        break' "$build" "$work") && [ -n "$command" ] || return 1
    traces() { (cd "$build" && eval "$command") && grep -c 'tcp_bind: bind to port' "$work/tcp.o"; }
    cp "$top/libzt/stack/lwipopts.h" "$work/options/"
    off=$(traces)
    sed -i 's/^#define TCP_DEBUG LWIP_DBG_OFF$/#define TCP_DEBUG LWIP_DBG_ON/' "$work/options/lwipopts.h"
    on=$(traces)
    echo "traces of tcp_bind: off $off, on $on"
    [ "$off" = 0 ] && [ "$on" = 1 ] && nm "$work/tcp.o" | grep -q 'U zt_lwip_trace'
}
licences() {
    DESTDIR=$work/dest meson install -C "$build" --no-rebuild > "$work/install.log" 2>&1 || { cat "$work/install.log"; return 1; }
    local doc
    doc=$(find "$work/dest" -type d -path '*/doc/libzt')
    [ -s "$doc/LICENSE" ] && [ -s "$doc/notices.md" ] || return 1
    for lib in lwIP libuv libsodium OpenSSL LZ4 jansson c-ares; do
        grep -qi "$lib" "$doc/notices.md" || { echo "no notice of $lib"; return 1; }
    done
    find "$work/dest" -name ZeroTierSockets.h | grep -q . && find "$work/dest" -name libzt.pc | grep -q .
}
targets() { # R6, R7, R8: what the build folder is for, and what it made
    python3 -c 'import json, sys
t = [x["name"] for x in json.load(open(sys.argv[1] + "/meson-info/intro-targets.json"))]
sys.exit(0 if {"zt", "ztpreload", "ztctl", "ztd", "client", "server"} <= set(t) else 1)' "$build" || return 1
    [ -e "$build/libzt/libzt.so" ] && [ -x "$build/docs/client" ] && [ -x "$build/docs/server" ]
}

start_root n1 n2 n3 n4 || fail 'no root'
case_ R62_header_alone_suffices self_contained
case_ R110_any_order_of_headers any_order
case_ R27_first_program_in_C_and_Cpp first_program
case_ R111_R112_R113_R114_older_programs older_programs
case_ R11_static_library_links_alone static_library
case_ only_zts_is_exported exports
case_ R121_release_is_stripped_and_silent stripped_and_silent
case_ R6_R7_R8_R10_targets targets
case_ R122_traces_of_one_module stack_traces
case_ R128_licences_are_shipped licences
echo "[==========] $ran test(s) run."
echo "[  PASSED  ] $((ran - failed)) test(s)."
[ "$failed" = 0 ]
