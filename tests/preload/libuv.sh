#!/bin/bash
# libuv's own tests of sockets on virtual addresses, beside the same on the kernel's loopback: every one must
# have the same outcome, except those that libuv.known lists with their reason. The source is a checkout or
# an unpacked source package of libuv; it is copied and built in the build folder.
#
#   ZT_LIBUV=SOURCE libuv.sh BUILD [TEST...]
build=$(readlink -f "$1")
shift
[ -n "${ZT_LIBUV-}" ] || { echo 'skipped: ZT_LIBUV names no source of libuv'; exit 77; }
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "$(readlink -f "$0")")/lab.sh"
# shellcheck disable=SC2154 source=foreign.sh
. "$here/foreign.sh"
need cmake make

# Everything that has to do with sockets and descriptors.
families='^(tcp|udp|get(addrinfo|nameinfo|sockname)|connect|poll|ipc|shutdown|callback|delayed_accept|multiple_listen|emfile)|(_ref[0-9]?b?$)|^(handle_fileno|socket_buffer|spawn_tcp|not_|readable_on_eof|close_fd|closed_fd|watcher_cross|active|embed|metrics|loop_handles|walk_handles|iouring)|^fork_|^pipe_|^eintr|^thread(pool)?_cancel'

# In the copy the addresses are those of the environment. What parses text needs none.
prepare() {
    local f
    for f in "$tree"/test/*.c; do
        case $f in *ip4-addr.c | *ip6-addr.c) continue ;; esac
        sed -i -E 's/"127\.0\.0\.1"/HOST4/g; s/"::1"/HOST6/g
            s/"::ffff:127\.0\.0\.1"/HOST4_IN_6/g
            s/^static const char\* (\w+) = (HOST[46]);/#define \1 \2/' "$f"
    done
    cat >> "$tree/test/task.h" << 'END'
#define HOST4 getenv("ZT_HOST4")
#define HOST6 getenv("ZT_HOST6")
#define HOST4_IN_6 getenv("ZT_HOST4_IN_6")
END
    cmake -S "$tree" -B "$tree/out" -DBUILD_TESTING=ON -DLIBUV_BUILD_BENCH=OFF \
        -DCMAKE_BUILD_TYPE=Release > "$tree/build.log" 2>&1 &&
        make -C "$tree/out" -j"$(nproc)" uv_run_tests >> "$tree/build.log" 2>&1
}
if suite_tree libuv "$ZT_LIBUV" src test include; then
    prepare || fail "libuv can't be built: $(tail -n 20 "$tree/build.log")"
    suite_built
fi

# one WHERE TEST: `ok`, `failed` or `skipped`, its name; what it said is in WHERE.TEST.log
one() {
    local said
    timeout 130 "$tree/out/uv_run_tests" "$2" > "$1.$2.log" 2>&1 < /dev/null
    said=$(grep -E "^(not )?ok [0-9]+ - $2( |$)" "$1.$2.log" | head -n 1)
    case $said in
    *'# SKIP'*) echo "skipped $2" ;;
    ok*) echo "ok $2" ;;
    *) echo "failed $2" ;;
    esac
}
kernel() { ZT_HOST4=127.0.0.1 ZT_HOST6=::1 ZT_HOST4_IN_6=::ffff:127.0.0.1 one kernel "$1"; }
virtual() { (
    export ZT_HOST4=$a4 ZT_HOST6=$a6 ZT_HOST4_IN_6=::ffff:$a4 ZT_HOME=$work/a ZT_PRELOAD_START=no LD_PRELOAD=$preload
    one virtual "$1"
); }

lab_begin
lab_up
export UV_RUN_AS_ROOT=1 UV_TEST_TIMEOUT_MULTIPLIER=3
tests=$*
[ -n "$tests" ] || tests=$("$tree/out/uv_run_tests" --list | awk '{ print $1 }' | grep -E "$families" | sort)
for t in $tests; do
    kernel "$t" >> kernel.tests
    virtual "$t" >> virtual.tests
done
echo "libuv: kernel $(counts kernel.tests); virtual $(counts virtual.tests)"
check "libuv" suite_agrees "$here/libuv.known"
verdict
